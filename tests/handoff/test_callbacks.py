"""The handoff's webhooks: each path of the table, asked as Twilio asks, in order, twice, and late."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from support.sandbox import Sandbox, recorded, sandbox
from voice_app.calls import CallState, Engine, HandoffState
from voice_app.findings import Severity
from voice_app.journal import events
from voice_app.twiml import lint_text
from voice_app.webhooks.responses import engine_after, parsed

CALL = "CA" + "7" * 32
LEG = "CA" + "8" * 32
WISH = json.dumps({"reason": "billing", "summary": "Wants a refund for order 81."})
FIRST, SECOND = "+15550100010", "+15550100011"
FORM = {"CallSid": CALL, "CallStatus": "in-progress", "From": "+15550199999", "To": "+15550100001"}


class Line:
    """The caller's line: every document that went down it, and the engines that listened."""

    def __init__(self, server: Sandbox) -> None:
        self.server = server
        self.engine: Engine = ""
        self.documents: list[str] = []

    async def asks(self, path: str, **form: str) -> str:
        response = await self.server.post(path, **{**FORM, **form})
        document = await response.text()
        assert response.status == 200, document
        assert [item for item in lint_text(document, path) if item.severity is not Severity.NOTE] == []
        self.engine = engine_after(parsed(document), self.engine)
        self.documents.append(document)
        return document

    async def wants_a_person(self, data: str = WISH) -> str:
        await self.asks("/voice")
        return await self.asks("/voice/relay-ended", SessionId="VX1", SessionStatus="ended", HandoffData=data)

    async def missed(self, attempt: int, status: str) -> str:
        return await self.asks(f"/handoff/dialed/{attempt}", DialCallStatus=status, DialBridged="false")

    async def whispers(self, attempt: int = 1) -> str:
        response = await self.server.post(
            f"/handoff/whisper/{CALL}/{attempt}", CallSid=LEG, CallStatus="in-progress"
        )
        document = await response.text()
        assert lint_text(document, "whisper") == []
        return document

    async def presses(self, digits: str, attempt: int = 1) -> str:
        response = await self.server.post(f"/handoff/screened/{CALL}/{attempt}", CallSid=LEG, Digits=digits)
        return await response.text()


def _without_tickets(document: str) -> str:
    return re.sub(r"/relay/[^\"]+", "", document)


def people(**changes: Any) -> dict[str, Any]:
    return {"handoff_to": (FIRST, SECOND), **changes}


async def test_a_person_is_rung_while_a_transcription_writes_on(tmp_path: Path) -> None:
    async with sandbox(tmp_path, **people()) as server:
        document = await Line(server).wants_a_person()
    assert FIRST in document
    assert SECOND not in document
    assert '<Transcription name="handoff"' in document
    assert 'conversationConfiguration="conv_configuration_' in document
    assert document.index("<Start>") < document.index("<Dial")


async def test_the_person_hears_what_it_is_about_and_takes_the_call_with_1(tmp_path: Path) -> None:
    async with sandbox(tmp_path, **people()) as server:
        line = Line(server)
        await line.wants_a_person()
        whisper = await line.whispers()
        assert "Wants a refund for order 81." in whisper
        assert "billing" in whisper
        assert "1 5 5 5 0 1 9 9 9 9 9" in whisper
        assert "<Hangup/>" not in await line.presses("1")
        goodbye = await line.missed(1, "completed")
        assert "<Say>" not in goodbye
    assert CallState.of(await recorded(tmp_path, CALL)).handoff.state is HandoffState.OVER


@pytest.mark.parametrize("digits", ["2", "", "11"])
async def test_any_other_key_declines(tmp_path: Path, digits: str) -> None:
    async with sandbox(tmp_path, **people()) as server:
        line = Line(server)
        await line.wants_a_person()
        assert "<Hangup/>" in await line.presses(digits)


async def test_a_voicemail_box_that_answers_is_no_person(tmp_path: Path) -> None:
    async with sandbox(tmp_path, **people()) as server:
        line = Line(server)
        await line.wants_a_person()
        await line.whispers()
        document = await line.asks("/handoff/dialed/1", DialCallStatus="completed", DialBridged="true")
    assert SECOND in document


