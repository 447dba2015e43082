"""What Twilio asks over HTTP, of a running server."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
import yarl

from support.sandbox import Sandbox, recorded, sandbox
from voice_app.journal import events
from voice_app.twiml import lint_text

CALL = "CA" + "7" * 32
IN_PROGRESS = {"CallSid": CALL, "CallStatus": "in-progress", "From": "+15550199999", "To": "+15550100001"}


async def twiml(server: Sandbox, path: str, **form: str) -> str:
    """The TwiML of a webhook, which always has to be valid."""
    response = await server.post(path, **{**IN_PROGRESS, **form})
    document = await response.text()
    assert response.status == 200
    assert response.content_type == "text/xml"
    assert lint_text(document, path) == []
    return document


@pytest.mark.parametrize("path", ["/voice", "/voice/relay-ended", "/voice/status", "/voice/fallback"])
async def test_an_unsigned_request_is_forbidden_and_logged_in_one_line(
    tmp_path: Path, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with sandbox(tmp_path) as server:
        with caplog.at_level(logging.WARNING):
            response = await server.http.post(server.base_url + path, data=IN_PROGRESS)
    assert response.status == 403
    (record,) = [found for found in caplog.records if found.name == "voice_app.webhooks.routing"]
    assert record.getMessage() == f"refused POST {path}: there is no X-Twilio-Signature"
    assert record.exc_info is None


async def test_a_signature_over_other_fields_is_forbidden(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server:
        signature = server.network.sign(f"{server.settings.origin}/voice", IN_PROGRESS)
        response = await server.http.post(
            f"{server.base_url}/voice",
            data={**IN_PROGRESS, "From": "+15550000000"},
            headers={"X-Twilio-Signature": signature},
        )
    assert response.status == 403


async def test_another_account_is_forbidden_though_its_signature_is_good(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server:
        response = await server.post("/voice", **{**IN_PROGRESS, "AccountSid": "AC" + "9" * 32})
    assert response.status == 403


async def test_a_number_may_ask_with_get(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server:
        target = f"/voice?CallSid={CALL}&From=%2B15550199999&To=%2B15550100001"
        signature = server.network.sign(server.settings.origin + target)
        url = yarl.URL(server.base_url + target, encoded=True)
        response = await server.http.get(url, headers={"X-Twilio-Signature": signature})
        assert response.status == 200
        assert "<ConversationRelay" in await response.text()


@pytest.mark.parametrize("call_sid", ["", "CA1", "CA" + "z" * 32, "AC" + "7" * 32])
async def test_a_call_without_a_proper_sid_is_a_bad_request(tmp_path: Path, call_sid: str) -> None:
    async with sandbox(tmp_path) as server:
        response = await server.post("/voice", **{**IN_PROGRESS, "CallSid": call_sid})
    assert response.status == 400


async def test_a_body_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server:
        response = await server.post("/voice", **{**IN_PROGRESS, "Junk": "x" * 300_000})
    assert response.status == 413


async def test_what_the_caller_sends_cannot_become_markup(tmp_path: Path) -> None:
    hostile = '"><Dial>+1900</Dial><X y="'
    async with sandbox(tmp_path) as server:
        document = await twiml(server, "/voice", From=hostile)
    assert "<Dial>" not in document


async def test_a_session_that_the_caller_ended_needs_no_instructions(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server:
        document = await twiml(
            server, "/voice/relay-ended", SessionId="VX1", SessionStatus="completed", CallStatus="completed"
        )
    assert "<Response/>" in document


async def test_a_session_that_the_agent_ended_hangs_up(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server:
        document = await twiml(server, "/voice/relay-ended", SessionId="VX1", SessionStatus="ended")
    assert "<Hangup/>" in document
    assert "<Say>" not in document


@pytest.mark.parametrize(
    "data", ['{"reason":"billing"}', "{}", "[]", "not json", "[" * 10_000, '"text"', "null"]
)
async def test_with_nobody_to_ring_the_caller_may_leave_a_message_whatever_the_handoff_data(
    tmp_path: Path, data: str
) -> None:
    async with sandbox(tmp_path) as server:
        document = await twiml(
            server, "/voice/relay-ended", SessionId="VX1", SessionStatus="ended", HandoffData=data
        )
    assert "Please leave a message" in document
    assert "<Record" in document


async def test_a_broken_session_is_taken_up_once_however_often_twilio_asks(tmp_path: Path) -> None:
    broken = {"SessionStatus": "failed", "ErrorCode": "64105", "ErrorMessage": "Websocket ended"}
    async with sandbox(tmp_path, max_resumes=1) as server:
        for _ in range(3):
            document = await twiml(server, "/voice/relay-ended", SessionId="VX1", **broken)
            assert "<ConversationRelay" in document
        document = await twiml(server, "/voice/relay-ended", SessionId="VX2", **broken)
        assert "Please leave a message" in document


@pytest.mark.parametrize("status", ["", "nonsense"])
async def test_a_session_status_that_nobody_knows_is_a_broken_session(tmp_path: Path, status: str) -> None:
    async with sandbox(tmp_path) as server:
        document = await twiml(server, "/voice/relay-ended", SessionId="VX1", SessionStatus=status)
    assert "<ConversationRelay" in document


async def test_a_broken_session_of_a_call_that_is_over_is_left_alone(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server:
        document = await twiml(
            server, "/voice/relay-ended", SessionId="VX1", SessionStatus="failed", CallStatus="completed"
        )
    assert "<Response/>" in document


async def test_the_status_callback_closes_the_record_early_late_and_twice(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server:
        for status in ("ringing", "completed", "completed", "in-progress"):
            response = await server.post("/voice/status", CallSid=CALL, CallStatus=status, CallDuration="7")
            assert response.status == 204
        await twiml(server, "/voice")
    entries = await recorded(tmp_path, CALL)
    closed = [entry.event for entry in entries if isinstance(entry.event, events.Closed)]
    assert closed == [events.Closed("completed", 7.0)] * 2


async def test_an_answer_that_twilio_could_not_use_ends_in_an_apology(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server:
        document = await twiml(
            server, "/voice/fallback", ErrorCode="12100", ErrorUrl="https://x.example/voice"
        )
    assert "sorry" in document
    assert "<Hangup/>" in document


async def test_an_answer_that_never_came_is_given_by_the_fallback(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server:
        begun = await twiml(server, "/voice/fallback", ErrorCode="11200")
        gone_on = await twiml(server, "/voice/fallback", ErrorCode="11205")
        given_up = await twiml(server, "/voice/fallback", ErrorCode="11200")
        greeting = server.settings.greeting
    assert f'welcomeGreeting="{greeting}"' in begun
    assert "<ConversationRelay" in gone_on
    assert "<ConversationRelay" not in given_up
    assert "sorry" in given_up


async def test_a_webhook_that_fails_still_says_something(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "fallback.xml").write_text("<Response><Hangup/></Response>")
    (folder / "answer.xml").write_text("<Response>{{ missing }}</Response>")
    async with sandbox(tmp_path, templates=folder) as server:
        document = await twiml(server, "/voice")
    assert "<Say>" in document
    assert "<Hangup/>" in document
    assert "/voice failed" in caplog.text


async def test_health_readiness_and_metrics_are_there(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server:
        for path, expected in (
            ("/healthz", "ok"),
            ("/readyz", "ready"),
            ("/metrics", "voice_app_calls_total"),
        ):
            response = await server.http.get(server.base_url + path)
            assert response.status == 200
            assert expected in await response.text()


async def test_what_happens_is_counted(tmp_path: Path) -> None:
    async with sandbox(tmp_path, speculate="stable") as server:
        await server.http.post(f"{server.base_url}/voice", data=IN_PROGRESS)
        async with server.call() as call:
            await call.reply()
            await call.ask("When are you open?")
            response = await server.http.get(f"{server.base_url}/metrics")
            text = await response.text()
    for name in (
        "voice_app_calls_total",
        "voice_app_sessions_open",
        'voice_app_requests_refused_total{what="request"}',
        'voice_app_speculations_total{outcome="hit"}',
    ):
        (value,) = re.findall(rf"(?m)^{re.escape(name)} (\S+)$", text)
        assert float(value) > 0, name
    # An agent without a model answers within a tick of the loop's clock: nothing is saved there.
    assert re.search(r"(?m)^voice_app_speculation_saved_seconds_total \d", text)


async def test_every_number_may_be_answered_in_its_own_way(tmp_path: Path) -> None:
    numbers = tmp_path / "numbers.toml"
    numbers.write_text('["+15550100002"]\ngreeting = "Second line."\nlanguage = "es-ES"\n')
    async with sandbox(tmp_path, numbers=numbers) as server:
        assert 'welcomeGreeting="Second line."' in await twiml(server, "/voice", To="+15550100002")
        assert "Second line." not in await twiml(server, "/voice")
