"""The feed: the past and then what happens, without a gap between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from support.journals import write
from support.sandbox import Sandbox, database, sandbox
from support.visitors import key_of, users_file
from voice_app.journal import Journal
from voice_app.journal.events import Opened, Prompted

LONG_AGO = "01890000-0000-7000-8000-000000000000"
CALL, OTHER = "CA" + "1" * 32, "CA" + "2" * 32


class Following:
    def __init__(self, lines: AsyncIterator[bytes]) -> None:
        self._lines = lines
        self.last = ""

    async def next(self) -> dict[str, Any]:
        """The next event; of one that is no entry of the journal, its name too."""
        found: dict[str, Any] = {}
        async with asyncio.timeout(20):
            async for line in self._lines:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "data":
                    found |= json.loads(value)
                    return found
                if name == "id":
                    self.last = value
                elif name == "event":
                    found["name"] = value
        raise EOFError

    async def said(self) -> str:
        while (event := await self.next())["event"]["kind"] != "prompt":
            pass
        return str(event["event"]["text"])


@asynccontextmanager
async def follow(
    server: Sandbox, query: str = "", last: str = "", role: str = "act"
) -> AsyncIterator[Following]:
    headers = {"Authorization": f"Bearer {key_of(role)}"} | ({"Last-Event-ID": last} if last else {})
    async with server.http.get(f"{server.base_url}/api/v1/feed{query}", headers=headers) as response:
        assert response.status == 200
        await response.content.readuntil(b"\n\n")
        yield Following(aiter(response.content))


@asynccontextmanager
async def serving(folder: Path, url: str = "") -> AsyncIterator[Sandbox]:
    folder.mkdir(exist_ok=True)
    async with sandbox(folder, database_url=url or database(folder), users=users_file(folder)) as server:
        yield server


async def test_a_call_is_followed_from_its_beginning(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, server.call() as call:
        await call.reply()
        await call.ask("What are your hours?")
        async with follow(server, f"?call={call.sid}") as feed:
            assert (await feed.next())["event"]["kind"] == "opened"
            assert await feed.said() == "What are your hours?"
            await call.ask("And where are you?")
            assert await feed.said() == "And where are you?"


async def test_on_another_server_too_and_each_event_once(tmp_path: Path, postgres_url: str) -> None:
    async with (
        serving(tmp_path / "here", postgres_url) as here,
        serving(tmp_path / "there", postgres_url) as there,
        there.call() as call,
    ):
        await call.reply()
        await call.ask("What are your hours?")
        async with follow(here, f"?call={call.sid}") as feed:
            seen: list[dict[str, Any]] = []
            while not seen or seen[-1]["event"].get("text") != "And where are you?":
                seen.append(await feed.next())
                if seen[-1]["event"].get("text") == "What are your hours?":
                    await call.ask("And where are you?")
    ids = [event["id"] for event in seen]
    assert len(ids) == len(set(ids))
    assert seen[0]["event"]["kind"] == "opened"


async def test_who_comes_back_gets_what_was_missed(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        async with follow(server) as feed:
            await server.post("/voice", CallSid=CALL, From="+15550190001", To=server.phone.number)
            await feed.next()
        await server.post("/voice", CallSid=OTHER, From="+15550190001", To=server.phone.number)
        async with follow(server, last=feed.last) as again:
            while (event := await again.next())["call_sid"] != OTHER:
                assert event["id"] > feed.last
            assert event["event"]["kind"] == "opened"


async def test_of_one_call_only_what_was_missed_is_told_again(tmp_path: Path) -> None:
    await write(
        database(tmp_path), {CALL: [Opened("+15550190001", "+15550100009"), Prompted("One"), Prompted("Two")]}
    )
    async with Journal(database(tmp_path)) as journal:
        opened = (await journal.events(CALL))[1]
    async with serving(tmp_path) as server, follow(server, f"?call={CALL}", opened.id) as feed:
        assert await feed.said() == "Two"


async def test_who_was_away_too_long_is_told_so(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as server,
        follow(server, last=LONG_AGO) as feed,
    ):
        assert (await feed.next())["name"] == "gap"


async def read_while_it_happens(server: Sandbox, feed: Following) -> None:
    while True:
        await server.post("/voice", CallSid=CALL, From="+15550190001", To=server.phone.number)
        await feed.next()


async def test_who_reads_too_slowly_is_cut_off_and_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voice_app.journal.event_feed._BEHIND", 1)
    async with serving(tmp_path) as server:
        async with follow(server) as feed:
            with pytest.raises(EOFError):
                await read_while_it_happens(server, feed)
        assert feed.last


@pytest.mark.parametrize(
    ("query", "last", "status"),
    [
        (f"?call={CALL}", "", 404),
        ("?call=x", "", 404),
        ("", "x", 400),
        ("", "41432490-2a3a-489b-81e2-46955aec3f3b", 400),
    ],
)
async def test_a_call_that_nobody_knows_cannot_be_followed(
    tmp_path: Path, query: str, last: str, status: int
) -> None:
    headers = {"Authorization": f"Bearer {key_of('watch')}"} | ({"Last-Event-ID": last} if last else {})
    async with serving(tmp_path) as server:
        response = await server.http.get(f"{server.base_url}/api/v1/feed{query}", headers=headers)
    assert response.status == status


async def test_who_watches_sees_no_numbers(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, follow(server, role="watch") as feed:
        await server.post("/voice", CallSid=CALL, From="+15550190001", To=server.phone.number)
        assert (await feed.next())["event"]["from"] == "+1•••01"
