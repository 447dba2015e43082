"""``voice-app stats``: calls in figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from voice_app.cli.options import AsJson, DatabaseUrl, Since, Until

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from voice_app.console.figures import CallFigures, FigureRow
    from voice_app.journal import Journal

BY: Final = "day,number,agent,reason"


def stats(
    by: Annotated[
        str,
        typer.Option(
            "--by", help="Separated by commas: hour, day, number, agent, variant, reason, outcome; or total."
        ),
    ] = BY,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Count calls in groups: what became of them, how quick the replies were.

    Calls of the last week, if nothing else is said. Days are those of VOICE_APP_TIMEZONE.

    Example: voice-app stats --by day,agent --since 2026-11-01
    """
    from voice_app.cli.journal import ask
    from voice_app.cli.output import console, print_json
    from voice_app.console.figures import FigureQuery, figures
    from voice_app.journal.statistics import GROUPINGS
    from voice_app.settings import load

    wanted = [name for name in GROUPINGS if name in by.split(",")]
    wrong = sorted(set(by.split(",")) - set(wanted))
    if wrong:
        raise typer.BadParameter(f"--by: {wrong[0]!r} should be one of {', '.join(GROUPINGS)}.")
    asked, zone = {"from": since or "", "to": until or ""}, load().zone
    try:
        queries = [FigureQuery.of(asked | {"by": name}, zone) for name in wanted]
    except ValueError as error:
        raise typer.BadParameter(f"--since, --until: {error}") from None

    async def read(journal: Journal) -> list[CallFigures]:
        return [await figures(journal, query) for query in queries]

    found = ask(database_url, read)
    if as_json:
        print_json({"figures": found})
        return
    for item in found:
        console().print(_table(item))


def _table(found: CallFigures) -> Table:
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column(found.by.capitalize(), overflow="fold")
    titles = ("Calls", "Contained", "Handed over", "Messages", "Turned away", "Silent", "Unanswered")
    for title in (*titles, "Cut in", "Failed", "Length", "First word", "Voice", "Cost"):
        grid.add_column(title, justify="right")
    for row in found.rows:
        grid.add_row(*_cells(row, row.key or "(none)"))
    grid.add_row(*_cells(found.total, "Total"), style="bold")
    return grid


def _cells(row: FigureRow, name: str) -> list[Text]:
    from voice_app.cli.output import plain

    counts = (
        *(row.calls, row.contained, row.handed_over, row.voicemails, row.turned_away, row.silent),
        *(row.unanswered, row.interrupted, row.agent_failed),
    )
    length = "" if row.mean_seconds is None else f"{row.mean_seconds:.0f} s"
    quick = [
        _quantiles(row.first_token_p50_ms, row.first_token_p95_ms),
        _quantiles(row.sound_p50_ms, row.sound_p95_ms),
    ]
    return [plain(text) for text in (name, *map(str, counts), length, *quick, row.cost)]


def _quantiles(half: float | None, most: float | None) -> str:
    """p50 and p95, in milliseconds."""
    return "" if half is None or most is None else f"{half:.0f}, {most:.0f} ms"