@pytest.mark.parametrize("status", ["busy", "no-answer", "failed", "canceled", "completed", "nonsense", ""])
async def test_the_next_person_is_rung_without_a_second_transcription(tmp_path: Path, status: str) -> None:
    async with sandbox(tmp_path, **people()) as server:
        line = Line(server)
        await line.wants_a_person()
        document = await line.missed(1, status)
    assert SECOND in document
    assert "<Start>" not in document


async def test_an_answer_that_twilio_never_got_is_given_again_with_all_it_starts_and_stops(
    tmp_path: Path,
) -> None:
    async with sandbox(tmp_path, **people(handoff_to=(FIRST,), handoff_then="agent")) as server:
        line = Line(server)
        ring = await line.wants_a_person()
        line.engine = "relay"  # the server hung with its answer, and another one is asked
        ended = {"SessionId": "VX1", "SessionStatus": "ended", "HandoffData": WISH}
        assert "<Start>" in ring
        assert await line.asks("/voice/relay-ended", **ended) == ring
        back = await line.missed(1, "no-answer")
        line.engine = "transcription"
        again = await line.missed(1, "no-answer")
        assert again.index("<Stop>") < again.index("<ConversationRelay")
        assert _without_tickets(again) == _without_tickets(back)


async def test_nobody_answers_and_the_caller_may_leave_a_message(tmp_path: Path) -> None:
    async with sandbox(tmp_path, **people()) as server:
        line = Line(server)
        await line.wants_a_person()
        await line.missed(1, "busy")
        document = await line.missed(2, "no-answer")
        assert "<Stop>" in document
        assert "<Record" in document
        recording = {
            "RecordingSid": "RE" + "1" * 32,
            "RecordingUrl": "https://api.twilio.com/x",
            "RecordingDuration": "7",
        }
        assert "Thank you for your message" in await line.asks("/handoff/recorded", **recording)
        response = await server.post(
            "/handoff/recording", CallSid=CALL, TranscriptionText="Call me.", **recording
        )
        assert response.status == 204
    entries = await recorded(tmp_path, CALL)
    assert CallState.of(entries).handoff.state is HandoffState.OVER
    messages = [entry.event for entry in entries if isinstance(entry.event, events.Voicemail)]
    assert messages[-1].text == "Call me."


async def test_nobody_answers_and_the_agent_takes_the_call_again(tmp_path: Path) -> None:
    async with sandbox(tmp_path, **people(handoff_then="agent")) as server:
        line = Line(server)
        await line.wants_a_person()
        await line.missed(1, "busy")
        document = await line.missed(2, "no-answer")
        assert document.index("<Stop>") < document.index("<ConversationRelay")
        assert "none of my colleagues is free" in document
        again = await line.asks(
            "/voice/relay-ended", SessionId="VX2", SessionStatus="ended", HandoffData=WISH
        )
        assert FIRST in again
        await line.missed(1, "busy")
        assert "<Record" in await line.missed(2, "busy")


