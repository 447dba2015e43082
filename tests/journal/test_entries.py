from __future__ import annotations

import msgspec
import pytest

from voice_app.journal import events
from voice_app.journal.entries import CallRecord, decode, encode, kind

SAMPLES: list[events.Event] = [
    events.Opened("+15550100001", "+15550100002", "inbound"),
    events.AnswerDecided("Good morning!", "de-DE", "billing", {"customer": "17"}),
    events.Served("answer.xml", "incoming call", "Hello!"),
    events.Served("answer.xml", "incoming call", document="<Response/>"),
    events.Framed((events.WireFrame(1.5, True, '{"type":"text"}'),)),
    events.Partial("Are you"),
    events.SocketOpened("Zm9v"),
    events.Connected("VX1", "en-US", {"number": "+15550100001"}),
    events.Reconnected("VX1"),
    events.Conversed("conv_conversation_1"),
    events.Prompted("Grüße, 你好 👋\n\0"),
    events.Pressed("12#"),
    events.Typing("12"),
    events.AnswerAwaited("Size, please.", "speech", "en-US"),
    events.KeysAwaited(4, "#", 2.0, True),
    events.Overheard("mm-hm"),
    events.Speculated(True, 312.5),
    events.Replied(3, "VX1", "We are open.", True, 12.5, 80.0),
    events.Played(3, "VX1", 6),
    events.Heard(3, "VX1", "We are", 400.0),
    events.Acted("transfer", "billing", "Wants a refund."),
    events.ToolCalled(1, "call_1", "refund", '{"order":81}', True),
    events.ToolReturned(1, "call_1", "refund", "done", 12.5),
    events.HandedOff("rang", "billing", "Wants a refund.", "+15550100010", 1),
    events.Transcribed("GT1", 3, "person", "Anna here."),
    events.Transcription("GT1", "started", "google"),
    events.Voicemail("RE1", "https://x.example/RE1", 7.0, "Call me."),
    events.Alerted(
        "64102", "error", "Unable to connect", "CA1", "wss://x.example/relay/…", "502", "2026-11-01"
    ),
    events.VariantChosen("polite", "polite"),
    events.AgentAssigned("polite", "0123456789ab"),
    events.ModelUsed("m", 1000, 200, 400),
    events.Priced(0.0085, "USD"),
    events.Concluded("DefaultOutcome", (events.OutcomeField("resolved", "true", "Thanks!"),), ("mood",)),
    events.Costed(0.12, "USD", 0.03),
    events.Reconfigured("ttsProvider=Google"),
    events.Supervised("say", "anna", "One moment, please."),
    events.Failed("agent", "timeout"),
    events.Disconnected("VX1", 1006),
    events.SessionEnded("VX1", "failed", 3.5, "64105", "closed", "{}"),
    events.Closed("completed", 12.0),
    events.TurnedAway("full", "message"),
    events.CallbackWanted("+15550199999", "+15550100001"),
    events.Notified("PARTICIPANT_ADDED", "conv_participant_1", "2026-01-01T00:00:00.123Z", "type CUSTOMER"),
    events.Analysed("intelligence_operator_1", "neutral", "intelligence_operatorresult_1", "COMMUNICATION"),
    events.Recognised("mem_profile_1"),
    events.Remembered("mem_profile_1", ("Likes tea.",), ("mem_observation_1",)),
    events.Noted("Prefers the morning."),
    events.Stored("RE1", "CA1-RE1.mp3", 4096, "0" * 64),
    events.CalledBack(1, "CA2"),
    events.FollowedUp("report", "done", "200"),
    events.Called("CA1"),
]


@pytest.mark.parametrize("event", SAMPLES, ids=kind)
def test_every_event_reads_back_as_it_was_written(event: events.Event) -> None:
    assert decode(kind(event), encode(event)) == event


def test_there_is_a_sample_of_every_event() -> None:
    assert {type(event) for event in SAMPLES} == set(events.Event.__args__)


@pytest.mark.parametrize(
    "data",
    [
        '{"kind":"teleported","to":"Mars"}',
        '{"kind":"prompt","text":{"spoken":"hi"}}',
        '{"kind":"prompt"}',
        '{"kind":"pro',
        "",
    ],
)
def test_what_cannot_be_read_is_kept_as_it_is(data: str) -> None:
    event = decode("teleported", data)
    assert event == events.UnknownEvent("teleported", data)
    assert (kind(event), encode(event)) == ("teleported", data)


def test_fields_of_a_newer_version_do_no_harm() -> None:
    data = '{"kind":"prompt","text":"Hi","confidence":0.9}'
    assert decode("prompt", data) == events.Prompted("Hi")


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    assert decode("prompt", encode(events.Prompted("a\ud83db"))) == events.Prompted("a?b")


def test_a_call_that_goes_on_has_no_duration() -> None:
    call = CallRecord("CA1", "", "", "inbound", "in-progress", 10.0, None, 12.0)
    assert call.duration_s is None
    assert msgspec.structs.replace(call, closed_at=15.0).duration_s == 5.0
