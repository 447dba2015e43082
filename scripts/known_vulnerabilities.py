"""Whether a vulnerability is known of a pinned package: pip-audit, over all that `scripts/lock` wrote.

    .venv/bin/python scripts/known_vulnerabilities.py

Exit code 1 where one is known. Where nobody can be asked, that is said, and nothing fails.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

PINNED: Final = ("scripts/requirements.txt", "scripts/requirements-dev.txt")
SECONDS: Final = 120


def main() -> int:
    """Ask, and tell; the exit code."""
    options = (
        "--require-hashes",
        "--disable-pip",
        "--progress-spinner",
        "off",
        "--timeout",
        "10",
        "-f",
        "json",
    )
    files = [word for name in PINNED for word in ("-r", name)]
    program = Path(sys.executable).with_name("pip-audit")
    try:
        asked = subprocess.run(  # noqa: S603 - our own words
            [program, *options, *files], capture_output=True, text=True, timeout=SECONDS, check=False
        )
        found: list[dict[str, Any]] = json.loads(asked.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError) as error:
        print(f"Vulnerabilities: nobody could be asked ({type(error).__name__}).")  # noqa: T201
        return 0
    known = [(item, hole) for item in found for hole in item.get("vulns", ())]
    for item, hole in known:
        better = ", ".join(hole["fix_versions"]) or "no version"
        print(f"{item['name']} {item['version']}: {hole['id']} (mended in {better})")  # noqa: T201
    skipped = sum("skip_reason" in item for item in found)
    print(f"Vulnerabilities: {len(known)} known in {len(found) - skipped} packages; {skipped} not looked up.")  # noqa: T201
    return bool(known)


if __name__ == "__main__":
    sys.exit(main())