async def test_with_nobody_to_ring_there_is_the_message(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server:
        assert "<Record" in await Line(server).wants_a_person()


async def test_an_agent_that_failed_does_not_get_the_caller_back(tmp_path: Path) -> None:
    async with sandbox(tmp_path, handoff_to=(FIRST,), handoff_then="agent") as server:
        line = Line(server)
        await line.wants_a_person('{"reason":"agent-failed","summary":"x"}')
        assert "<Record" in await line.missed(1, "busy")


async def test_a_connection_that_broke_too_often_is_a_reason_of_its_own(tmp_path: Path) -> None:
    async with sandbox(tmp_path, max_resumes=1, **people()) as server:
        line = Line(server)
        await line.asks("/voice")
        for session in ("VX1", "VX2"):
            document = await line.asks(
                "/voice/relay-ended", SessionId=session, SessionStatus="failed", ErrorCode="64105"
            )
    assert FIRST in document
    assert CallState.of(await recorded(tmp_path, CALL)).handoff.reason == "agent-failed"


@pytest.mark.parametrize("times", [2, 3])
async def test_repeated_callbacks_are_answered_alike(tmp_path: Path, times: int) -> None:
    async with sandbox(tmp_path, **people()) as server:
        line = Line(server)
        await line.wants_a_person()
        line.engine = ""
        for _ in range(times):
            response = await server.post(
                "/voice/relay-ended", **FORM, SessionId="VX1", SessionStatus="ended", HandoffData=WISH
            )
            assert FIRST in await response.text()
        for _ in range(times):
            response = await server.post("/handoff/dialed/1", **FORM, DialCallStatus="busy")
            assert SECOND in await response.text()
    steps = [
        entry.event.step
        for entry in await recorded(tmp_path, CALL)
        if isinstance(entry.event, events.HandedOff)
    ]
    assert steps == ["requested", "rang", "busy", "rang"]


async def test_a_late_callback_of_an_earlier_attempt_changes_nothing(tmp_path: Path) -> None:
    async with sandbox(tmp_path, **people()) as server:
        line = Line(server)
        await line.wants_a_person()
        await line.missed(1, "busy")
        assert "<Hangup/>" in await line.presses("1", attempt=1)
        assert "<Hangup/>" in await line.whispers(attempt=1)
        assert "<Gather" in await line.whispers(attempt=2)


@pytest.mark.parametrize("path", ["/handoff/dialed/1", "/handoff/recorded"])
async def test_a_caller_who_hangs_up_ends_it(tmp_path: Path, path: str) -> None:
    async with sandbox(tmp_path, **people()) as server:
        line = Line(server)
        await line.wants_a_person()
        document = await line.asks(path, CallStatus="completed", DialCallStatus="no-answer")
        assert "<Response/>" in document
        if path == "/handoff/dialed/1":
            assert "<Hangup/>" in await line.whispers()


async def test_a_callback_for_a_call_that_nobody_knows_is_answered(tmp_path: Path) -> None:
    async with sandbox(tmp_path, **people()) as server:
        assert "<Hangup/>" in await Line(server).missed(1, "busy")


async def test_people_first_rings_at_once_and_the_agent_is_the_second_choice(tmp_path: Path) -> None:
    async with sandbox(tmp_path, handoff_to=(FIRST,), answer="people", handoff_then="agent") as server:
        line = Line(server)
        document = await line.asks("/voice")
        assert FIRST in document
        assert "<Transcription" in document
        assert "ConversationRelay" not in document
        assert "<ConversationRelay" in await line.missed(1, "no-answer")


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("sip:desk@example.com", "<Sip"),
        ("client:anna", "<Client"),
        ("queue:support", ">support</Enqueue>"),
        ("workflow:WW" + "0" * 32, "<Task "),
        ("studio:FW" + "0" * 32, "webhooks.twilio.com"),
    ],
)
async def test_every_kind_of_target_has_its_verb(tmp_path: Path, address: str, told: str) -> None:
    async with sandbox(tmp_path, handoff_to=(address,)) as server:
        assert told in await Line(server).wants_a_person()


async def test_a_task_tells_who_calls_and_why(tmp_path: Path) -> None:
    async with sandbox(tmp_path, handoff_to=("workflow:WW" + "0" * 32,)) as server:
        document = await Line(server).wants_a_person()
    from voice_app.sandbox.phone import read

    task = read(document).verbs[-1].children[0].text
    assert json.loads(task)["summary"] == "Wants a refund for order 81."
    assert json.loads(task)["call_sid"] == CALL
    assert json.loads(task)["profile_id"] is None
    assert '<Task priority="0">' in document


async def test_a_queue_tells_the_place_and_ends_like_a_call(tmp_path: Path) -> None:
    async with sandbox(tmp_path, handoff_to=("queue:support",)) as server:
        line = Line(server)
        await line.wants_a_person()
        response = await server.post("/handoff/wait", **FORM, QueuePosition="3")
        assert "You are number 3 in line." in await response.text()
        assert "<Record" in await line.asks("/handoff/dialed/1", QueueResult="leave")


@pytest.mark.parametrize("position", ["9" * 5000, "-1", "٣", "1e3", "<Hangup/>", ""])
async def test_a_place_that_is_none_is_not_told(tmp_path: Path, position: str) -> None:
    async with sandbox(tmp_path, handoff_to=("queue:support",)) as server:
        await Line(server).wants_a_person()
        response = await server.post("/handoff/wait", **FORM, QueuePosition=position)
        assert response.status == 200
        assert "You are number" not in await response.text()


HOSTILE = '"><Hangup/><Say>' + "\x00\x0b\ufffe😀 ]]> " + "x" * 5000


