"""The caller's memory on real calls: there in time, or left out, and never in the way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from support.memory import merge
from support.sandbox import Sandbox, database, recorded, sandbox
from voice_app.journal import Journal, events
from voice_app.journal.events import Remembered
from voice_app.sandbox.twilio import Fault, SandboxAccount, double_app, new_id
from voice_app.sandbox.twilio.app import serve
from voice_app.sandbox.twilio.conversation_store import settle
from voice_app.sandbox.twilio.memory_store import add_profile, remember
from voice_app.sandbox.twilio.records import StoredProfile
from voice_app.settings import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN

CALL = "CA" + "7" * 32
CALLER = "+15550199999"
THEN = "2026-01-02T10:00:00Z"


@pytest.fixture
def account() -> SandboxAccount:
    return SandboxAccount(SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN)


@pytest.fixture
def store_id(account: SandboxAccount) -> str:
    return account.add_store()


@pytest.fixture
def ada(account: SandboxAccount, store_id: str) -> StoredProfile:
    """Who calls."""
    contact = {"phone": CALLER, "firstName": "Ada"}
    person = add_profile(account, account.stores[store_id], {"Contact": contact, "Secret": {"pin": "1234"}})
    remember(account, person, {"content": "Likes tea.", "source": "test", "occurredAt": THEN})
    return person


@asynccontextmanager
async def serving(
    folder: Path, account: SandboxAccount, store_id: str, **settings: Any
) -> AsyncIterator[Sandbox]:
    """A server in front of this account."""
    configuration_id = account.add_configuration(memoryStoreId=store_id)
    async with (
        serve(double_app(account)) as base_url,
        sandbox(
            folder,
            agent="support.agents:knowing",
            twilio_base_url=base_url,
            conversation_configuration=configuration_id,
            **settings,
        ) as server,
    ):
        yield server


async def first_answer(server: Sandbox, text: str = "Hello?") -> str:
    async with asyncio.timeout(10), server.call() as call:
        await call.reply()
        return (await call.ask(text)).text


async def test_what_is_known_is_there_when_the_agent_first_speaks(
    tmp_path: Path, account: SandboxAccount, store_id: str, ada: StoredProfile
) -> None:
    async with serving(tmp_path, account, store_id) as server:
        answer = await first_answer(server)
    assert answer == (
        f'I know: contact, first name: "Ada" / 2026-01-02, noted in a conversation: "Likes tea." of {ada.id}'
    )


async def test_what_the_agent_was_given_is_written_down_once_and_erased_with_the_caller(
    tmp_path: Path, account: SandboxAccount, store_id: str, ada: StoredProfile
) -> None:
    account.faults.add(Fault(path="*/Lookup", delay=0.1))
    async with serving(tmp_path, account, store_id) as server, server.call(caller=CALLER) as call:
        await call.reply()
        for number in range(2):
            await call.ask("Hello?")
            if not number:
                await call.drop()
                await call.reply()
    kept = [entry.event for entry in await recorded(tmp_path, call.sid)]
    lines = ('contact, first name: "Ada"', '2026-01-02, noted in a conversation: "Likes tea."')
    assert [event for event in kept if isinstance(event, Remembered)] == [
        Remembered(ada.id, lines, tuple(ada.observations))
    ]
    async with Journal(database(tmp_path)) as journal:
        await journal.forget(CALLER)
    assert b"Likes tea." not in b"".join(path.read_bytes() for path in tmp_path.glob("journal.db*"))


async def test_the_first_turn_waits_for_it_while_there_is_time(
    tmp_path: Path, account: SandboxAccount, store_id: str, ada: StoredProfile
) -> None:
    account.faults.add(Fault(path="*/Lookup", delay=0.3))
    async with serving(tmp_path, account, store_id, memory_seconds=10) as server:
        assert "Likes tea." in await first_answer(server)


async def test_what_is_not_there_in_time_is_left_out(
    tmp_path: Path,
    account: SandboxAccount,
    store_id: str,
    ada: StoredProfile,
    caplog: pytest.LogCaptureFixture,
) -> None:
    account.faults.add(Fault(path="*/Lookup", delay=60))
    async with serving(tmp_path, account, store_id, memory_seconds=0.05) as server:
        assert await first_answer(server) == "I know: nothing of None"
    assert "its memory was not there within 0.05 s" in caplog.text
    assert CALLER not in caplog.text


async def test_what_came_in_time_is_used_though_the_rest_did_not(
    tmp_path: Path, account: SandboxAccount, store_id: str, ada: StoredProfile
) -> None:
    account.faults.add(Fault(path="*/Recall", delay=60))
    async with serving(tmp_path, account, store_id, memory_seconds=3) as server:
        assert await first_answer(server) == f'I know: contact, first name: "Ada" of {ada.id}'


async def test_neither_the_twiml_nor_the_greeting_waits_for_it(
    tmp_path: Path, account: SandboxAccount, store_id: str
) -> None:
    account.faults.add(Fault(path="*/Lookup", delay=60))
    async with (
        asyncio.timeout(5),
        serving(tmp_path, account, store_id, memory_seconds=10) as server,
        server.call() as call,
    ):
        assert (await call.reply()).text == server.settings.greeting


@pytest.mark.parametrize(
    "fault",
    [
        Fault(path="*/Lookup", status=401, times=None),
        Fault(path="*/Lookup", status=500, times=None),
        Fault(path="*/Lookup", html=True, times=None),
        Fault(path="*/Lookup", body="[]", times=None),
        Fault(path="*/ControlPlane/Configurations/*", status=404, times=None),
        Fault(path="*/ControlPlane/Configurations/*", body="{}", times=None),
        Fault(path="*/ControlPlane/Configurations/*", body='{"memoryStoreId":"nonsense"}', times=None),
    ],
    ids=str,
)
async def test_a_memory_that_fails_is_no_memory(
    tmp_path: Path,
    account: SandboxAccount,
    store_id: str,
    ada: StoredProfile,
    fault: Fault,
    caplog: pytest.LogCaptureFixture,
) -> None:
    account.faults.add(fault)
    async with serving(tmp_path, account, store_id) as server:
        assert await first_answer(server) == "I know: nothing of None"
    assert [record for record in caplog.records if record.exc_info or record.levelno > logging.WARNING] == []
    assert CALLER not in caplog.text


@pytest.mark.parametrize("address", ["client:ada", "sip:ada@example.com", "+266696687", ""])
async def test_who_shows_no_number_is_not_looked_up(
    tmp_path: Path, account: SandboxAccount, store_id: str, address: str
) -> None:
    async with serving(tmp_path, account, store_id) as server:
        server.phone.caller = address
        assert await first_answer(server, "Note something.") == "Noted: None. I know: nothing of None"
    assert not [path for _, path, _ in account.requests if "/memory/" in path]


@pytest.mark.parametrize("changes", [{"memory_seconds": 0}, {"conversation_configuration": None}])
async def test_without_a_memory_all_of_it_is_absent(tmp_path: Path, changes: dict[str, Any]) -> None:
    account = SandboxAccount(SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN)
    configuration = {"conversation_configuration": account.add_configuration()}
    async with (
        serve(double_app(account)) as base_url,
        sandbox(
            tmp_path, agent="support.agents:knowing", twilio_base_url=base_url, **(configuration | changes)
        ) as server,
    ):
        assert await first_answer(server, "Note something.") == "Noted: None. I know: nothing of None"
    assert not [path for _, path, _ in account.requests if "/memory/" in path]


async def test_a_profile_that_was_merged_is_the_one_it_became(
    tmp_path: Path, account: SandboxAccount, store_id: str, ada: StoredProfile
) -> None:
    store = account.stores[store_id]
    other = add_profile(account, store, {"Contact": {"lastName": "Byron"}})
    merge(store, ada.id, other.id)
    store.profiles[ada.id] = StoredProfile(
        ada.id, THEN, {"Contact": {"phone": CALLER}}
    )  # the index lags behind
    other.traits["Contact"].pop("phone")
    async with serving(tmp_path, account, store_id) as server:
        answer = await first_answer(server, "Note she was merged.")
    assert answer.endswith(f"of {other.id}")
    settle(account)
    assert [item["content"] for item in other.observations.values()] == ["Likes tea.", "she was merged."]


async def test_a_session_that_is_taken_up_again_still_knows(
    tmp_path: Path, account: SandboxAccount, store_id: str, ada: StoredProfile
) -> None:
    async with serving(tmp_path, account, store_id) as server, server.call() as call:
        await call.reply()
        await call.drop()
        await call.reply()
        assert "Likes tea." in (await call.ask("Hello?")).text
    assert sum(path.endswith("/Lookup") for _, path, _ in account.requests) == 1


class TestNoting:
    async def test_a_fact_is_written_to_the_profile_with_its_conversation(
        self, tmp_path: Path, account: SandboxAccount, store_id: str, ada: StoredProfile
    ) -> None:
        async with serving(tmp_path, account, store_id) as server, server.call() as call:
            await call.reply()
            assert (await call.ask("Note Has a\n\u202edog.")).text.startswith("Noted: True. ")
        settle(account)
        noted = list(ada.observations.values())[-1]
        assert (noted["content"], noted["source"]) == ("Has a dog.", "voice-app")
        kept = [entry.event for entry in await recorded(tmp_path, call.sid)]
        assert events.Acted("remember", "Has a dog.") in kept

    async def test_who_is_not_known_yet_gets_a_profile(
        self, tmp_path: Path, account: SandboxAccount, store_id: str
    ) -> None:
        account.faults.add(Fault(path="*/Lookup", body="{}"))
        async with serving(tmp_path, account, store_id) as server:
            answer = await first_answer(server, "Note Has a dog.")
        (person,) = account.stores[store_id].profiles.values()
        assert answer == f"Noted: True. I know: nothing of {person.id}"
        assert person.traits == {"Contact": {"phone": CALLER}}

    async def test_a_failure_is_told_and_harms_nobody(
        self,
        tmp_path: Path,
        account: SandboxAccount,
        store_id: str,
        ada: StoredProfile,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        account.faults.add(Fault(path="*/Observations", status=503))
        async with serving(tmp_path, account, store_id) as server:
            assert (await first_answer(server, "Note my secret.")).startswith("Noted: False. ")
        assert "a fact could not be noted" in caplog.text
        assert "my secret" not in caplog.text

    async def test_there_is_an_end_to_it(
        self, tmp_path: Path, account: SandboxAccount, store_id: str, ada: StoredProfile
    ) -> None:
        async with serving(tmp_path, account, store_id) as server, server.call() as call:
            await call.reply()
            answers = [(await call.ask(f"Note Fact {number}.")).text for number in range(12)]
            await call.ask("Note  ")
        assert [answer.startswith("Noted: True.") for answer in answers] == [True] * 10 + [False] * 2
        settle(account)
        assert len(ada.observations) == 11


async def test_a_store_that_is_gone_is_no_memory(tmp_path: Path, account: SandboxAccount) -> None:
    async with serving(tmp_path, account, new_id("mem_store_")) as server:
        assert (await first_answer(server, "Note x.")).startswith("Noted: False. I know: nothing")
