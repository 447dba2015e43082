"""Calls as files: JSON documents, or rows of a table for a spreadsheet."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from statistics import median
from typing import Final, TypeAlias

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from voice_app.calls import CallState, call_document
from voice_app.calls.spreadsheet import line
from voice_app.cli.journal import calls_named
from voice_app.cli.options import CallFormat
from voice_app.cli.output import written
from voice_app.findings import printable
from voice_app.journal import CallRecord, Entry, Journal, Selection
from voice_app.journal.events import HandedOff

COLUMNS: Final = (
    *("call_sid", "from", "to", "direction", "status", "opened", "closed", "seconds"),
    *("caller_turns", "interruptions", "first_token_ms", "handoff", "handoff_reason", "conversation_id"),
    "transcript",
)
_WHO: Final = {"user": "caller", "assistant": "agent", "person": "person"}

_Found: TypeAlias = AsyncIterator[tuple[CallRecord, list[Entry]]]


async def export_calls(
    journal: Journal,
    wanted: Selection | list[str],
    format_: CallFormat,
    output: str | None,
    *,
    force: bool = False,
) -> int:
    """Write calls, by a selection or their ids, to a file or to standard output. Gives how many there were.

    Raises:
        typer.BadParameter: the file cannot be written.
        typer.Exit: 2 for an id that is not in the journal, 3 for a disk that failed.
    """
    if isinstance(wanted, Selection):
        calls = journal.select(wanted, newest_first=False)
    else:
        calls = _listed(await calls_named(journal, wanted))
    write = _WRITERS[format_]
    with written(output, force) as put, _progress(output) as progress:
        task = progress.add_task("")
        async for text in write(_read(journal, calls, lambda: progress.advance(task)), output is None):
            put(text)
    return int(progress.tasks[task].completed)


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
        yield json.dumps(call_document(call, entries), ensure_ascii=ascii_only) + "\n"


async def _json(found: _Found, ascii_only: bool) -> AsyncIterator[str]:
    lead = "[\n"
    async for call, entries in found:
        yield lead + json.dumps(call_document(call, entries), ensure_ascii=ascii_only)
        lead = ",\n"
    yield "[]\n" if lead == "[\n" else "\n]\n"


async def _csv(found: _Found, ascii_only: bool) -> AsyncIterator[str]:
    # The mark tells spreadsheets that a file is UTF-8. A terminal or a pipe has no use for it.
    yield ("" if ascii_only else "\ufeff") + line(COLUMNS)
    async for call, entries in found:
        yield line(row(call, entries))


_WRITERS: Final = {CallFormat.JSONL: _jsonl, CallFormat.JSON: _json, CallFormat.CSV: _csv}


@contextmanager
def _progress(output: str | None) -> Iterator[Progress]:
    """Counts the calls. In a terminal that has nothing else to show, people see it on standard error."""
    screen = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,} calls"), TimeElapsedColumn())
    hidden = not screen.is_terminal or (output is None and sys.stdout.isatty())
    with Progress(*columns, console=screen, transient=True, disable=hidden) as progress:
        yield progress


# --- rows of a spreadsheet ----------------------------------------------------------------------


def row(call: CallRecord, entries: Sequence[Entry]) -> list[str | float | None]:
    """One call, in the order of `COLUMNS`. Times are those of this machine's time zone."""
    state = CallState.of(entries)
    said = state.transcript.lines()
    quickness = [item.first_token_ms for item in said if item.first_token_ms is not None]
    handoffs = state.events(HandedOff)
    return [
        call.call_sid,
        call.from_,
        call.to,
        call.direction,
        call.status,
        _time(call.opened_at),
        _time(call.closed_at),
        None if call.duration_s is None else round(call.duration_s, 1),
        sum(item.role == "user" for item in said),
        sum(item.heard is not None for item in said),
        round(median(quickness), 1) if quickness else None,
        handoffs[-1].step if handoffs else "",
        next((event.reason for event in handoffs if event.reason), ""),
        state.conversation_id or "",
        "\n".join(f"{_WHO[item.role]}: {printable(item.content)}" for item in said if item.content.strip()),
    ]


def _time(at: float | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
