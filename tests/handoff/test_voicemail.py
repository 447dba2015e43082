"""A message that a caller leaves is written down once, and only as long as Twilio can."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from support.sandbox import happened, recorded, sandbox
from voice_app.calls import CallState
from voice_app.journal import events
from voice_app.sandbox.phone import Person
from voice_app.testing.line import PhoneLine

PEOPLE: dict[str, Any] = {"handoff_to": ("+15550100010",), "answer": "people"}


@pytest.mark.voice_app(answer="people", handoff_to=("+15550100010",))
@pytest.mark.parametrize(
    ("asked", "longest"),
    [
        pytest.param(True, 120, marks=pytest.mark.voice_app(transcribe="twiml")),
        pytest.param(False, 300, marks=pytest.mark.voice_app(transcribe="passive")),
    ],
)
async def test_a_message_is_not_recognised_where_a_capture_rule_does_it(
    line: PhoneLine, asked: bool, longest: int
) -> None:
    line.people.append(Person("busy"))
    caller = line.caller()
    await caller.hears("Please leave a message")
    await caller.says("Please call me back.")
    await caller.is_hung_up_on()
    state = await caller.state()
    (document,) = [document for document in caller.call.documents if "<Record" in document]
    (length,) = re.findall(r'maxLength="(\d+)"', document)
    assert int(length) == longest
    assert ("transcribe" in document) == asked
    assert [served.transcript for served in state.events(events.Served)][-2:-1] == [asked]
    texts = [message.text for message in state.events(events.Voicemail) if message.text]
    assert texts == (["Please call me back."] if asked else [])


async def test_a_message_that_twilio_does_not_understand_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sid = "RE" + "7" * 32
    async with sandbox(tmp_path, **PEOPLE) as server, server.call(Person("busy")) as call:
        await call.reply()
        await server.post(
            "/handoff/recording",
            CallSid=call.sid,
            RecordingSid=sid,
            TranscriptionText="",
            TranscriptionStatus="failed",
        )
        await happened(tmp_path, call.sid, events.Voicemail)
    assert f"{sid} was not understood" in caplog.text
    (message,) = CallState.of(await recorded(tmp_path, call.sid)).events(events.Voicemail)
    assert message == events.Voicemail(sid, transcription="failed")


@pytest.mark.parametrize(
    "error",
    [
        {"TranscriptionErrorCode": "32655", "TranscriptionError": "Provider unavailable"},
        {"ErrorCode": "32655", "ErrorMessage": "Provider unavailable"},
    ],
)
async def test_a_transcription_that_fails_leaves_its_code_in_log_and_journal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: dict[str, str]
) -> None:
    """Sources disagree about the names of its fields."""
    sid = "GT" + "7" * 32
    async with sandbox(tmp_path) as server, server.call() as call:
        await call.reply()
        await server.post(
            "/transcription",
            CallSid=call.sid,
            TranscriptionSid=sid,
            TranscriptionEvent="transcription-error",
            **error,
        )
        await happened(tmp_path, call.sid, events.Transcription)
    assert "the transcription failed: 32655 Provider unavailable" in caplog.text
    (event,) = CallState.of(await recorded(tmp_path, call.sid)).events(events.Transcription)
    assert event == events.Transcription(sid, "error", detail="32655 Provider unavailable")
