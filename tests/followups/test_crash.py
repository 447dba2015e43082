"""A server that is killed in the middle of its follow-ups: nothing is lost, and nothing done is repeated.

Real processes and real databases. The server is killed as it asks the double of Twilio for something: before
that is done, or when it is done and the answer has not left. The receiver of reports does the same.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.commands import served
from support.figures import Record, show
from support.journals import write
from support.postgres import Postgres
from support.preloaded import CommandProcess
from support.receiver import SECRET, Receiver, receiving
from support.traps import Trap, Trapped
from voice_app.followups.followups import ALIVE_S
from voice_app.journal import Journal
from voice_app.journal.events import Closed, Conversed, FollowedUp, Noted, Opened, Prompted, Voicemail
from voice_app.sandbox.twilio import SandboxAccount, double_app
from voice_app.sandbox.twilio.app import serve
from voice_app.sandbox.twilio.conversation_store import create_conversation
from voice_app.settings import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN

CALL = "CA" + "7" * 32
RECORDING = "RE" + "7" * 32
CALLER, OURS = "+15550199999", "+15550100001"
FACT = "Is allergic to nuts."
AUDIO = b"ID3" + os.urandom(200_000)
AFTER = [
    Trap("PATCH", "/Conversations/[^/]+", "after"),
    Trap("POST", "/Observations", "after"),
    Trap("GET", "/Recordings/[^/]+", "after"),
]
BEFORE = [
    Trap("GET", "/Participants", "before"),
    Trap("PATCH", "/Conversations/[^/]+", "before"),
    Trap("POST", "/Observations", "before"),
    Trap("GET", "/Recordings/[^/]+", "before"),
]
ALL_WELL = {
    "begun": "",
    "close": "closed",
    "facts": "written",
    "recording": "fetched",
    "report": "delivered",
}


@dataclass(slots=True)
class World:
    """Twilio's double with traps in it, a receiver of reports, and what a server needs to know of both."""

    account: SandboxAccount
    twilio: Trapped
    receiver: Receiver
    conversation_id: str
    environment: dict[str, str]

    @property
    def left(self) -> int:
        """How many traps have not snapped."""
        return len(self.twilio.traps) + len(self.receiver.before_answer) + len(self.receiver.after_answer)

    def figures(self) -> dict[str, object]:
        """How often everything was done."""
        return {
            "conversation closed": self.requests("PATCH", self.conversation_id),
            "observations written": self.requests("POST", "/Observations"),
            "recording asked for": self.requests("GET", f"{RECORDING}.mp3"),
            "reports received": len(self.receiver.ids),
            "ids of reports": len(set(self.receiver.ids)),
        }

    def requests(self, method: str, ending: str) -> int:
        """How many requests of this kind the double has answered well."""
        return sum(
            verb == method and path.partition("?")[0].endswith(ending) and status < 300
            for verb, path, status in self.account.requests
        )


@asynccontextmanager
async def world(folder: Path, database_url: str, traps: Iterable[Trap]) -> AsyncIterator[World]:
    account = SandboxAccount(SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN)
    configuration_id = account.add_configuration()
    voice = {"channel": "VOICE", "channelId": CALL}
    thread = create_conversation(
        account,
        configuration_id,
        [
            {"type": "CUSTOMER", "addresses": [{**voice, "address": CALLER}]},
            {"type": "AI_AGENT", "addresses": [{**voice, "address": OURS}]},
        ],
    )
    account.recordings[RECORDING] = AUDIO
    twilio = Trapped(double_app(account), traps)
    async with serve(twilio) as base_url, receiving() as receiver:
        environment = {
            "TWILIO_CONVERSATION_CONFIGURATION_ID": configuration_id,
            "VOICE_APP_TWILIO_BASE_URL": base_url,
            "VOICE_APP_DATABASE_URL": database_url,
            "VOICE_APP_REPORT_URL": receiver.url,
            "VOICE_APP_REPORT_SECRET": SECRET,
            "VOICE_APP_RECORDINGS": str(folder / "recordings"),
            "VOICE_APP_CLOSE_CONVERSATION": "call-end",
            "VOICE_APP_FOLLOWUP_SECONDS": "0",
        }
        yield World(account, twilio, receiver, thread.id, environment)


