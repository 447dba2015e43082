"""Calls as rows of a table, for a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from statistics import median
from typing import Final

from voice_app.calls import CallState
from voice_app.cli.output import printable
from voice_app.journal import CallRecord, Entry
from voice_app.journal.events import HandedOff

COLUMNS: Final = (
    *("call_sid", "from", "to", "direction", "status", "opened", "closed", "seconds"),
    *("caller_turns", "interruptions", "first_token_ms", "handoff", "handoff_reason", "conversation_id"),
    "transcript",
)
MAX_CELL: Final = 32_767
"""Characters of a cell. Spreadsheets take no more."""

_WHO: Final = {"user": "caller", "assistant": "agent", "person": "person"}
_FORMULA: Final = re.compile("[=+@＝＋－＠-]")
_NUMBER: Final = re.compile(r"\+\d{1,15}")


def line(cells: Iterable[str | float | None]) -> str:
    """One row of a CSV file (RFC 4180) in which nothing is a formula."""
    text = io.StringIO(newline="")
    csv.writer(text).writerow([cell(value) if isinstance(value, str) else value for value in cells])
    return text.getvalue()


def cell(text: str) -> str:
    """The text as a spreadsheet may have it: what would be a formula gets an apostrophe in front.

    A phone number begins with a plus too, and stays as it is: it can do nothing, and whoever reads the file
    with a program wants it unchanged.
    """
    safe = "\n".join(printable(part) for part in text.split("\n"))
    if _FORMULA.match(safe) and not _NUMBER.fullmatch(safe):
        safe = "'" + safe
    return safe[:MAX_CELL]


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
