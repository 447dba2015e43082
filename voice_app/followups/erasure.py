"""What the journal, this machine and Twilio have of one caller. `voice-app calls forget` and the console show
it, and erase it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from voice_app.calls import CallerAddress, CallState, Parties
from voice_app.journal import CallRecord, Entry, Journal, Selection
from voice_app.journal.events import Conversed, Recognised, Stored, Voicemail
from voice_app.twilio import ApiError
from voice_app.twilio.erasure import Clues, Erasure, Traces
from voice_app.twilio.identifiers import IdKind, problem

LONGEST_CALL_S: Final = 4 * 3600.0
"""Twilio ends a call after four hours, if it was not told otherwise."""

PATIENCE_S: Final = 15.0
"""How long it is waited until what was erased is gone: Twilio takes it in at once, and is done later."""
_PAUSE_S: Final = 0.5


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


async def caller_data(journal: Journal, address: str) -> CallerData:
    """All that there is under an address. Raises `JournalError`."""
    caller = CallerData(address=address)
    async for call in journal.select(Selection(address=address), newest_first=False):
        caller.add(call, await journal.events(call.call_sid))
    for conversation_id in caller.conversations:
        caller.events += len(await journal.events(conversation_id))
    return caller


async def still_there(journal: Journal, address: str, ids: Iterable[str]) -> list[str]:
    """The calls of an address that can be read, and what else of these ids. Raises `JournalError`."""
    calls = [call.call_sid async for call in journal.select(Selection(address=address))]
    return [*calls, *[item for item in ids if item not in calls and await journal.events(item)]]


def refusal(caller: CallerData) -> str | None:
    """Why this caller is not forgotten."""
    if caller.ours:
        return (
            f"{caller.address} is a number of this server, not a caller's: all its calls would be erased. "
            "`voice-app calls purge` erases calls by their age."
        )
    if caller.on_the_line:
        sids = ", ".join(call.call_sid for call in caller.on_the_line)
        return f"{sids} is not over: it would be written down further. Wait for its end."
    return None


def erase_files(folder: Path | None, names: Iterable[str]) -> dict[str, str]:
    """Erase recordings in the folder of this machine. Gives those that could not be erased, and why."""
    missing = {}
    for name in names:
        why = _erased(folder / Path(name).name) if folder else "VOICE_APP_RECORDINGS is not set here"
        if why:
            missing[name] = why
    return missing


def _erased(file: Path) -> str:
    """Erase a file; why it could not be, if so."""
    try:
        file.unlink()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _put(ids: list[str], values: Iterable[str]) -> None:
    """Add what is not there yet."""
    ids[:] = dict.fromkeys([*ids, *filter(None, values)])


class AtTwilio:
    """One caller in one account. Each method raises `ApiError`."""

    def __init__(self, erasure: Erasure, named: Iterable[str], caller: CallerData) -> None:
        """``named``: the configurations and conversations that our TwiML names."""
        self._erasure = erasure
        self._clues = Clues(
            address=caller.address,
            phone=CallerAddress.read(caller.address).phone,
            configurations=[name for name in named if problem(name, IdKind.CONVERSATION)],
            call_sids=[call.call_sid for call in caller.calls],
            conversation_ids=caller.conversations,
            profile_ids=caller.profiles,
            recording_sids=caller.recordings,
        )
        self._traces = Traces()

    async def find(self) -> dict[str, list[str]]:
        """Look what there is: ids, by kind."""
        found = self._traces = await self._erasure.find(self._clues)
        return {
            "conversations": list(found.conversations),
            "operator results": list(found.results),
            "profiles": [profile for _, profile in found.profiles],
            "recordings": list(found.recordings),
            "records of calls": list(found.calls),
        }

    async def erase(self) -> dict[str, ApiError]:
        """Erase what was found. Gives what could not be, and why."""
        return await self._erasure.erase(self._traces)

    async def left(self) -> list[str]:
        """What can still be found of it, after some patience."""
        ends = time.monotonic() + PATIENCE_S
        while True:
            found = await self._erasure.find(replace(self._clues, recording_sids=(), call_sids=()))
            ids = [*found.conversations, *found.results, *(profile for _, profile in found.profiles)]
            if not ids or time.monotonic() > ends:
                return ids
            await asyncio.sleep(_PAUSE_S)
