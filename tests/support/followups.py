"""Follow-ups that work with a real journal and the double of Twilio, without DBOS between."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from support.receiver import Receiver, receiving
from voice_app.followups.context import FollowupTask, Work
from voice_app.journal import Journal
from voice_app.journal.events import Event, FollowedUp, Opened, Served
from voice_app.sandbox.twilio import SandboxAccount, double_app
from voice_app.sandbox.twilio.app import serve
from voice_app.sandbox.twilio.conversation_store import create_conversation
from voice_app.twilio import Credentials, Patience, TwilioApi

CALL = "CA" + "7" * 32
CALLER, OURS = "+15550199999", "+15550100001"


@dataclass(slots=True)
class Office:
    """Where a task is tried by hand."""

    journal: Journal
    account: SandboxAccount
    api: TwilioApi
    configuration_id: str
    ago: float = 0.0
    """What is written to the journal happened so many seconds ago."""

    def conversation(self, *more: dict[str, str], configuration_id: str | None = None) -> str:
        """The conversation of the call; ``more`` are further addresses of the caller."""
        voice = {"channel": "VOICE", "channelId": CALL}
        people = [
            {"type": "CUSTOMER", "addresses": [{**voice, "address": CALLER}, *more]},
            {"type": "AI_AGENT", "addresses": [{**voice, "address": OURS}]},
        ]
        return create_conversation(self.account, configuration_id or self.configuration_id, people).id

    def write(self, *events: Event, call_sid: str = CALL) -> None:
        """Write what happened on a call; one that was opened was answered with our configuration."""
        for event in events:
            self.journal.write(call_sid, event)
            if isinstance(event, Opened):
                self.journal.write(
                    call_sid, Served("answer.xml", "answer", "", "relay", self.configuration_id)
                )

    async def attempt(
        self, task: FollowupTask, *, asked_at: float | None = None, number: int = 0, call_sid: str = CALL
    ) -> float | None:
        """One attempt: seconds until the next, None if it is done."""
        work = Work(self.journal, [task])
        return await work.attempt(call_sid, task.name, asked_at or time.time(), number)

    async def outcome(self, step: str, call_sid: str = CALL) -> tuple[str, str]:
        """What the journal says came of it."""
        found = [entry.event for entry in await self.journal.events(call_sid)]
        events = [event for event in found if isinstance(event, FollowedUp) and event.step == step]
        assert len(events) == 1, found
        return events[0].outcome, events[0].detail

    def requests(self, method: str, ending: str) -> int:
        return sum(
            verb == method and path.partition("?")[0].endswith(ending) and status < 300
            for verb, path, status in self.account.requests
        )


@pytest.fixture
def account() -> SandboxAccount:
    return SandboxAccount()


@pytest.fixture
async def office(account: SandboxAccount, tmp_path: Path) -> AsyncIterator[Office]:
    def clock() -> float:
        return time.time() - found.ago

    async with (
        serve(double_app(account)) as base_url,
        aiohttp.ClientSession() as http,
        Journal(f"sqlite:///{tmp_path}/journal.db", clock=clock) as journal,
    ):
        patience = Patience(attempts=1)
        api = TwilioApi(http, Credentials(account.sid, "sandbox"), base_url=base_url, patience=patience)
        found = Office(journal, account, api, account.add_configuration())
        yield found


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found
