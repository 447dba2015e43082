"""Agents that misbehave on a real call: their turn ends, the call and the server go on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from support.sandbox import recorded, sandbox
from voice_app.journal import events


@pytest.mark.parametrize("mistake", ["exit", "interrupt", "cancel"])
async def test_an_agent_that_stops_the_server_stops_its_turn(tmp_path: Path, mistake: str) -> None:
    async with sandbox(tmp_path, agent="support.agents:misbehaving") as server, server.call() as call:
        await call.reply()
        assert (await call.ask(mistake)).text == server.settings.failure_line
        assert (await call.ask("Hello?")).text == "I am still here."
        sid = call.sid
    failed = [
        entry.event for entry in await recorded(tmp_path, sid) if isinstance(entry.event, events.Failed)
    ]
    assert failed == [events.Failed("agent", "AgentExitError")]


async def test_halves_of_a_character_cost_the_caller_no_word(tmp_path: Path) -> None:
    async with sandbox(tmp_path, agent="support.agents:misbehaving") as server, server.call() as call:
        await call.reply()
        assert (await call.ask("halves")).text == "Great news for you."
    assert call.problems == []


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
