"""What is monitored beside a call, against the double over real HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from support.waiting import until
from voice_app.findings import Finding
from voice_app.guard import CallInspector
from voice_app.journal import Journal
from voice_app.journal.events import Failed
from voice_app.runtime import ConversationMonitor
from voice_app.sandbox.twilio import CallStart, Fault, LocalTranscriber, SandboxAccount, double_app
from voice_app.sandbox.twilio.app import serve
from voice_app.sandbox.twilio.conversation_store import create_conversation
from voice_app.twilio import (
    Configurations,
    Conversation,
    Conversations,
    Credentials,
    Patience,
    TwilioApi,
)

CALL = "CA" + "1" * 32
CALLER, NUMBER = "+15550100002", "+15550100001"
CAPTURING = {"VOICE": {"captureRules": [{"from": "*", "to": NUMBER}]}}


@pytest.fixture
def account() -> SandboxAccount:
    return SandboxAccount(token="token")


@dataclass
class Watched:
    """What was found on a monitored call. The alarms are there after the call."""

    over: asyncio.Event = field(default_factory=asyncio.Event)
    found: list[Conversation] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)


@asynccontextmanager
async def watched(
    account: SandboxAccount,
    configuration_id: str = "",
    *,
    joined: str = "",
    soon: float = 60,
    within: float = 15,
) -> AsyncIterator[Watched]:
    """The monitored call, whose session is over at the end of the block.

    Its TwiML names a configuration, or the conversation that it joins.
    """
    watched = Watched()
    async with serve(double_app(account)) as base_url, aiohttp.ClientSession() as http, asyncio.timeout(20):
        patience = Patience(attempts=1)
        api = TwilioApi(http, Credentials(account.sid, "token"), base_url=base_url, patience=patience)
        conversations = Conversations(api)
        async with Journal("sqlite://") as journal:
            configurations = Configurations(api)
            monitor = ConversationMonitor(conversations, configurations, journal, within=within, soon=soon)
            monitoring = monitor.watch_joined if joined else monitor.watch
            watching = asyncio.create_task(
                monitoring(CALL, joined or configuration_id, watched.over, watched.found.append)
            )
            yield watched
            watched.over.set()
            await watching
            entries = await journal.events(CALL)
    watched.alarms += [entry.event.what for entry in entries if isinstance(entry.event, Failed)]


async def begin(account: SandboxAccount, configuration_id: str, *said: str) -> None:
    """The call begins, and the caller says something."""
    line = LocalTranscriber(account)
    await line.call_started(CallStart(CALL, caller=CALLER, number=NUMBER, configuration_id=configuration_id))
    for text in said:
        await line.spoken(CALL, "caller", text)


def add(account: SandboxAccount, **fields: Any) -> str:
    return account.add_configuration(**fields)


async def test_the_conversation_is_told_and_nothing_is_wrong(account: SandboxAccount) -> None:
    configuration_id = add(account)
    await begin(account, configuration_id, "hello")
    async with watched(account, configuration_id) as call:
        pass
    assert [item.configuration_id for item in call.found] == [configuration_id]
    assert call.alarms == []


async def test_a_configuration_may_be_named_by_its_name(account: SandboxAccount) -> None:
    await begin(account, add(account, uniqueName="support"), "hello")
    async with watched(account, "support") as call:
        pass
    assert len(call.found) == 1
    assert call.alarms == []


@pytest.mark.parametrize("field", ["displayName", "uniqueName"])
async def test_a_second_engine_shows_beside_a_configuration_that_is_named_by_its_name(
    account: SandboxAccount, field: str
) -> None:
    add(account, channelSettings=CAPTURING)
    configuration_id = add(account, **{field: "support"})
    await begin(account, configuration_id, "hello")
    async with watched(account, "support") as call:
        pass
    assert call.found[-1].configuration_id == configuration_id
    assert "STT201" in call.alarms


async def test_a_conversation_that_is_joined_is_told_and_inspected(account: SandboxAccount) -> None:
    """It belongs to a configuration that captures voice: nobody but the conversation names that one."""
    capturing = add(account, channelSettings=CAPTURING)
    conversation = create_conversation(account, capturing, [])
    line = LocalTranscriber(account)
    await line.call_started(CallStart(CALL, caller=CALLER, number=NUMBER, conversation_id=conversation.id))
    async with watched(account, joined=conversation.id) as call:
        pass
    assert [item.id for item in call.found] == [conversation.id]
    assert "STT101" in call.alarms


async def test_a_conversation_that_is_joined_and_gone_is_told(account: SandboxAccount) -> None:
    async with watched(account, joined="conv_conversation_00000000000000000000000001") as call:
        pass
    assert (call.found, call.alarms) == ([], ["CFG201"])


async def test_a_call_without_a_conversation_is_told(account: SandboxAccount) -> None:
    async with watched(account, add(account), within=0.05) as call:
        pass
    assert call.found == []
    assert call.alarms == ["CFG201"]


async def test_it_looks_while_the_call_goes_on(account: SandboxAccount) -> None:
    configuration_id = add(account)
    add(account, channelSettings=CAPTURING)
    await begin(account, configuration_id)
    async with watched(account, configuration_id, soon=0) as call:
        await until(lambda: any("Communications" in path for _, path, _ in account.requests))
        assert not call.over.is_set()
    assert "STT201" in call.alarms


async def test_it_looks_again_at_the_end_and_says_nothing_twice(account: SandboxAccount) -> None:
    configuration_id = add(account, channelSettings=CAPTURING)
    await begin(account, configuration_id)
    async with watched(account, configuration_id, soon=0) as call:
        await until(lambda: any("Communications" in path for _, path, _ in account.requests))
        await LocalTranscriber(account).spoken(CALL, "caller", "what are your opening hours")
    assert call.alarms == ["STT202"]


async def test_what_is_said_while_it_looks_and_the_session_ends_is_looked_at_too(
    account: SandboxAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration_id = add(account, channelSettings=CAPTURING)
    await begin(account, configuration_id)
    inspect, looks = CallInspector.inspect, 0
    async with watched(account, configuration_id, soon=0) as call:

        async def slow(inspector: CallInspector, *about: Any) -> list[Finding]:
            nonlocal looks
            looks += 1
            found = await inspect(inspector, *about)
            if looks == 1:
                await LocalTranscriber(account).spoken(CALL, "caller", "what are your opening hours")
                call.over.set()
            return found

        monkeypatch.setattr(CallInspector, "inspect", slow)
        await call.over.wait()
    assert call.alarms == ["STT202"]


async def test_a_call_that_joins_a_conversation_of_a_capturing_configuration_is_told(
    account: SandboxAccount,
) -> None:
    """What our TwiML names by conversationId has a configuration, too."""
    await begin(account, add(account, channelSettings=CAPTURING))
    async with watched(account, add(account)) as call:
        pass
    assert call.alarms == ["STT101"]


async def test_what_cannot_be_looked_up_is_one_line_in_the_log(
    account: SandboxAccount, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    account.faults.add(Fault(status=503, times=None))
    async with watched(account, add(account)) as call:
        pass
    assert call.alarms == []
    [line] = [line for line in caplog.messages if CALL in line]
    assert "503" in line
