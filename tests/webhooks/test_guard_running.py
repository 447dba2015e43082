"""What a second speech-to-text that appears while calls run does to new calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from support.sandbox import Sandbox, recorded, sandbox
from voice_app.journal.events import TurnedAway
from voice_app.twilio import Configurations

CALL = "CA" + "7" * 32
NEW_CALL = {"CallSid": CALL, "CallStatus": "ringing", "From": "+15550199999", "To": "+15550100001"}
PERSON = "+15550100099"
TOKEN = "token-of-whoever-looks"
RULE = {"from": "*", "to": "+15550100001", "metadata": {"callType": "PSTN"}}


async def captures(server: Sandbox, *rules: Any) -> None:
    """Somebody gives the named configuration these capture rules, and the server has noticed."""
    named = server.settings.conversation_configuration or ""
    await Configurations(server.api).update(named, {"channelSettings": {"VOICE": {"captureRules": [*rules]}}})
    async with asyncio.timeout(20):
        while ("STT101" in await readiness(server)) is not bool(rules):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def readiness(server: Sandbox) -> str:
    async with server.http.get(f"{server.base_url}/readyz") as response:
        assert response.status == 200
        return await response.text()


async def answer(server: Sandbox, call_sid: str = CALL) -> str:
    response = await server.post("/voice", **NEW_CALL | {"CallSid": call_sid})
    assert response.status == 200
    return await response.text()


@asynccontextmanager
async def guarded(folder: Path, **changes: Any) -> AsyncIterator[Sandbox]:
    async with sandbox(folder, guard_seconds=0.05, **changes) as server:
        yield server


async def test_an_alarm_lets_calls_go_on(tmp_path: Path) -> None:
    async with guarded(tmp_path) as server:
        await captures(server, RULE)
        assert (await readiness(server)).startswith("ready, but speech-to-text is billed twice")
        assert "<ConversationRelay" in await answer(server)


async def test_who_refuses_sends_new_calls_to_people_without_a_second_engine(tmp_path: Path) -> None:
    async with guarded(tmp_path, guard_running="refuse", handoff_to=(PERSON,)) as server:
        await captures(server, RULE)
        assert (await readiness(server)).startswith("ready, but takes no new calls")
        document = await answer(server)
        assert PERSON in document
        assert "<ConversationRelay" not in document
        assert "<Transcription" not in document
        await captures(server)
        assert "<ConversationRelay" in await answer(server, "CA" + "8" * 32)
    [turned] = [
        entry.event for entry in await recorded(tmp_path, CALL) if isinstance(entry.event, TurnedAway)
    ]
    assert (turned.why, turned.to) == ("refusing", "people")


async def test_without_people_a_refused_caller_may_ask_to_be_called_back(tmp_path: Path) -> None:
    async with guarded(tmp_path, guard_running="refuse", call_back=True) as server:
        await captures(server, RULE)
        document = await answer(server)
        assert "<ConversationRelay" not in document
        assert "/voice/callback" in document


@pytest.mark.parametrize("before", [True, False])
async def test_the_feed_tells_the_alarm_to_who_comes_later_too(tmp_path: Path, before: bool) -> None:
    async with guarded(tmp_path, api_token=SecretStr(TOKEN)) as server:
        if before:
            await captures(server, RULE)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with server.http.get(f"{server.base_url}/api/feed", headers=headers) as feed:
            assert await feed.content.readline() == b": connected\n"
            if not before:
                await captures(server, RULE)
            async with asyncio.timeout(10):
                await feed.content.readuntil(b"event: alarm\n")
                assert b"STT101" in await feed.content.readline()
