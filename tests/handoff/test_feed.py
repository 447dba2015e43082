"""The live feed: who is allowed to follow, and that nothing is late."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse
from pydantic import SecretStr

from support.sandbox import Sandbox, sandbox
from voice_app.journal import Journal
from voice_app.journal.events import Prompted
from voice_app.sandbox.phone import Person

TOKEN = "a token that is long enough"
OPEN: dict[str, Any] = {"api_token": SecretStr(TOKEN), "handoff_to": ("+15550100010",)}


async def follow(server: Sandbox, query: str = "") -> ClientResponse:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    response = await server.http.get(f"{server.base_url}/api/feed{query}", headers=headers)
    assert response.content_type == "text/event-stream"
    await response.content.readuntil(b"\n\n")
    return response


async def told(response: ClientResponse) -> AsyncIterator[dict[str, Any]]:
    async for line in response.content:
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))


async def test_what_caller_and_person_say_is_followed_live(tmp_path: Path) -> None:
    async with sandbox(tmp_path, **OPEN) as server:
        response = await follow(server)
        async with server.call(Person("answers", says=["Anna here."])) as call, asyncio.timeout(20):
            await call.reply()
            await call.ask("I want to speak to a person.")
            async for entry in told(response):
                if entry["event"]["kind"] == "transcript":
                    break
        response.close()
    assert entry["call_sid"] == call.sid
    assert (entry["event"]["speaker"], entry["event"]["text"]) == ("person", "Anna here.")


async def test_one_call_can_be_followed(tmp_path: Path) -> None:
    other = "CA" + "9" * 32
    async with sandbox(tmp_path, **OPEN) as server:
        response = await follow(server, f"?call={other}")
        async with server.call() as call:
            await call.reply()
        await server.post("/voice", CallSid=other, From="+15550199999", To=server.phone.number)
        async with asyncio.timeout(20):
            first = await anext(told(response))
        response.close()
    assert first["call_sid"] == other


async def test_a_call_on_another_server_is_followed(tmp_path: Path, postgres_url: str) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    async with (
        sandbox(tmp_path / "here", database_url=postgres_url, **OPEN) as here,
        sandbox(tmp_path / "there", database_url=postgres_url, **OPEN) as there,
    ):
        response = await follow(here)
        async with there.call() as call, asyncio.timeout(20):
            await call.reply()
            await call.ask("What are your hours?")
            async for entry in told(response):
                if entry["event"]["kind"] == "prompt":
                    break
        response.close()
    assert (entry["call_sid"], entry["event"]["text"]) == (call.sid, "What are your hours?")


async def test_without_the_token_nobody_listens_in(tmp_path: Path) -> None:
    async with sandbox(tmp_path, **OPEN) as server:
        response = await server.http.get(f"{server.base_url}/api/feed")
    assert response.status == 401


@pytest.mark.parametrize("more", [0, 5])
async def test_a_reader_that_falls_behind_loses_the_oldest(tmp_path: Path, more: int) -> None:
    async with Journal(f"sqlite:///{tmp_path}/journal.db") as journal:
        with journal.feed() as feed:
            for number in range(1000 + more):
                journal.write("CA1", Prompted(str(number)))
            assert feed.qsize() == 1000
            first = feed.get_nowait().event
        journal.write("CA1", Prompted("nobody reads this"))
    assert first == Prompted(str(more))
