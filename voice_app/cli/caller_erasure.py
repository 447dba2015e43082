"""``voice-app calls forget``"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from voice_app.cli.account import TwilioAccount, Url, account, exit_code
from voice_app.cli.caller_data import CallerData, left, read, table
from voice_app.cli.confirmation import AsJson, Confirmation, DryRun, Yes
from voice_app.cli.journal import DatabaseUrl, Region, address, ask
from voice_app.cli.output import complain, counted, print_json
from voice_app.cli.twilio_erasure import AtTwilio
from voice_app.journal import Journal
from voice_app.settings import Settings, load
from voice_app.twilio import ApiError


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


def forget(
    number: Annotated[
        str,
        typer.Argument(metavar="NUMBER", help="Whom: a number, however it is written, or client:…, sip:…."),
    ],
    at_twilio: Annotated[
        bool, typer.Option("--at-twilio", help="Erase what Twilio keeps of these calls as well.")
    ] = False,
    region: Region = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    database_url: DatabaseUrl = None,
    url: Url = None,
) -> None:
    """Erase one caller everywhere: all calls from or to a number, with everything that happened on them.

    It shows what would be erased, asks, erases, and looks whether anything is left.

    What other servers still have to write of these calls is dropped. New calls of the number are kept again.

    --at-twilio: conversations, operator results, the profile in Memory, recordings, records of the calls.

    Twilio goes first: if something fails there, the journal keeps the ids, and you can try again.

    Exit code: 0 done, 1 refused or something is left, 2 usage or settings, 3 Twilio could not be asked.

    Example: voice-app calls forget "+1 (555) 010-0001" --at-twilio
    """
    if url is not None and not at_twilio:
        raise typer.BadParameter("--url needs --at-twilio.")
    who, settings, confirmation = address(number, region), load(), Confirmation(yes, dry_run, as_json)

    async def question(journal: Journal) -> int:
        async with AsyncExitStack() as stack:
            asked = await stack.enter_async_context(account(url)) if at_twilio else None
            forgetting = _Forgetting(journal, settings, confirmation, asked, ErasureOutcome(address=who))
            try:
                return await forgetting.run()
            except ApiError as error:
                complain(str(error))
                return exit_code(error)

    raise typer.Exit(ask(database_url, question))


@dataclass(slots=True)
class _Forgetting:
    """One caller, who is being forgotten. Each step gives an exit code."""

    journal: Journal
    settings: Settings
    confirmation: Confirmation
    account: TwilioAccount | None
    """Where to erase, too; None leaves Twilio alone."""
    outcome: ErasureOutcome

    async def run(self) -> int:
        caller = await read(self.journal, self.outcome.address)
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
            self.confirmation.show(table(caller, self.outcome.at_twilio))
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
            complain("The journal was left as it is, with the ids of these. Give the command once more.")
            return max(map(exit_code, failures.values()))
        forgotten = await self.journal.forget(caller.address)
        self.outcome.erased, self.outcome.events = True, forgotten.events
        self.outcome.calls = [*forgotten.call_sids]
        self.outcome.conversations = [*forgotten.conversation_ids]
        ids = (*forgotten.call_sids, *forgotten.conversation_ids)
        still = await left(self.journal, caller.address, ids)
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
            complain(
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
