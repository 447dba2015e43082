"""Journals with something in them, for tests of what reads and erases them; and one with nothing yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from voice_app.journal import Journal
from voice_app.journal.events import Closed, Event, Opened, Prompted, Replied
from voice_app.journal.store import Store

THEN = 1_700_000_000.0
"""Seconds since the epoch: when the first event is written, where nothing else is said."""


def prepare(file: Path) -> None:
    """Put a journal there that has its tables and nothing in them, where there is no file yet.

    A server would make it, in a quarter of the time that it takes to start.
    """
    if not file.exists():
        file.write_bytes(_empty())


@cache
def _empty() -> bytes:
    with TemporaryDirectory() as folder:
        file = Path(folder, "journal.db")
        store = Store(f"sqlite:///{file}")
        store.create()
        store.close()
        return file.read_bytes()


async def write(
    url: str, calls: Mapping[str, Sequence[Event]], *, at: float = THEN, step: float = 1.0
) -> None:
    """Write calls into a journal, one event every ``step`` seconds."""
    now = at - step

    def clock() -> float:
        nonlocal now
        now += step
        return now

    async with Journal(url, clock=clock) as journal:
        for call_sid, events in calls.items():
            for event in events:
                journal.write(call_sid, event)


def in_parts(written: Sequence[tuple[str, Event]]) -> list[tuple[str, Event]]:
    """What was written on some calls, where no part of a reply begins beyond what was told of it before."""
    known: dict[tuple[str, str, int], str] = {}
    found: list[tuple[str, Event]] = []
    for call_sid, event in written:
        if isinstance(event, Replied):
            reply = call_sid, event.session_id, event.reply
            told = known.get(reply, "")
            event = msgspec.structs.replace(event, begin=min(event.begin, len(told)))
            known[reply] = event.after(told)
        found.append((call_sid, event))
    return found


def talk(
    from_: str, to: str = "+15550100009", *, said: str = "Are you open?", direction: str = "inbound"
) -> list[Event]:
    """A short call that is over."""
    return [
        Opened(from_, to, direction),
        Prompted(said),
        Replied(1, "VX1", "We are open from nine to five.", True, 12.4, 90.0),
        Closed("completed", 9.0),
    ]
