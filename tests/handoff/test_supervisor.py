"""A supervisor pulls a live call to a person, or ends it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from support.sandbox import REAL, Sandbox, database, recorded, sandbox
from support.waiting import until
from voice_app.calls import CallState
from voice_app.console.access import WRONG_A_MINUTE
from voice_app.journal import Journal, events
from voice_app.runtime import refusals
from voice_app.sandbox.phone import Person, PhoneCall
from voice_app.sandbox.twilio import CallStart
from voice_app.telemetry import logs
from voice_app.telemetry.metrics import METRICS

TOKEN = "a token that is long enough"
OPENED = events.Opened("+15550199999", "+15550100001", "inbound")
OPEN: dict[str, Any] = {"api_token": SecretStr(TOKEN)}


async def post(
    server: Sandbox, path: str, token: str = TOKEN, body: str = ""
) -> tuple[int, dict[str, object]]:
    response = await server.http.post(
        server.base_url + path, headers={"Authorization": f"Bearer {token}"}, data=body
    )
    return response.status, await response.json()


async def answered(call: PhoneCall) -> None:
    await call.reply()


async def test_a_live_call_is_pulled_to_a_person(tmp_path: Path) -> None:
    async with sandbox(tmp_path, **OPEN) as server, server.call() as call:
        await answered(call)
        status, _ = await post(
            server, f"/api/calls/{call.sid}/handoff", body='{"reason":"vip","summary":"Be nice."}'
        )
        assert status == 202
        assert (await call.reply()).text == server.settings.handoff_line
        await call.reply()
    assert call.endings[0].handoff_data == '{"reason":"vip","summary":"Be nice."}'
    handoff = CallState.of(await recorded(tmp_path, call.sid)).handoff
    assert (handoff.reason, handoff.summary) == ("vip", "Be nice.")


async def test_a_live_call_is_ended(tmp_path: Path) -> None:
    async with sandbox(tmp_path, **OPEN) as server, server.call() as call:
        await answered(call)
        assert (await post(server, f"/api/calls/{call.sid}/end"))[0] == 202
        await call.over.wait()
    assert [ending.status for ending in call.endings] == ["ended"]


async def test_a_call_that_is_not_here_is_not_found(tmp_path: Path) -> None:
    async with sandbox(tmp_path, **OPEN) as server:
        status, body = await post(server, f"/api/calls/CA{'1' * 32}/handoff")
    assert status == 404
    assert "no call" in str(body["error"])


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x"])
async def test_a_wrong_token_opens_nothing(tmp_path: Path, token: str) -> None:
    async with sandbox(tmp_path, **OPEN) as server, server.call() as call:
        await answered(call)
        assert (await post(server, f"/api/calls/{call.sid}/end", token))[0] == 401
        assert not call.over.is_set()


async def test_without_a_token_it_is_closed(tmp_path: Path) -> None:
    async with sandbox(tmp_path, **REAL) as server:
        response = await server.http.post(f"{server.base_url}/api/calls/CA{'1' * 32}/end")
        body = await response.json()
    assert response.status == 401
    assert "VOICE_APP_API_TOKEN" in str(body["error"])


@pytest.mark.parametrize("body", ["[", "[]", '"x"', '{"reason":1}', "x" * 20_000])
async def test_a_body_that_is_none_is_refused(tmp_path: Path, body: str) -> None:
    async with sandbox(tmp_path, **OPEN) as server:
        assert (await post(server, f"/api/calls/CA{'1' * 32}/handoff", body=body))[0] == 400


async def test_a_call_that_a_person_has_is_ended_through_twilio(tmp_path: Path) -> None:
    changes: dict[str, Any] = {**OPEN, "handoff_to": ("+15550100010",), "answer": "people"}
    async with sandbox(tmp_path, **changes) as server, server.call(anna()) as call:
        await call.bridged()
        assert (await post(server, f"/api/calls/{call.sid}/end"))[0] == 202
        await call.over.wait()
    assert call.problems == []


def anna() -> Person:
    return Person("answers", says=["Anna here."])


async def known_at_twilio(server: Sandbox, call_sid: str) -> None:
    """A call that is on the line, and that another server may have."""
    assert server.phone.transcriber is not None
    await server.phone.transcriber.call_started(CallStart(call_sid, "+15550199999", "+15550100001"))


@pytest.mark.parametrize("what", ["handoff", "end"])
@pytest.mark.parametrize(
    ("known", "at_twilio", "status"),
    [
        ((), None, 404),
        ((), "live", 404),
        ((OPENED,), None, 404),
        ((OPENED,), "over", 409),
        ((OPENED, events.Closed("completed")), "live", 409),
        ((OPENED,), "live", 202),
    ],
)
async def test_a_call_that_is_unknown_or_over_is_refused_and_nothing_is_written(
    tmp_path: Path, what: str, known: tuple[events.Event, ...], at_twilio: str | None, status: int
) -> None:
    call_sid = "CA" + "5" * 32
    async with Journal(database(tmp_path)) as journal:
        for event in known:
            journal.write(call_sid, event)
    async with sandbox(tmp_path, **OPEN) as server:
        if at_twilio is not None:
            await known_at_twilio(server, call_sid)
        if at_twilio == "over" and server.phone.transcriber is not None:
            await server.phone.transcriber.call_ended(call_sid)
        answered, body = await post(server, f"/api/calls/{call_sid}/{what}")
    assert answered == status
    assert ("error" in body) == (status != 202)
    if status != 202:
        assert [entry.event for entry in await recorded(tmp_path, call_sid)] == list(known)


async def test_a_call_without_a_session_here_is_pulled_with_a_summary_of_what_was_said(
    tmp_path: Path,
) -> None:
    """As after the agent's own transfer, the person who is rung hears what it is about."""
    call_sid = "CA" + "5" * 32
    changes: dict[str, Any] = {**OPEN, "handoff_to": ("+15550100010",), "handoff_then": "agent"}
    async with Journal(database(tmp_path)) as journal:
        journal.write(call_sid, events.Opened("+15550199999", "+15550100001", "inbound"))
        journal.write(call_sid, events.Prompted("My order 81 never came."))
    async with sandbox(tmp_path, **changes) as server:
        await known_at_twilio(server, call_sid)
        assert (await post(server, f"/api/calls/{call_sid}/handoff", body='{"reason":"vip"}'))[0] == 202
        response = await server.post("/handoff/pulled", CallSid=call_sid, CallStatus="in-progress")
        document = await response.text()
        assert 0 < document.find(f"<Say>{server.settings.handoff_line}</Say>") < document.find("<Dial")
        whisper = await server.post(f"/handoff/whisper/{call_sid}/1", CallSid="CA" + "6" * 32)
        document = await whisper.text()
    assert "It is about: vip." in document
    assert "My order 81 never came." in document