async def call_that_is_over(world: World, database_url: str) -> None:
    """A call that left everything to be done: its server died as it ended."""
    await write(
        database_url,
        {
            CALL: [
                Opened(CALLER, OURS, "inbound"),
                Conversed(world.conversation_id),
                Prompted("I cannot have nuts."),
                Noted(FACT),
                Voicemail(RECORDING, f"https://evil.example.com/{RECORDING}", 4.0, "Call me."),
                Closed("completed", 40.0),
            ]
        },
        at=time.time() - 60,
    )


async def done(database_url: str) -> dict[str, str]:
    """Wait until all is done; what came of each step."""
    async with asyncio.timeout(60), Journal(database_url, create=False) as journal:
        while True:
            found = [entry.event for entry in await journal.events(CALL)]
            steps = Counter(event.step for event in found if isinstance(event, FollowedUp))
            if steps.keys() >= ALL_WELL.keys():
                assert set(steps.values()) == {1}, "a step is told twice"
                return {event.step: event.outcome for event in found if isinstance(event, FollowedUp)}
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "traps", [pytest.param(AFTER, id="after"), pytest.param(BEFORE, id="before", marks=pytest.mark.slow)]
)
async def test_a_server_killed_within_every_step_does_each_once(
    tmp_path: Path, traps: list[Trap], record_property: Record
) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    async with world(tmp_path, url, traps) as around:
        await call_that_is_over(around, url)
        caught = asyncio.Event()
        around.twilio.snap = caught.set
        around.receiver.before_answer.append(caught.set)
        around.receiver.after_answer.append(caught.set)
        kills = 0
        while around.left:
            caught.clear()
            async with served(tmp_path, **around.environment) as (_, process):
                await killed_when(caught, process)
            kills += 1
        async with served(tmp_path, **around.environment):
            outcomes = await done(url)
        show(record_property, "Killed and started again", {"kills": kills, **around.figures()})
        assert outcomes == ALL_WELL
        assert around.requests("PATCH", around.conversation_id) == 1
        assert around.requests("POST", "/Observations") == 1
        assert len(around.receiver.ids) in (2, 3)  # one or two came in as the server died
        assert len(set(around.receiver.ids)) == 1
        (file,) = (tmp_path / "recordings").iterdir()
        assert file.name == f"{CALL}-{RECORDING}.mp3"
        assert file.read_bytes() == AUDIO


async def test_what_a_killed_server_had_begun_goes_on_at_another_one(
    tmp_path: Path, postgres: Postgres, postgres_url: str, record_property: Record
) -> None:
    trap = Trap("PATCH", "/Conversations/[^/]+", "after")
    async with world(tmp_path, postgres_url, [trap]) as around:
        await call_that_is_over(around, postgres_url)
        caught = asyncio.Event()
        around.twilio.snap = caught.set
        async with served(tmp_path, **around.environment) as (_, process):
            await killed_when(caught, process)
        # Its last heartbeat was so long ago that it is thought to be lost.
        postgres.execute(f"UPDATE servers SET beat_at = beat_at - {ALIVE_S}", postgres_url)
        lost_at = time.monotonic()
        async with served(tmp_path, **around.environment):
            outcomes = await done(postgres_url)
        seconds = round(time.monotonic() - lost_at + ALIVE_S, 1)
        show(record_property, "Taken over", around.figures() | {"seconds until all was done": seconds})
        assert outcomes == ALL_WELL
        assert around.requests("PATCH", around.conversation_id) == 1
        assert around.requests("POST", "/Observations") == 1
        assert len(set(around.receiver.ids)) == 1


async def killed_when(caught: asyncio.Event, process: CommandProcess) -> None:
    async with asyncio.timeout(60):
        await caught.wait()
        process.kill()
        assert await process.wait() == -signal.SIGKILL
