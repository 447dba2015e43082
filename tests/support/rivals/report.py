"""A comparison as a table for the terminal, for a page, and as a file that can be read again."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from support.rivals.figures import Row, limited_by_load, rows, wrong
from support.rivals.installation import OPENAI, TAC
from support.rivals.measuring import Measurement
from support.rivals.scenarios import SCENARIOS
from support.rivals.servers import CONTESTANTS

_BEGIN: Final = "<!-- figures: scripts/bench --page -->"
_END: Final = "<!-- end of figures -->"


class RivalsReport(msgspec.Struct, kw_only=True):
    """What was measured, where and when."""

    made: str
    command: str
    machine: str
    versions: dict[str, str]
    divided_cores: bool
    """Whether server and load had cores of their own."""
    runs: int
    quick: bool
    contestants: list[str]
    measurements: list[Measurement]

    @property
    def rows(self) -> list[Row]:
        return rows(self.measurements, self.contestants)

    @property
    def notes(self) -> list[str]:
        """What has to be known to read the table."""
        notes = [
            f"{', '.join(scenarios)}: {CONTESTANTS[key].title} is not timed: {why}"
            for (key, why), scenarios in wrong(self.measurements).items()
        ]
        if self.quick:
            notes.append("a quick run shows that everything works; its figures mean nothing")
        elif self.runs < 5:
            notes.append(f"only {self.runs} runs: read the spread")
        if not self.divided_cores:
            notes.append("server and load shared a core: times are not the server's; read the CPU only")
        for scenario in dict.fromkeys(item.scenario for item in self.measurements):
            runs = [item for item in self.measurements if item.scenario == scenario]
            if limited := limited_by_load(runs):
                names = ", ".join(CONTESTANTS[key].title for key in limited)
                notes.append(
                    f"* {scenario}, {names}: the load's own CPU was the limit; "
                    "these times are the load's, the CPU is the server's"
                )
        return notes


def made_now(command: str, **fields: object) -> RivalsReport:
    """A report of measurements that were just made, on this machine."""
    return msgspec.convert(
        {
            "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "command": command,
            "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
            "versions": {
                "python": platform.python_version(),
                "tac": f"{TAC}, {OPENAI}",
                **{name: version(name) for name in ("uvicorn", "uvloop", "websockets")},
            },
            **fields,
        },
        RivalsReport,
        from_attributes=True,
    )


def table(report: RivalsReport) -> RenderableType:
    """For a terminal."""
    header, *lines = _cells(report)
    view = Table(title_justify="left")
    for column, name in enumerate(header):
        view.add_column(name, justify="left" if column == 0 else "right")
    for cells in lines:
        if len(cells) == 1:
            view.add_section()
            view.add_row(Text(cells[0], style="bold"))
        else:
            view.add_row(*(Text(cell) for cell in cells))
    return Group(view, *(Text(f"  {note}") for note in report.notes))


def markdown(report: RivalsReport) -> str:
    """For a page."""
    header, *lines = _cells(report)
    text = [f"`{report.command}`, {report.made}; {report.machine}; Python {report.versions['python']}.", ""]
    text += [_line(header), _line(["---", *("---:" for _ in header[1:])])]
    for cells in lines:
        text.append(_line([f"**{cells[0]}**", *("" for _ in header[1:])] if len(cells) == 1 else cells))
    text += ["", *(f"- {note}" for note in report.notes)]
    return "\n".join(text).rstrip() + "\n"


def put_into(page: str, report: RivalsReport) -> str:
    """The page with these figures in place of those that it has. Raises `ValueError` if it has no place."""
    pattern = re.compile(f"({re.escape(_BEGIN)}\n).*?({re.escape(_END)})", re.DOTALL)
    changed, places = pattern.subn(lambda found: f"{found[1]}\n{markdown(report)}\n{found[2]}", page)
    if not places:
        raise ValueError(f"the page has no lines {_BEGIN!r} and {_END!r} between which the figures go")
    return changed


def _cells(report: RivalsReport) -> list[list[str]]:
    """The header, then a line for each row; a line of one cell is the title of a scenario."""
    ours, *others = report.contestants
    titles = {key: CONTESTANTS[key].title for key in report.contestants}
    ratios = [f"{titles[ours]} ÷ {titles[other]}" for other in others]
    cells = [["", *titles.values(), *ratios]]
    names = {scenario.key: scenario.title for scenario in SCENARIOS}
    before = ""
    for row in report.rows:
        if row.scenario != before:
            cells.append([f"{row.scenario}: {names[row.scenario]}"])
            before = row.scenario
        cells.append(_row_cells(row, report.contestants))
    return cells


def _row_cells(row: Row, contestants: list[str]) -> list[str]:
    unit = f", {row.measure.unit}" if row.measure.unit else ""
    cells = [f"{row.measure.title}{unit}"]
    for key in contestants:
        value = row.values.get(key)
        text = "–" if value is None else value.text(row.measure.digits)
        cells.append(f"{text} *" if key in row.limited else text)
    for key in contestants[1:]:
        ratio = row.ratios.get(key)
        cells.append("" if ratio is None else ratio.text(2))
    return cells


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _processor() -> str:
    """What the kernel calls the processor."""
    with_names = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", with_names.read_text()) if with_names.exists() else None
    return found[1] if found else platform.machine()