async def test_hostile_summaries_stay_text(tmp_path: Path) -> None:
    wish = json.dumps({"reason": HOSTILE, "summary": HOSTILE})
    for target in (FIRST, "workflow:WW" + "0" * 32):
        async with sandbox(tmp_path, handoff_to=(target,)) as server:
            line = Line(server)
            await line.asks("/voice", From=f"client:{HOSTILE}")
            ended = {"SessionId": "VX1", "SessionStatus": "ended", "HandoffData": wish}
            await line.asks("/voice/relay-ended", From=f"client:{HOSTILE}", **ended)
            whisper = await line.whispers()
            assert len(whisper) < 3000


@pytest.mark.parametrize("data", ["{}", "[]", "null", "not json", "[" * 9000, '{"reason":1,"summary":["x"]}'])
async def test_handoff_data_may_be_anything(tmp_path: Path, data: str) -> None:
    async with sandbox(tmp_path, **people()) as server:
        assert FIRST in await Line(server).wants_a_person(data)


async def test_the_last_words_are_the_summary_where_nobody_wrote_one(tmp_path: Path) -> None:
    async with sandbox(tmp_path, **people()) as server:
        async with server.call() as call:
            await call.reply()
            await call.ask("My bike is broken.")
        form = {
            "CallSid": call.sid,
            "SessionId": "VX9",
            "SessionStatus": "ended",
            "HandoffData": '{"reason":"x"}',
        }
        await server.post("/voice/relay-ended", **{**FORM, **form})
    assert CallState.of(await recorded(tmp_path, call.sid)).handoff.summary == "My bike is broken."


async def test_what_is_said_to_the_person_is_kept(tmp_path: Path) -> None:
    async with sandbox(tmp_path, **people()) as server:
        common = {"CallSid": CALL, "TranscriptionSid": "GT" + "1" * 32}
        said = [
            ("inbound_track", "Hello?", "2"),
            ("outbound_track", "Anna here.", "3"),
            ("inbound_track", "Great.", "4"),
        ]
        await server.post(
            "/transcription",
            TranscriptionEvent="transcription-started",
            TranscriptionEngine="google",
            **common,
        )
        for track, text, number in said:
            data = json.dumps({"transcript": text, "confidence": 0.9})
            response = await server.post(
                "/transcription",
                TranscriptionEvent="transcription-content",
                Track=track,
                TranscriptionData=data,
                Final="true",
                SequenceId=number,
                **common,
            )
            assert response.status == 204
        for event in ("transcription-stopped", "transcription-error", "something-new", ""):
            await server.post("/transcription", TranscriptionEvent=event, **common)
    kept = [
        entry.event for entry in await recorded(tmp_path, CALL) if isinstance(entry.event, events.Transcribed)
    ]
    assert [(line.speaker, line.text) for line in kept] == [
        ("caller", "Hello?"),
        ("person", "Anna here."),
        ("caller", "Great."),
    ]


async def test_where_a_capture_rule_writes_no_transcription_is_started(tmp_path: Path) -> None:
    changes = people(answer="people", transcribe="passive")
    async with sandbox(tmp_path, **changes) as server:
        line = Line(server)
        document = await line.asks("/voice")
        assert FIRST in document
        assert "Transcription" not in document
        await line.missed(1, "busy")
        assert "<Record" in await line.missed(2, "busy")
    assert all("Transcription" not in document for document in line.documents)


async def test_a_call_on_which_no_agent_is_can_be_pulled_through_twilio(tmp_path: Path) -> None:
    async with sandbox(tmp_path, **people()) as server:
        line = Line(server)
        await line.asks("/voice")
        assert "<Hangup/>" in await line.asks("/handoff/pulled")


async def test_a_second_transcription_on_one_call_is_noticed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with sandbox(tmp_path) as server:
        for sid in ("GT1", "GT2"):
            form = {"CallSid": CALL, "TranscriptionSid": sid, "TranscriptionEvent": "transcription-started"}
            await server.post("/transcription", **form)
    assert f"STT202 Call {CALL}" in caplog.text
    found = [entry.event for entry in await recorded(tmp_path, CALL)]
    assert [event.what for event in found if isinstance(event, events.Failed)] == ["STT202"]


async def test_a_transcription_that_has_stopped_is_no_second_one(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server:
        for sid, event in (("GT1", "started"), ("GT1", "started"), ("GT1", "stopped"), ("GT2", "started")):
            form = {"CallSid": CALL, "TranscriptionSid": sid, "TranscriptionEvent": f"transcription-{event}"}
            await server.post("/transcription", **form)
    assert not [entry for entry in await recorded(tmp_path, CALL) if isinstance(entry.event, events.Failed)]
