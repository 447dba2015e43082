"""What a caller's line does after a session broke off, whoever is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.sandbox import Sandbox, database, recorded, sandbox
from voice_app.journal import Journal
from voice_app.journal.events import (
    Acted,
    Conversed,
    Disconnected,
    Event,
    HandedOff,
    Opened,
    Prompted,
    Replied,
    SessionEnded,
)
from voice_app.settings import LanguageSettings
from voice_app.twiml import lint_text

CALL = "CA" + "7" * 32
BEGUN: tuple[Event, ...] = (
    Opened("+15550199999", "+15550100001", "inbound"),
    Conversed("conv_conversation_1"),
    Replied(0, "VX1", "Hello!", True),
    Prompted("Hi"),
)
ROUTES = pytest.mark.parametrize("path", ["/voice/resume", "/voice/resume?hop=1", "/voice/relay-ended"])


async def told(folder: Path, *events: Event) -> None:
    """Write the journal of a call before there is a server."""
    async with Journal(database(folder)) as journal:
        for event in (*BEGUN, *events):
            journal.write(CALL, event)


async def answer(server: Sandbox, path: str = "/voice/resume", **form: str) -> str:
    session = {"SessionId": "VX1", "SessionStatus": "failed"} if path.endswith("ended") else {}
    caller = {"CallSid": CALL, "From": "+15550199999", "To": "+15550100001", "CallStatus": "in-progress"}
    response = await server.post(path, **{**caller, **session, **form})
    assert response.status == 200
    document = await response.text()
    assert document.endswith("<Response/>\n") or lint_text(document, path) == []
    return document


@ROUTES
async def test_the_agent_goes_on_in_the_same_conversation_with_one_short_line(
    tmp_path: Path, path: str
) -> None:
    await told(tmp_path)
    async with sandbox(tmp_path) as server:
        document = await answer(server, path)
    assert 'conversationId="conv_conversation_1"' in document
    assert f'welcomeGreeting="{server.settings.resume_greeting}"' in document


@ROUTES
async def test_a_transfer_that_was_decided_is_begun(tmp_path: Path, path: str) -> None:
    await told(tmp_path, Acted("transfer", "billing", "Wants a refund."))
    async with sandbox(tmp_path, handoff_to=("+15550100010",)) as server:
        documents = [await answer(server, path) for _ in range(2)]
    assert all("+15550100010" in document for document in documents)
    steps = [entry.event for entry in await recorded(tmp_path, CALL) if isinstance(entry.event, HandedOff)]
    assert [(event.step, event.reason, event.summary) for event in steps] == [
        ("requested", "billing", "Wants a refund."),
        ("rang", "", ""),
    ]


@ROUTES
async def test_a_call_that_the_agent_had_ended_ends(tmp_path: Path, path: str) -> None:
    await told(tmp_path, Acted("end-call", "finished"))
    async with sandbox(tmp_path) as server:
        document = await answer(server, path)
    assert "<Hangup/>" in document
    assert "<ConversationRelay" not in document


@ROUTES
async def test_a_handoff_that_is_under_way_goes_on(tmp_path: Path, path: str) -> None:
    rang = HandedOff("rang", target="people", attempt=1)
    await told(tmp_path, HandedOff("requested", "billing"), rang)
    async with sandbox(tmp_path, handoff_to=("+15550100010",)) as server:
        assert "<Dial" in await answer(server, path)


@ROUTES
async def test_a_call_that_is_over_is_left_alone(tmp_path: Path, path: str) -> None:
    await told(tmp_path)
    async with sandbox(tmp_path) as server:
        assert "<Response/>" in await answer(server, path, CallStatus="completed")


@ROUTES
async def test_a_call_that_no_journal_knows_is_greeted(tmp_path: Path, path: str) -> None:
    async with sandbox(tmp_path) as server:
        document = await answer(server, path)
    assert f'welcomeGreeting="{server.settings.greeting}"' in document
    opened = [entry.event for entry in await recorded(tmp_path, CALL) if isinstance(entry.event, Opened)]
    assert opened == [Opened("+15550199999", "+15550100001", "inbound")]


async def test_an_unsigned_request_is_refused(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server:
        response = await server.http.post(f"{server.base_url}/voice/resume?hop=1", data={"CallSid": CALL})
    assert response.status == 403


def failed(session_id: str) -> SessionEnded:
    return SessionEnded(session_id, "failed", error_code="64105")


@pytest.mark.parametrize(
    ("events", "resumed"),
    [
        ([failed("VX1"), failed("VX2")], True),
        ([failed("VX1"), failed("VX2"), failed("VX3")], False),
        ([failed("VX1")] * 5, True),
        ([failed("")] * 3, False),
        ([SessionEnded("VX1", "completed"), SessionEnded("VX2", "ended"), failed("VX3")], True),
        ([failed("VX1"), failed("VX2"), failed("VX3"), Disconnected("VX3", 1012)], True),
    ],
)
async def test_broken_sessions_are_counted_once_and_those_of_a_server_that_stopped_not_at_all(
    tmp_path: Path, events: list[Any], *, resumed: bool
) -> None:
    await told(tmp_path, *events)
    async with sandbox(tmp_path, max_resumes=2) as server:
        document = await answer(server)
    assert ("<ConversationRelay" in document) is resumed
    assert ("Please leave a message" in document) is not resumed


VOICES: dict[str, Any] = {
    "language": "en-US",
    "tts_provider": "ElevenLabs",
    "voice": "UgBBYS2sOqTuMpoF3BR0",
    "transcription_provider": "Deepgram",
    "speech_model": "nova-3-medical",
}
SPANISH = LanguageSettings(code="es-ES", tts_provider="Amazon", voice="Lucia-Neural")


@pytest.mark.parametrize(
    ("languages", "own"),
    [((), 'ttsProvider="ElevenLabs"'), ((SPANISH,), 'ttsProvider="Amazon" voice="Lucia-Neural"')],
    ids=["of which nothing is known", "of the settings"],
)
async def test_a_language_that_was_switched_to_goes_on_without_the_voice_of_the_first(
    tmp_path: Path, languages: tuple[LanguageSettings, ...], own: str
) -> None:
    await told(tmp_path, Acted("switch-language", "es-ES es-ES"))
    async with sandbox(tmp_path, **VOICES, languages=languages) as server:
        document = await answer(server)
    relay = document.partition("<ConversationRelay")[2].partition(">")[0]
    assert 'ttsLanguage="es-ES" transcriptionLanguage="es-ES"' in relay
    assert own in relay
    assert VOICES["voice"] not in relay
    assert VOICES["speech_model"] not in relay


async def test_without_a_switch_the_voice_stays(tmp_path: Path) -> None:
    await told(tmp_path)
    async with sandbox(tmp_path, **VOICES) as server:
        document = await answer(server)
    assert f'voice="{VOICES["voice"]}"' in document
    assert f'speechModel="{VOICES["speech_model"]}"' in document
