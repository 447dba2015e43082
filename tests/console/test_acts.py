"""What people do on a call: on any server of a fleet, with their name in the journal, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from support.journals import talk, write
from support.sandbox import Sandbox, database, happened, recorded, sandbox
from support.visitors import key_of, users_file
from voice_app.calls import CallState
from voice_app.journal import Entry, Journal
from voice_app.journal import events as ev
from voice_app.journal.events import Event, HandedOff, Opened, Prompted, Supervised
from voice_app.sandbox.phone import Person

CALL = "CA" + "5" * 32
OPENED = Opened("+15550190001", "+15550100009", "inbound")
BODIES = {"say": {"text": "Hi."}, "note": {"text": "Hi."}, "comment": {"text": "Hi."}}
ACTS = ("handoff", "end", "say", "note", "mute", "unmute", "comment", "report")


async def act(
    server: Sandbox, call_sid: str, what: str, body: Any = None, role: str = "act"
) -> tuple[int, Any]:
    url = f"{server.base_url}/api/v1/calls/{call_sid}/{what}"
    headers = {"Authorization": f"Bearer {key_of(role)}"}
    sent = BODIES.get(what) if body is None else body
    as_it_is = {"data": sent} if isinstance(sent, bytes) else {"json": sent}
    async with server.http.post(url, headers=headers, **as_it_is) as response:
        return response.status, await response.json()


@asynccontextmanager
async def serving(folder: Path, **changes: Any) -> AsyncIterator[Sandbox]:
    folder.mkdir(exist_ok=True)
    async with sandbox(folder, users=users_file(folder), **changes) as server:
        yield server


async def supervised(folder: Path, call_sid: str) -> list[Event]:
    return [entry.event for entry in await recorded(folder, call_sid) if isinstance(entry.event, Supervised)]


async def test_words_are_said_on_a_call_and_it_is_known_who_said_them(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, server.call() as call:
        await call.reply()
        assert (await act(server, call.sid, "say", {"text": "One moment, please."}))[0] == 202
        assert (await call.reply()).text == "One moment, please."
    assert await supervised(tmp_path, call.sid) == [Supervised("say", "key act", "One moment, please.")]


async def test_on_a_call_of_another_server_too(tmp_path: Path, postgres_url: str) -> None:
    async with (
        serving(tmp_path / "here", database_url=postgres_url) as here,
        serving(tmp_path / "there", database_url=postgres_url) as there,
        there.call() as call,
    ):
        await call.reply()
        async with asyncio.timeout(20), Journal(postgres_url, create=False) as journal:
            while True:
                if CallState.of(await journal.events(call.sid)).with_agent:
                    break
                await asyncio.sleep(0.02)
        for text in ("One moment, please.", "Thank you for waiting."):
            assert (await act(here, call.sid, "say", {"text": text}))[0] == 202
            assert (await call.reply()).text == text


async def test_a_muted_agent_answers_once_it_may_again(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, server.call() as call:
        await call.reply()
        assert (await act(server, call.sid, "mute"))[0] == 202
        await call.say("What are your hours?")
        await happened(tmp_path, call.sid, Prompted)
        assert (await act(server, call.sid, "unmute"))[0] == 202
        assert "open" in (await call.reply()).text


async def test_a_call_ends_with_a_goodbye_or_at_once(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        async with server.call() as call:
            await call.reply()
            assert (await act(server, call.sid, "end", {"goodbye": "We close now. Goodbye."}))[0] == 202
            assert (await call.reply()).text == "We close now. Goodbye."
            await call.over.wait()
        async with server.call() as call:
            await call.reply()
            assert (await act(server, call.sid, "end", {"at_once": True}))[0] == 202
            await call.over.wait()
    assert await supervised(tmp_path, call.sid) == [Supervised("end", "key act")]


async def test_a_comment_can_be_written_about_a_call_that_is_over(tmp_path: Path) -> None:
    await write(database(tmp_path), {CALL: talk("+15550190001")})
    async with serving(tmp_path) as server:
        assert (await act(server, CALL, "comment", {"text": " Call them again. "}))[0] == 202
    assert await supervised(tmp_path, CALL) == [Supervised("comment", "key act", "Call them again.")]


@pytest.mark.parametrize("what", ACTS)
@pytest.mark.parametrize(
    ("known", "status"),
    [
        ((), 404),
        ((OPENED, ev.Closed("completed")), 409),
        ((OPENED, ev.Connected("VX1"), ev.Disconnected("VX1")), 409),
    ],
)
async def test_a_refusal_leaves_nothing_in_the_journal(
    tmp_path: Path, what: str, known: tuple[Event, ...], status: int
) -> None:
    if what == "comment" and known:
        return
    if known and what in ("handoff", "end") and not isinstance(known[-1], ev.Closed):
        status = 404  # Twilio is asked, and does not know it
    await write(database(tmp_path), {CALL: list(known)})
    async with serving(tmp_path) as server:
        assert (await act(server, CALL, what))[0] == status
    assert [entry.event for entry in await recorded(tmp_path, CALL)] == list(known)


@pytest.mark.parametrize("what", ACTS)
async def test_who_watches_does_nothing(tmp_path: Path, what: str) -> None:
    async with serving(tmp_path) as server, server.call() as call:
        await call.reply()
        assert (await act(server, call.sid, what, role="watch"))[0] == 403
    assert await supervised(tmp_path, call.sid) == []


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("say", {}),
        ("say", {"text": " "}),
        ("say", {"text": 7}),
        ("note", {"text": "x" * 2001}),
        ("say", []),
        ("end", {"at_once": "now"}),
        ("note", b"[" * 16_000),
        ("note", b'{"text":' * 2000),
        ("note", b"\xff"),
        ("note", b'{"text":"\xff"}'),
    ],
)
async def test_a_body_that_cannot_be_used_is_told(tmp_path: Path, what: str, body: Any) -> None:
    async with serving(tmp_path) as server:
        status, told = await act(server, CALL, what, body)
    assert status == 400
    assert "text" in told["error"] or "at_once" in told["error"]


async def test_somebody_is_rung_first_who_would_not_be_yet(tmp_path: Path) -> None:
    table = """
