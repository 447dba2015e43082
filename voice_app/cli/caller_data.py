"""What the journal knows of one caller."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from rich.table import Table

from voice_app.calls import CallState, Parties
from voice_app.cli.call_tables import time_of
from voice_app.cli.output import plain
from voice_app.journal import CallRecord, Entry, Journal, Selection
from voice_app.journal.events import Conversed, Recognised, Stored, Voicemail

LONGEST_CALL_S: Final = 4 * 3600.0
"""Twilio ends a call after four hours, if it was not told otherwise."""

_SHOWN: Final = 5


class CallerData(msgspec.Struct, kw_only=True):
    """Calls from or to one address, and the ids that stand in them."""

    address: str
    """E.164, ``client:…`` or ``sip:…``."""
    calls: list[CallRecord] = []
    """Oldest first."""
    events: int = 0
    conversations: list[str] = []
    profiles: list[str] = []
    recordings: list[str] = []
    files: list[str] = []
    """The recordings that were fetched, by the names of their files."""

    @property
    def ours(self) -> bool:
        """Whether this is a number that the server answers, and not a caller's."""
        return any(Parties.of(call).number == self.address for call in self.calls)

    @property
    def on_the_line(self) -> list[CallRecord]:
        """The calls that go on, as far as the journal can tell."""
        since = time.time() - LONGEST_CALL_S
        return [call for call in self.calls if call.closed_at is None and call.last_at > since]

    def add(self, call: CallRecord, entries: list[Entry]) -> None:
        """One more call."""
        self.calls.append(call)
        self.events += len(entries)
        state = CallState.of(entries)
        _put(self.conversations, (event.conversation_id for event in state.events(Conversed)))
        _put(self.profiles, (event.profile_id for event in state.events(Recognised)))
        _put(self.recordings, (event.recording_sid for event in state.events(Voicemail)))
        _put(self.files, (event.file for event in state.events(Stored)))


async def read(journal: Journal, address: str) -> CallerData:
    """All that there is under an address. Raises `JournalError`."""
    caller = CallerData(address=address)
    async for call in journal.select(Selection(address=address), newest_first=False):
        caller.add(call, await journal.events(call.call_sid))
    for conversation_id in caller.conversations:
        caller.events += len(await journal.events(conversation_id))
    return caller


async def left(journal: Journal, address: str, ids: Iterable[str]) -> list[str]:
    """The calls of an address that can be read, and what else of these ids. Raises `JournalError`."""
    calls = [call.call_sid async for call in journal.select(Selection(address=address))]
    return [*calls, *[item for item in ids if item not in calls and await journal.events(item)]]


def table(caller: CallerData, at_twilio: Mapping[str, Sequence[str]] | None) -> Table:
    """What there is, in the journal and (by kind) at Twilio."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    if caller.calls:
        first, last = time_of(caller.calls[0].opened_at), time_of(caller.calls[-1].opened_at)
        grid.add_row("calls", f"{len(caller.calls)}, {first} to {last}")
        grid.add_row("events", str(caller.events))
    if caller.files:
        grid.add_row("files", plain(", ".join(caller.files)))
    for name, ids in (at_twilio or {}).items():
        if ids:
            more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
            grid.add_row(f"{name} at Twilio", plain(", ".join(ids[:_SHOWN]) + more))
    return grid


def _put(ids: list[str], values: Iterable[str]) -> None:
    """Add what is not there yet."""
    ids[:] = dict.fromkeys([*ids, *filter(None, values)])
