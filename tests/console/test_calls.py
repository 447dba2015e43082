"""Calls over HTTP: the list with its filters, and one with all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.journals import THEN, talk
from support.sandbox import Sandbox
from support.visitors import get, key_of, sid, with_calls
from voice_app.calls import CallState
from voice_app.console.calls import CallQuery
from voice_app.console.one_call import dialogue, live_call
from voice_app.journal import CallRecord, Entry
from voice_app.journal import events as ev
from voice_app.journal.events import Event

ANN, BOB = "+15550190001", "client:bob"


async def listed(server: Sandbox, query: str) -> list[str]:
    status, body = await get(server, f"/calls?{query}")
    assert status == 200, body
    return [call["call_sid"] for call in body["calls"]]


async def test_calls_are_listed_page_by_page(tmp_path: Path, database_url: str) -> None:
    async with with_calls(tmp_path, {sid(n): talk(ANN) for n in range(5)}, database_url) as server:
        seen, cursor = [], ""
        while cursor is not None:
            _, body = await get(server, f"/calls?limit=2&cursor={cursor}")
            seen += [call["call_sid"] for call in body["calls"]]
            cursor = body["next"]
    assert seen == [sid(n) for n in (4, 3, 2, 1, 0)]


async def test_calls_are_filtered(tmp_path: Path, database_url: str) -> None:
    calls: dict[str, list[Event]] = {
        sid(1): talk(ANN, said="My order never came."),
        sid(2): [ev.Opened(BOB, "+15550100009", "inbound"), ev.HandedOff("requested", "angry")],
        sid(3): [*talk(BOB), ev.AnswerDecided(agent="billing"), ev.Voicemail("RE1")],
    }
    async with with_calls(tmp_path, calls, database_url) as server:
        for query, found in {
            "number=%2B1+555+019+0001": [1],
            "number=client:bob": [3, 2],
            "number=client:bob&flags=handoff": [2],
            "flags=handoff,voicemail": [],
            "agent=billing": [3],
            "reason=angry": [2],
            "outcome=resolved": [],
            "text=ORDER+my": [1],
            "state=over": [3, 1],
            f"from={THEN + 50}": [3],
            f"to={THEN + 50}": [2, 1],
            "from=2023-11-14&to=2023-11-14": [3, 2, 1],
            "to=2023-11-13": [],
        }.items():
            assert await listed(server, query) == [sid(n) for n in found], query
        status, body = await get(server, "/calls?agent=billing")
        assert (status, body["calls"][0]["flags"], body["calls"][0]["caller"]) == (200, ["voicemail"], BOB)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("agnet=x", "there is no filter 'agnet'"),
        ("state=dead", "live or over"),
        ("flags=nope", "'nope' is none"),
        ("from=yesterday", "2026-11-22"),
        ("limit=0", "from 1 to 500"),
        ("limit=x", "from 1 to 500"),
        ("cursor=x", "`next`"),
        ("text=" + "x" * 201, "200 characters"),
    ],
)
async def test_a_filter_that_cannot_be_used_is_told(tmp_path: Path, query: str, told: str) -> None:
    async with with_calls(tmp_path, {}) as server:
        status, body = await get(server, f"/calls?{query}")
    assert status == 400
    assert told in body["error"]


async def test_a_call_that_goes_on_is_live_and_is_not_once_it_is_over(tmp_path: Path) -> None:
    async with with_calls(tmp_path, {sid(1): [ev.Opened(ANN, "+15550100009", "inbound")]}) as server:
        async with server.call() as call:
            await call.reply()
            assert await listed(server, "state=live") == [call.sid]  # the other is years old, and was lost
            status, body = await get(server, f"/calls/{call.sid}")
            assert (status, body["state"]) == (200, "agent")
            assert body["dialogue"][0]["who"] == "agent"
        await server.post("/voice/status", CallSid=call.sid, CallStatus="completed")
        assert await listed(server, "state=live") == []


async def test_a_call_is_shown_with_what_was_not_heard(tmp_path: Path) -> None:
    events: list[Event] = [
        ev.Opened(ANN, "+15550100009", "inbound", {"CallerName": "ANN"}),
        ev.Connected("VX1"),
        ev.Prompted("Are you open?"),
        ev.Replied(1, "VX1", "We are open from nine to five.", True, 12.0, 90.0, ends_turn=True),
        ev.Heard(1, "VX1", "We are open", 400.0),
        ev.ToolCalled(1, "a", "hours", "{}", False),
        ev.HandedOff("requested", "angry", "Wants a person."),
    ]
    async with with_calls(tmp_path, {sid(1): events}) as server:
        _, body = await get(server, f"/calls/{sid(1)}")
        _, watched = await get(server, f"/calls/{sid(1)}", "watch")
        _, told = await get(server, f"/calls/{sid(1)}/events")
        _, report = await get(server, f"/calls/{sid(1)}/report")
        _, export = await get(server, f"/calls/{sid(1)}/export")
        headers = {"Authorization": f"Bearer {key_of('act')}"}
        text = await server.http.get(
            f"{server.base_url}/api/v1/calls/{sid(1)}/export?format=text", headers=headers
        )
        assert "caller: Are you open?" in (words := await text.text())
        assert "[not heard: from nine to five.]" in words
        assert (await get(server, f"/calls/{sid(1)}/export?format=vcon"))[0] == 409
        assert (await get(server, f"/calls/{sid(1)}/export?format=pdf"))[0] == 400
    caller, agent, handoff = body["dialogue"]
    assert (caller["who"], agent["heard"], agent["unheard"]) == (
        "caller",
        "We are open",
        " from nine to five.",
    )
    assert handoff["event"]["kind"] == "handoff"
    assert (body["state"], body["tools"][0]["name"], body["webhook"]) == (
        "waiting",
        "hours",
        {"CallerName": "ANN"},
    )
    assert (body["call"]["from"], watched["call"]["from"]) == (ANN, "+1•••01")
    assert [item["event"]["kind"] for item in told["events"]][:2] == ["opened", "connected"]
    assert (report["type"], len(export["events"])) == ("call.report", len(events))


@pytest.mark.parametrize("path", ["", "/events", "/report", "/export"])
async def test_a_call_that_nobody_knows_is_not_found(tmp_path: Path, path: str) -> None:
    async with with_calls(tmp_path, {}) as server:
        assert (await get(server, f"/calls/{sid(1)}{path}"))[0] == 404
        assert (await get(server, f"/calls/nonsense{path}"))[0] == 404


def folded(*events: Event) -> list[Entry]:
    return [Entry(f"{number:04}", float(number), "CA1", event) for number, event in enumerate(events)]


RECORD = CallRecord("CA1", ANN, "+15550100009", "inbound", "in-progress", 0.0, None, 9.0)


def test_a_live_call_tells_what_a_supervisor_looks_for() -> None:
    entries = folded(
        ev.Opened(ANN, "+15550100009", "inbound", {"CallerName": "ANN"}),
        ev.Connected("VX1"),
        ev.Failed("agent", "slow"),
        ev.Replied(1, "VX1", "Hello.", True, 1.0, 2.0),
        ev.Failed("agent", "slow"),
        ev.Failed("agent", "slow"),
        ev.Prompted("Is anybody there?"),
        ev.Supervised("mute", "anna"),
    )
    call = live_call(RECORD, entries)
    assert (call.caller, call.caller_name, call.state, call.muted) == (ANN, "ANN", "agent", True)
    assert (call.last_words, call.last_speaker, call.last_at) == ("Is anybody there?", "caller", 6.0)
    assert call.failures == 2


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([], "connecting"),
        ([ev.Connected("VX1")], "agent"),
        ([ev.Connected("VX1"), ev.Disconnected("VX1", 1006)], "connecting"),
        ([ev.HandedOff("requested"), ev.HandedOff("rang")], "waiting"),
        ([ev.HandedOff("requested"), ev.HandedOff("rang"), ev.HandedOff("accepted")], "person"),
        ([ev.HandedOff("requested"), ev.HandedOff("voicemail")], "message"),
        ([ev.Connected("VX1"), ev.Closed("completed")], "over"),
    ],
)
def test_who_has_the_caller(events: list[Event], state: str) -> None:
    assert live_call(RECORD, folded(ev.Opened(ANN, BOB), *events)).state == state


def test_what_was_heard_otherwise_than_sent_is_unheard_as_a_whole() -> None:
    entries = folded(ev.Replied(1, "VX1", "Five euros.", True), ev.Heard(1, "VX1", "5 euros", 10.0))
    (line,) = dialogue(CallState.of(entries), entries)
    assert (line.heard, line.unheard) == ("5 euros", "Five euros.")


def test_a_moment_may_have_an_offset() -> None:
    assert (
        CallQuery.of({"from": "2026-11-22T14:30+01:00"}).since
        == CallQuery.of({"from": "2026-11-22T13:30Z"}).since
    )
