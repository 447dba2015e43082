"""`answer(call)`: how a single call is answered is decided before Twilio has its answer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from support.driver import CALL
from support.receiver import SECRET, receiving
from support.sandbox import Sandbox, recorded, remembered, sandbox
from voice_app.journal import events
from voice_app.sandbox.phone import CallOverError, Person
from voice_app.settings import Settings, SettingsError, load
from voice_app.twiml import lint_text

GREETING = "Hello! You are talking with an automated assistant. How can I help you?"


def deciding(folder: Path, **changes: Any) -> Any:
    return sandbox(folder, **{"agent": "support.answers:agent", **changes})


async def answered(server: Sandbox, caller_name: str, sid: str = CALL) -> str:
    """The document that a call gets."""
    response = await server.post(
        "/voice",
        CallSid=sid,
        From="+15550199999",
        To=server.settings.phone_number or "",
        Direction="inbound",
        CallStatus="ringing",
        CallerName=caller_name,
    )
    assert response.status == 200
    return await response.text()


@pytest.mark.parametrize(
    ("name", "piece"),
    [
        ("Ann", 'welcomeGreeting="Good morning, Ann!"'),
        ("Ann", '<Parameter name="customer" value="17"/>'),
        ("Hans", 'language="de-DE"'),
        ("Known", 'conversationId="conv_conversation_known"'),
        ("Spam", '<Reject reason="rejected"/>'),
        ("Busy", '<Reject reason="busy"/>'),
        ("Vip", "+15550100077"),
        ("Nobody", f'welcomeGreeting="{GREETING}"'),
    ],
)
async def test_a_decision_is_in_the_document_and_the_document_lints_clean(
    tmp_path: Path, name: str, piece: str
) -> None:
    async with deciding(tmp_path) as server:
        document = await answered(server, name)
    assert piece in document
    assert lint_text(document, "answer") == []
    decided = [e.event for e in await recorded(tmp_path, CALL) if isinstance(e.event, events.AnswerDecided)]
    assert len(decided) == (name != "Nobody")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Broken", "RuntimeError"),
        ("Exit", "SystemExit"),
        ("Slow", "it was not decided within 1 s"),
        ("Wrong", "it gives an Answer, a Reject or None, not str"),
        ("Tag", "language"),
        ("Nowhere", "nobody"),
        ("Stranger", "there is no agent nobody"),
    ],
)
async def test_what_cannot_be_used_is_written_down_and_the_settings_hold(
    tmp_path: Path, name: str, why: str
) -> None:
    async with deciding(tmp_path) as server:
        assert f'welcomeGreeting="{GREETING}"' in await answered(server, name)
    (failed,) = [e.event for e in await recorded(tmp_path, CALL) if isinstance(e.event, events.Failed)]
    assert failed.what == "answer"
    assert why in failed.detail


async def test_a_greeting_and_parameters_reach_the_session_and_its_history(tmp_path: Path) -> None:
    async with (
        deciding(tmp_path) as server,
        server.phone.call(f"{server.settings.origin}/voice", caller="+15550190001") as call,
    ):
        assert (await call.reply()).text == "Good morning, Ann!"
        assert (await call.ask("Who am I?")).text == "17, unknown."
        await call.drop()
        await call.reply()
        assert (await call.ask("And now?")).text == "17, unknown."
    assert call.problems == []
    assert (await remembered(tmp_path, call.sid))[0].content == "Good morning, Ann!"


async def test_a_rejected_call_is_not_answered(tmp_path: Path) -> None:
    async with (
        deciding(tmp_path) as server,
        server.phone.call(f"{server.settings.origin}/voice", caller="+15550190002") as call,
    ):
        with pytest.raises(CallOverError):
            await call.reply()
    assert call.problems == []
    assert "<Reject" in call.documents[0]


async def test_a_call_goes_to_the_people_that_were_decided_on(tmp_path: Path) -> None:
    person = Person(says=["Hello, Vip."])
    async with (
        deciding(tmp_path) as server,
        server.phone.call(f"{server.settings.origin}/voice", caller="+15550190003", people=[person]) as call,
    ):
        await call.bridged()
    assert "+15550100077" in call.documents[0]


async def test_an_endpoint_is_asked_with_a_signature_and_decides(tmp_path: Path) -> None:
    async with receiving() as hook:
        hook.answers, hook.content = [200], {"greeting": "Hi!", "parameters": {"customer": "4"}}
        async with deciding(tmp_path, answer_hook=hook.url, answer_secret=SecretStr(SECRET)) as server:
            assert 'welcomeGreeting="Hi!"' in await answered(server, "Ann")
    (question,) = hook.reports
    assert question["webhook"] == {"CallerName": "Ann"}
    assert question["from"] == "+15550199999"


async def test_an_answer_that_comes_in_pieces_is_read_to_its_end(tmp_path: Path) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in (b'{"greeting": ', b'"In two pieces."}'):
            await response.write(piece)
            await asyncio.sleep(0.02)
        return response

    app = web.Application()
    app.router.add_post("/", handle)
    async with TestServer(app) as hook:
        settings = {"answer_hook": str(hook.make_url("/")), "answer_secret": SecretStr(SECRET)}
        async with deciding(tmp_path, **settings) as server:
            assert 'welcomeGreeting="In two pieces."' in await answered(server, "Ann")


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (500, {}, "the hook answered 500"),
        (302, {}, "the hook answered 302"),
        (200, {"greting": "Hi!"}, "greting"),
        (200, {"greeting": 5}, "greeting"),
        (200, {"reject": "maybe"}, "reject"),
        (200, "[" * 50_000, "JSON cannot be used"),
        (200, '{"people":' * 5_000, "JSON cannot be used"),
    ],
)
async def test_an_endpoint_that_fails_changes_nothing(
    tmp_path: Path, status: int, body: dict[str, Any] | str, why: str
) -> None:
    async with receiving() as hook:
        hook.answers, hook.content = [status], body
        async with deciding(tmp_path, answer_hook=hook.url, answer_secret=SecretStr(SECRET)) as server:
            assert GREETING in await answered(server, "Ann")
    (failed,) = [e.event for e in await recorded(tmp_path, CALL) if isinstance(e.event, events.Failed)]
    assert why in failed.detail


def test_an_endpoint_needs_a_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOICE_APP_ANSWER_HOOK", "https://example.com/answer")
    with pytest.raises(SettingsError, match="VOICE_APP_ANSWER_SECRET is not set"):
        load()


async def test_a_function_that_the_setting_names_decides_for_every_agent(tmp_path: Path) -> None:
    async with sandbox(tmp_path, answer_hook="support.answers:answer") as server:
        assert "Good morning, Ann!" in await answered(server, "Ann")


def test_settings_have_defaults_without_a_hook() -> None:
    assert Settings.model_construct().answer_hook is None
