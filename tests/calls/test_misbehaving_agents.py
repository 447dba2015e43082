"""Agents that misbehave on a real call: their turn ends, the call and the server go on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from support.sandbox import sandbox
from voice_app.journal import events
from voice_app.testing.caller import Caller


@pytest.mark.voice_app(agent="support.agents:misbehaving")
@pytest.mark.parametrize("mistake", ["exit", "interrupt", "cancel"])
async def test_an_agent_that_stops_the_server_stops_its_turn(caller: Caller, mistake: str) -> None:
    assert await caller.asks(mistake) == caller.line.settings.failure_line
    assert await caller.asks("Hello?") == "I am still here."
    assert [event for event in caller.events if isinstance(event, events.Failed)] == [
        events.Failed("agent", "AgentExitError")
    ]


@pytest.mark.voice_app(agent="support.agents:misbehaving")
async def test_halves_of_a_character_cost_the_caller_no_word(caller: Caller) -> None:
    assert await caller.asks("halves") == "Great news for you."


async def test_a_plain_generator_that_blocks_holds_up_no_other_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("block").touch()
    agent: dict[str, Any] = {"agent": "support.agents:slow_plain_generator", "agent_thread": True}
    async with sandbox(tmp_path, filler_seconds=0, **agent) as server, server.call() as call:
        await call.reply()
        waiting = asyncio.create_task(call.ask("one"))
        async with server.http.get(f"{server.base_url}/healthz") as response:
            assert response.status == 200
        Path("block").unlink()
        assert (await waiting).text == "Let me think. You said one."
