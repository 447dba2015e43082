"""The erasure of one caller: what there is, whether it is meant, and what is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

import msgspec
from rich.table import Table

from voice_app.cli.account import TwilioAccount, account, exit_code
from voice_app.cli.call_tables import time_of
from voice_app.cli.output import Confirmation, complain, note, plain, print_json
from voice_app.findings import counted
from voice_app.followups.erasure import AtTwilio, CallerData, caller_data, erase_files, refusal, still_there
from voice_app.journal import Journal
from voice_app.settings import Settings, load
from voice_app.twilio import ApiError
from voice_app.twilio.erasure import Erasure

_SHOWN: Final = 5


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


# --- the erasure ----------------------------------------------------------------------------------


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
        if (why := refusal(caller)) is not None:
            complain(why)
            return 1
        twilio = None if self.account is None else _at_twilio(self.account, caller)
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
        missing = erase_files(self.settings.recordings, caller.files)
        for name, why in missing.items():
            complain(f"The recording {name} was not erased: {why}. Look for it elsewhere.")
        return [*missing]

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


def _at_twilio(account: TwilioAccount, caller: CallerData) -> AtTwilio:
    return AtTwilio(Erasure(account.api, account.scope.account_sid), account.named, caller)
