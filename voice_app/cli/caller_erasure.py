"""What the journal, this machine and Twilio have of one caller, and its erasure."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec
from rich.table import Table

from voice_app.calls import CallerAddress, CallState, Parties
from voice_app.cli.account import TwilioAccount, account, exit_code
from voice_app.cli.call_tables import time_of
from voice_app.cli.output import Confirmation, complain, note, plain, print_json
from voice_app.findings import counted
from voice_app.journal import CallRecord, Entry, Journal, Selection
from voice_app.journal.events import Conversed, Recognised, Stored, Voicemail
from voice_app.settings import Settings, load
from voice_app.twilio import ApiError
from voice_app.twilio.erasure import Clues, Erasure, Traces
from voice_app.twilio.identifiers import IdKind, problem

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


def caller_table(caller: CallerData, at_twilio: Mapping[str, Sequence[str]] | None) -> Table:
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


# --- the erasure ----------------------------------------------------------------------------------


PATIENCE_S: Final = 15.0
"""How long it is waited until what was erased is gone: Twilio takes it in at once, and is done later."""
_PAUSE_S: Final = 0.5


class ErasureOutcome(msgspec.Struct, kw_only=True):
    """What the command reports as JSON."""

    address: str
    calls: list[str] = []
    events: int = 0
    conversations: list[str] = []
    files: list[str] = []
    at_twilio: dict[str, list[str]] | None = None
    """What Twilio had, by kind; None if it was not asked."""
    erased: bool = False
    failed: dict[str, str] = {}
    """What Twilio did not erase, and why."""
    left: list[str] = []
    """What is still there, although it was erased."""


async def erase_caller(
    journal: Journal, address: str, confirmation: Confirmation, *, at_twilio: bool, url: str | None
) -> int:
    """Show what there is of a caller, ask, erase it, and look again. Gives the exit code.

    Args:
        address: as the journal has it: E.164, ``client:…`` or ``sip:…``.
        at_twilio: whether to erase it there, too.
        url: the server whose sandbox stands for Twilio, if any.
    """
    settings = load()
    async with AsyncExitStack() as stack:
        asked = await stack.enter_async_context(account(url)) if at_twilio else None
        erasing = _Erasing(journal, settings, confirmation, asked, ErasureOutcome(address=address))
        try:
            return await erasing.run()
        except ApiError as error:
            complain(str(error))
            return exit_code(error)


@dataclass(slots=True)
class _Erasing:
    """One caller, who is being forgotten. Each step gives an exit code."""

    journal: Journal
    settings: Settings
    confirmation: Confirmation
    account: TwilioAccount | None
    """Where to erase, too; None leaves Twilio alone."""
    outcome: ErasureOutcome

    async def run(self) -> int:
        caller = await caller_data(self.journal, self.outcome.address)
        refusal = _refusal(caller)
        if refusal is not None:
            complain(refusal)
            return 1
        twilio = AtTwilio(self.account, caller) if self.account is not None else None
        self.outcome.at_twilio = await twilio.find() if twilio is not None else None
        self.outcome.calls = [call.call_sid for call in caller.calls]
        self.outcome.events = caller.events
        self.outcome.conversations, self.outcome.files = caller.conversations, caller.files
        code = 0
        if not caller.calls and not any((self.outcome.at_twilio or {}).values()):
            self.confirmation.say(f"There is nothing of {caller.address}.")
        else:
            self.confirmation.show(caller_table(caller, self.outcome.at_twilio))
            if self.confirmation.given("Erase all of this? It cannot be undone."):
                code = await self._erase(caller, twilio)
        if self.confirmation.as_json:
            print_json(self.outcome)
        return code

    async def _erase(self, caller: CallerData, twilio: AtTwilio | None) -> int:
        if twilio is not None and (failures := await twilio.erase()):
            self.outcome.failed = {name: error.answer for name, error in failures.items()}
            for name, error in failures.items():
                complain(f"{name} was not erased: {error}")
            note("The journal was left as it is, with the ids of these. Give the command once more.")
            return max(map(exit_code, failures.values()))
        forgotten = await self.journal.forget(caller.address)
        self.outcome.erased, self.outcome.events = True, forgotten.events
        self.outcome.calls = [*forgotten.call_sids]
        self.outcome.conversations = [*forgotten.conversation_ids]
        ids = (*forgotten.call_sids, *forgotten.conversation_ids)
        still = await still_there(self.journal, caller.address, ids)
        if twilio is not None:
            still += await twilio.left()
        self.outcome.left = still + self._erase_files(caller)
        self._tell(still)
        return 1 if self.outcome.left else 0

    def _erase_files(self, caller: CallerData) -> list[str]:
        """Erase the recordings that this machine has. Gives the names of the others."""
        folder, missing = self.settings.recordings, []
        for name in caller.files:
            why = _erased(folder / Path(name).name) if folder else "VOICE_APP_RECORDINGS is not set here"
            if why:
                complain(f"The recording {name} was not erased: {why}. Look for it elsewhere.")
                missing.append(name)
        return missing

    def _tell(self, still: list[str]) -> None:
        """What was done, and what is beyond our reach."""
        say, outcome = self.confirmation.say, self.outcome
        erased = f"{counted(len(outcome.calls), 'call')} with {counted(outcome.events, 'event')}"
        if still:
            complain(
                f"Erased {erased}, but this can still be read: {', '.join(still)}. A call may have come in "
                "meanwhile, and Twilio may need longer for what it took in: give the command once more."
            )
        else:
            say(f"Erased {erased}, and looked again: nothing is left.")
        if self.account is None:
            say(
                "Twilio keeps conversations, recordings and records of calls of its own, and what its Memory "
                "knows: --at-twilio erases them."
            )
        else:
            say("The logs of Twilio's debugger and of Voice Insights cannot be erased by API: they expire.")
        if any(self.settings.spool.glob("*/*.log")):
            note(
                f"Events wait in {self.settings.spool} until the database takes them, perhaps of calls that "
                "it does not know yet. Give the command once more when they are written."
            )
        if self.settings.report_url is not None:
            say("Who was sent reports of these calls (VOICE_APP_REPORT_URL) has them still.")


def _refusal(caller: CallerData) -> str | None:
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


def _erased(file: Path) -> str:
    """Erase a file; why it could not be, if so."""
    try:
        file.unlink()
    except OSError as error:
        return error.strerror or str(error)
    return ""


class AtTwilio:
    """One caller in one account. Each method raises `ApiError`."""

    def __init__(self, account: TwilioAccount, caller: CallerData) -> None:
        self._erasure = Erasure(account.api, account.scope.account_sid)
        self._clues = Clues(
            address=caller.address,
            phone=CallerAddress.read(caller.address).phone,
            configurations=[name for name in account.named if problem(name, IdKind.CONVERSATION)],
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