async def test_a_disclosure_that_was_cut_short_is_said_before_the_next_person_is_rung(tmp_path: Path) -> None:
    call_sid = "CA" + "5" * 32
    disclosure = "This call is recorded."
    changes: dict[str, Any] = {"handoff_to": ("+15550100010",), "disclosure": disclosure}
    async with Journal(database(tmp_path)) as journal:
        for event in (
            OPENED,
            events.HandedOff("requested"),
            events.HandedOff("rang", target="conference:+15550100010", attempt=1),
            events.Served("handoff.xml", "handoff", disclosure=disclosure),
            events.HandedOff("busy", attempt=1),
        ):
            journal.write(call_sid, event)
    async with sandbox(tmp_path, **changes) as server:
        response = await server.post("/handoff/pulled", CallSid=call_sid, CallStatus="in-progress")
        assert f">{disclosure}" in await response.text()


async def test_a_pull_that_twilio_did_not_take_is_asked_of_it_again(tmp_path: Path) -> None:
    changes: dict[str, Any] = {**OPEN, "handoff_to": ("+15550100010",)}
    path = f"/api/calls/CA{'1' * 32}/handoff"
    async with sandbox(tmp_path, **changes) as server:
        assert [(await post(server, path))[0] for _ in range(2)] == [404, 404]


# --- wrong tokens -----------------------------------------------------------------------------------


async def test_who_tries_tokens_is_told_to_wait_and_the_right_one_is_taken_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_COUNT_SECONDS", 3)
    monkeypatch.setattr(refusals, "PAUSE_SECONDS", 0)
    METRICS.reset()
    path = f"/api/calls/CA{'1' * 32}/end"
    async with sandbox(tmp_path, **OPEN) as server:
        statuses = [(await post(server, path, f"guess {number}"))[0] for number in range(WRONG_A_MINUTE + 10)]
        assert statuses == [401] * WRONG_A_MINUTE + [429] * 10
        response = await server.http.post(server.base_url + path)
        assert int(response.headers["Retry-After"]) > 0
        assert (await post(server, path))[0] == 404
        await until(lambda: counted(caplog) == WRONG_A_MINUTE + 10, "the count of all but the first")
    assert "guess" not in caplog.text
    assert METRICS.sample("voice_app_requests_refused_total", what="token") == WRONG_A_MINUTE + 11


def counted(caplog: pytest.LogCaptureFixture) -> int:
    found = re.findall(r"(\d+) more requests without the right bearer token", caplog.text)
    return sum(map(int, found))


@pytest.mark.parametrize("path", ["/voice", "/orchestrator/events", f"/api/calls/CA{'1' * 32}/handoff"])
async def test_who_goes_in_the_middle_of_a_body_leaves_no_traceback(
    tmp_path: Path, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with sandbox(tmp_path, **OPEN) as server:
        for _ in range(20):
            await leave_in_mid_body(server, path)
        assert (await server.http.get(f"{server.base_url}/healthz")).status == 200
        await until(lambda: len(asyncio.all_tasks()) < 40, "the requests to end")
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


async def leave_in_mid_body(server: Sandbox, path: str) -> None:
    """Send half of a request, with every header that the route wants, and go."""
    host, port = server.base_url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST {path}?bodySHA256={'0' * 64} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
        f"Authorization: Bearer {TOKEN}\r\nX-Twilio-Signature: {'A' * 27}=\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\n\r\nhalf".encode()
    )
    await writer.drain()
    await asyncio.sleep(0)
    writer.close()
    await writer.wait_closed()
