"""Who waits for somebody, what was left, and how the servers are."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from support.journals import talk, write
from support.sandbox import Sandbox, database, sandbox
from support.visitors import get, key_of, sid, users_file
from voice_app.journal import events as ev
from voice_app.journal.events import Event
from voice_app.runtime import capacity

ANN, OURS = "+15550190001", "+15550100009"
MISSED = [ev.HandedOff("requested", "angry"), ev.HandedOff("rang"), ev.HandedOff("no-answer")]


async def post(server: Sandbox, path: str, role: str = "act") -> int:
    headers = {"Authorization": f"Bearer {key_of(role)}"}
    async with server.http.post(f"{server.base_url}/api/v1{path}", headers=headers) as response:
        return response.status


async def fill(tmp_path: Path, calls: dict[str, list[Event]]) -> None:
    await write(database(tmp_path), calls, at=time.time() - 600, step=0.1)


async def test_who_waits_is_told_until_somebody_has_seen_to_them(tmp_path: Path) -> None:
    opened = ev.Opened(ANN, OURS, "inbound")
    await fill(
        tmp_path,
        {
            sid(1): [opened, ev.HandedOff("requested", "angry"), ev.HandedOff("rang", target="+15550100010")],
            sid(2): [opened, *MISSED, ev.Closed("completed")],
            sid(3): [opened, *MISSED, ev.HandedOff("rang"), ev.HandedOff("accepted"), ev.Closed("completed")],
            sid(4): [opened, ev.CallbackWanted(ANN, OURS), ev.CalledBack(1, sid(9)), ev.Closed("completed")],
        },
    )
    async with sandbox(tmp_path, users=users_file(tmp_path)) as server:
        _, body = await get(server, "/waiting")
        assert [call["call_sid"] for call in body["ringing"]] == [sid(1)]
        assert [call["target"] for call in body["ringing"]] == ["+15550100010"]
        assert [(item["call"]["call_sid"], item["done_by"]) for item in body["missed"]] == [(sid(2), "")]
        (wish,) = body["callbacks"]
        assert (wish["to"], wish["attempts"][0]["call_sid"], wish["outcome"]) == (ANN, sid(9), "")
        assert await post(server, f"/calls/{sid(2)}/done") == 202
        _, body = await get(server, "/waiting")
        assert [item["done_by"] for item in body["missed"]] == ["key act"]
        assert [call["state"] for call in (await get(server, "/live"))[1]["calls"]] == ["waiting"]


async def test_messages_are_listed_with_their_audio(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    (folder / "one.mp3").write_bytes(b"sound")
    stored = ev.Stored("RE1", "one.mp3", 5, "0" * 64)
    outside = ev.Stored("RE2", "../users.toml", 5, "0" * 64)
    message = ev.Voicemail("RE1", "https://x.example/RE1", 7.0, "Call me.")
    await fill(tmp_path, {sid(1): [*talk(ANN), message, stored, outside, ev.Voicemail("RE2")]})
    headers = {"Authorization": f"Bearer {key_of('watch')}"}
    async with sandbox(tmp_path, users=users_file(tmp_path), recordings=folder) as server:
        _, body = await get(server, "/voicemails")
        (item,) = body["voicemails"]
        assert [found["text"] for found in item["messages"]] == ["Call me.", ""]
        url = f"{server.base_url}/api/v1/calls/{sid(1)}/recordings"
        audio = await server.http.get(f"{url}/RE1", headers=headers)
        assert (audio.content_type, await audio.read()) == ("audio/mpeg", b"sound")
        for missing in ("RE2", "RE3"):
            assert (await server.http.get(f"{url}/{missing}", headers=headers)).status == 404


async def test_where_no_recordings_are_fetched_that_is_said(tmp_path: Path) -> None:
    async with sandbox(tmp_path, users=users_file(tmp_path)) as server:
        status, body = await get(server, f"/calls/{sid(1)}/recordings/RE1")
    assert (status, "VOICE_APP_RECORDINGS" in body["error"]) == (404, True)


async def test_how_the_server_is(tmp_path: Path) -> None:
    async with sandbox(tmp_path, users=users_file(tmp_path), max_calls=7) as server, server.call() as call:
        await call.reply()
        _, told = await get(server, "/status")
    assert (told["state"], told["calls"], told["max_calls"], told["sandbox"]) == ("ready", 1, 7, True)
    assert told["journal"]["lost"] == 0


async def test_servers_of_a_fleet_know_each_other(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capacity, "HEARTBEAT_SECONDS", 0.2)
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    users: dict[str, Any] = {"users": users_file(tmp_path), "database_url": postgres_url}
    async with sandbox(tmp_path / "here", **users) as here, sandbox(tmp_path / "there", **users):
        async with asyncio.timeout(30):
            while True:
                _, told = await get(here, "/status")
                if told["others"]:
                    break
                await asyncio.sleep(0.05)
    assert [server["state"] for server in told["others"]] == ["ready"]


@pytest.mark.parametrize("role", ["watch", "act"])
async def test_the_guard_looks_when_it_is_told_to(tmp_path: Path, role: str) -> None:
    async with sandbox(tmp_path, users=users_file(tmp_path), guard_seconds=0) as server:
        _, before = await get(server, "/findings")
        assert (before["at"], before["verdict"]) == (None, "")
        assert await post(server, "/findings", role) == (200 if role == "act" else 403)
        _, after = await get(server, "/findings")
        _, told = await get(server, "/numbers", "watch")
    assert (after["verdict"] in ("fine", "refused"), after["at"] is not None) == (
        role == "act",
        role == "act",
    )
    ours = next(item for item in told["numbers"] if item["number"] == server.phone.number)
    assert ours["here"] is (True if role == "act" else None)