[[target]]
to = "+15550100010"

[[target]]
to = ["+15550100011", "+15550100012"]
reasons = ["billing"]
hours = "2001 Jan 01"
"""
    (tmp_path / "targets.toml").write_text(table)
    people = (Person(), Person())
    async with (
        serving(tmp_path, handoff=tmp_path / "targets.toml") as server,
        server.call(*people) as call,
    ):
        await call.reply()
        assert (await act(server, call.sid, "handoff", {"target": "+15550100012"}))[0] == 202
        await call.bridged()
        status, told = await act(server, call.sid, "handoff", {"target": "+15550100010"})
        assert (status, "somebody has the call" in told["error"]) == (409, True)
    entries = await recorded(tmp_path, call.sid)
    rung = [entry.event.target for entry in entries if isinstance(entry.event, HandedOff)]
    assert list(filter(None, rung)) == ["+15550100011, +15550100012"]
    [pulled] = await supervised(tmp_path, call.sid)
    assert pulled == Supervised("handoff", "key act", "supervisor", "+15550100011, +15550100012")


async def test_a_target_that_nobody_knows_is_refused_and_the_known_ones_are_named(tmp_path: Path) -> None:
    async with serving(tmp_path, handoff_to=("+15550100010", "client:anna")) as server, server.call() as call:
        await call.reply()
        status, told = await act(server, call.sid, "handoff", {"target": "+15550100099"})
        assert status == 400
        assert "'+15550100099'" in told["error"]
        assert told["error"].endswith("there are: +15550100010, client:anna")
        assert (await act(server, "CA" + "9" * 32, "handoff", {"target": "client:anna"}))[0] == 404
    assert await supervised(tmp_path, call.sid) == []


def test_a_target_is_chosen_for_one_handoff() -> None:
    """Whoever is asked for later on the same call is asked as ever."""
    told: list[Event] = [
        OPENED,
        Supervised("handoff", "anna", "vip", "client:anna"),
        HandedOff("requested"),
        HandedOff("rang", target="client:anna"),
        HandedOff("no-answer"),
    ]
    entries = [Entry(f"{number:04}", float(number), CALL, event) for number, event in enumerate(told)]
    state = CallState.of(entries)
    assert state.chosen_target == "client:anna"
    for number, step in enumerate(("returned", "requested"), len(told)):
        state.take(Entry(f"{number:04}", float(number), CALL, HandedOff(step)))
    assert state.chosen_target == ""
