"""``voice-app calls export``"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from voice_app.cli import spreadsheet
from voice_app.cli.call_tables import document
from voice_app.cli.journal import DatabaseUrl, Number, Region, Since, Until, ask, selection
from voice_app.cli.output import complain, counted
from voice_app.journal import CallRecord, Entry, Journal, Selection

STDOUT: Final = "-"

_Found: TypeAlias = AsyncIterator[tuple[CallRecord, list[Entry]]]


class CallFormat(StrEnum):
    """How calls are written down."""

    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"


def export(
    call_sids: Annotated[
        list[str] | None, typer.Argument(metavar="CALL_SID", help="Only these calls, CA….")
    ] = None,
    number: Number = None,
    region: Region = None,
    since: Since = None,
    until: Until = None,
    format_: Annotated[
        CallFormat,
        typer.Option("--format", help="One JSON document a line, all in one JSON list, or a table."),
    ] = CallFormat.JSONL,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where to; - is standard output.")
    ] = STDOUT,
    database_url: DatabaseUrl = None,
) -> None:
    """Export calls, oldest first: what is known of each, who said what, what of it was heard, every event.

    A file gets its name once it is complete, and only its owner can read it.

    csv is a row for each call. A cell that begins with = + - @ gets an apostrophe, and is no formula then.

    Phone numbers begin with + too and stay as they are: they can do no harm.

    Example: voice-app calls export --since 2026-11-01 --format csv --output november.csv
    """
    wanted = selection(number, region, since, until)
    if call_sids and wanted != Selection():
        raise typer.BadParameter("Give the ids of calls, or say which with --number, --since and --until.")

    async def write(journal: Journal) -> int:
        calls = await _known(journal, call_sids) if call_sids else journal.select(wanted, newest_first=False)
        write = _WRITERS[format_]
        with _opened(output) as put, _progress(output) as progress:
            task = progress.add_task("")
            async for text in write(_read(journal, calls, lambda: progress.advance(task)), output == STDOUT):
                put(text)
        return int(progress.tasks[task].completed)

    done = ask(database_url, write)
    typer.echo(f"{counted(done, 'call')} exported.", err=True)


async def _known(journal: Journal, call_sids: list[str]) -> AsyncIterator[CallRecord]:
    """These calls, in this order. Exit code 2 if there is none of that id, before anything is written."""
    found = [await journal.call(call_sid) for call_sid in dict.fromkeys(call_sids)]
    missing = [sid for sid, call in zip(dict.fromkeys(call_sids), found, strict=True) if call is None]
    if missing:
        complain(f"There is no call {', '.join(missing)} in this journal: see `voice-app calls list`.")
        raise typer.Exit(2)
    return _listed([call for call in found if call is not None])


async def _listed(calls: list[CallRecord]) -> AsyncIterator[CallRecord]:
    for call in calls:
        yield call


async def _read(journal: Journal, calls: AsyncIterator[CallRecord], done: Callable[[], None]) -> _Found:
    """The calls with their events, one at a time. What was erased since it was listed is left out."""
    async for call in calls:
        entries = await journal.events(call.call_sid)
        if entries:
            yield call, entries
            done()


async def _jsonl(found: _Found, ascii_only: bool) -> AsyncIterator[str]:
    async for call, entries in found:
        yield json.dumps(document(call, entries), ensure_ascii=ascii_only) + "\n"


async def _json(found: _Found, ascii_only: bool) -> AsyncIterator[str]:
    lead = "[\n"
    async for call, entries in found:
        yield lead + json.dumps(document(call, entries), ensure_ascii=ascii_only)
        lead = ",\n"
    yield "[]\n" if lead == "[\n" else "\n]\n"


async def _csv(found: _Found, ascii_only: bool) -> AsyncIterator[str]:
    # The mark tells spreadsheets that a file is UTF-8. A terminal or a pipe has no use for it.
    yield ("" if ascii_only else "\ufeff") + spreadsheet.line(spreadsheet.COLUMNS)
    async for call, entries in found:
        yield spreadsheet.line(spreadsheet.row(call, entries))


_WRITERS: Final = {CallFormat.JSONL: _jsonl, CallFormat.JSON: _json, CallFormat.CSV: _csv}


@contextmanager
def _opened(output: str) -> Iterator[Callable[[str], object]]:
    """Where to write. A file is written under another name, and gets its own when the block is over."""
    if output == STDOUT:
        yield sys.stdout.write
        return
    path = Path(output).resolve()
    if path.exists() and not path.is_file():
        raise typer.BadParameter(f"--output: {output} is no file. Name one, or - for standard output.")
    try:
        descriptor, name = tempfile.mkstemp(".part", f".{path.name}.", path.parent)
    except OSError as error:
        raise typer.BadParameter(f"--output: {output} cannot be written: {error.strerror}.") from None
    part = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file.write
            file.flush()
            os.fsync(descriptor)
        part.replace(path)
    except OSError as error:
        complain(f"{output} was not written: {error.strerror}.")
        raise typer.Exit(3) from None
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _progress(output: str) -> Iterator[Progress]:
    """Counts the calls. In a terminal that has nothing else to show, people see it on standard error."""
    screen = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,} calls"), TimeElapsedColumn())
    hidden = not screen.is_terminal or (output == STDOUT and sys.stdout.isatty())
    with Progress(*columns, console=screen, transient=True, disable=hidden) as progress:
        yield progress
