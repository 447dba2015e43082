"""The floors of branch coverage, room by room: what `scripts/test --coverage` holds.

    .venv/bin/python scripts/coverage_floors.py     # after a run that has left .coverage

Code that tests run in a process of its own (servers that are killed, workers) is not measured, so the figures
are lower than the truth. Exit code 1 where a room is below its floor.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import coverage

ALL: Final = 95.5
"""Percent of lines and branches together, of the whole package."""
FLOORS: Final = {"relay": 97.0, "guard": 98.0, "webhooks": 97.0}


def main() -> int:
    """Compare what was measured with the floors; the exit code."""
    measured = coverage.Coverage()
    measured.load()
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        measured.json_report(outfile=report.name)
        files: dict[str, Any] = json.loads(Path(report.name).read_text("utf-8"))["files"]
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for name, found in files.items():
        room = Path(name).parts[1].removesuffix(".py")
        summary = found["summary"]
        for key in (room, ""):
            sums[key][0] += summary["covered_lines"] + summary["covered_branches"]
            sums[key][1] += summary["num_statements"] + summary["num_branches"]
    low = []
    for room, (covered, total) in sorted(sums.items()):
        percent = 100.0 * covered / total if total else 100.0
        floor = FLOORS.get(room, 0.0) if room else ALL
        print(f"{room or 'all':12} {percent:5.1f} %  {f'floor {floor:g}' if floor else ''}")  # noqa: T201
        if percent < floor:
            low.append(room or "all")
    if low:
        print(f"Below the floor: {', '.join(low)}. Test what is new there.")  # noqa: T201
    return bool(low)


if __name__ == "__main__":
    sys.exit(main())
