from __future__ import annotations

import json
import math
from typing import get_args

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from voice_app.followups import CallReport, call_report, encode
from voice_app.journal import CallRecord, Entry
from voice_app.journal.events import (
    Acted,
    Analysed,
    Closed,
    Connected,
    Conversed,
    Event,
    Failed,
    HandedOff,
    Heard,
    Opened,
    Pressed,
    Prompted,
    Recognised,
    Replied,
    SessionEnded,
    Speculated,
    Stored,
    ToolCalled,
    ToolReturned,
    Transcribed,
    Transcription,
    Voicemail,
)

CALL = "CA" + "7" * 32
RECORD = CallRecord(CALL, "+15550199999", "+15550100001", "inbound", "completed", 100.0, 190.0, 190.0)
RECORDING = "RE" + "7" * 32


def told(*events: Event) -> CallReport:
    entries = [Entry(f"{n:036}", 100.0 + n, CALL, event) for n, event in enumerate(events)]
    return call_report(RECORD, entries)


def test_it_names_the_call_and_its_version() -> None:
    document = json.loads(encode(told(Opened())))
    assert (document["type"], document["version"], document["call_sid"]) == ("call.report", 1, CALL)
    assert (document["from"], document["to"], document["status"]) == (
        "+15550199999",
        "+15550100001",
        "completed",
    )
    assert document["duration_s"] == 90


def test_failures_have_twilio_s_codes_in_the_order_in_which_they_came() -> None:
    report = told(
        Failed("dial", "attempt 1: 13214 Invalid callerId value"),
        Transcription("GT1", "started"),
        Transcription("GT1", "error", detail="32655 Provider unavailable"),
        Failed("agent", "TimeoutError"),
    )
    assert [(failure.at, failure.what, failure.detail) for failure in report.failures] == [
        (100.0, "dial", "attempt 1: 13214 Invalid callerId value"),
        (102.0, "transcription", "32655 Provider unavailable"),
        (103.0, "agent", "TimeoutError"),
    ]


def test_a_session_that_broke_off_tells_why() -> None:
    ended = SessionEnded("VX1", "failed", error_code="64105", error_message="Websocket ended")
    (session,) = told(Connected("VX1"), ended).sessions
    assert (session.error_code, session.error_message) == ("64105", "Websocket ended")


def test_what_was_said_stands_beside_what_was_heard() -> None:
    dialogue = told(
        Prompted("Hello?"),
        Replied(1, "VX1", "We are open from nine to five.", True, 12.0, 80.0),
        Heard(1, "VX1", "We are open"),
        Transcribed("GT1", 1, "person", "This is Ada."),
    ).dialogue
    assert [(line.who, line.text, line.heard) for line in dialogue] == [
        ("caller", "Hello?", "Hello?"),
        ("agent", "We are open from nine to five.", "We are open"),
        ("person", "This is Ada.", "This is Ada."),
    ]


def test_the_figures_of_a_call() -> None:
    numbers = told(
        Connected("VX1"),
        Prompted("One."),
        Replied(1, "VX1", "First.", True, 10.0, 20.0),
        Heard(1, "VX1", "Fir"),
        SessionEnded("VX1", "failed", error_code="64105"),
        Connected("VX2"),
        Prompted("Two."),
        Replied(1, "VX2", "Second.", True, 30.0, 60.0),
        Speculated(True, 200.0),
        Speculated(False),
    ).numbers
    assert (numbers.turns, numbers.interruptions, numbers.resumes) == (2, 1, 1)
    assert (numbers.guesses_right, numbers.guesses_wrong) == (1, 1)
    assert numbers.first_token_ms is not None
    assert (numbers.first_token_ms.replies, numbers.first_token_ms.median, numbers.first_token_ms.worst) == (
        2,
        20.0,
        30.0,
    )


def test_secret_keys_are_not_in_it() -> None:
    document = told(Pressed("12"), Pressed(""))
    assert document.keys == ["12"]
    assert [line.text for line in document.dialogue] == ["(pressed 12)", "(pressed keys, hidden)"]


def test_a_tool_and_what_it_returned_are_one() -> None:
    tools = told(
        ToolCalled(1, "a", "look_up", '{"order": 81}'),
        ToolCalled(1, "b", "refund"),
        ToolReturned(1, "a", "look_up", "shipped", 12.5),
    ).tools
    assert [(tool.name, tool.outcome, tool.duration_ms) for tool in tools] == [
        ("look_up", "shipped", 12.5),
        ("refund", None, None),
    ]


def test_the_way_to_a_person() -> None:
    handoff = told(
        HandedOff("requested", "billing", "Wants a refund."),
        HandedOff("rang", target="+15550100010", attempt=1),
        HandedOff("no-answer", attempt=1),
        HandedOff("rang", target="+15550100011", attempt=2),
        HandedOff("accepted", attempt=2),
        HandedOff("finished", attempt=2),
    ).handoff
    assert handoff is not None
    assert (handoff.reason, handoff.summary, handoff.outcome) == ("billing", "Wants a refund.", "over")
    assert handoff.accepted
    assert [step.step for step in handoff.steps] == [
        "requested",
        "rang",
        "no-answer",
        "rang",
        "accepted",
        "finished",
    ]


def test_a_call_without_a_person_has_no_handoff() -> None:
    assert told(Prompted("Hello?")).handoff is None


def test_a_message_is_put_together_from_what_was_told_of_it() -> None:
    (message,) = told(
        Voicemail(RECORDING, "https://api.twilio.com/x", 4.0),
        Voicemail(RECORDING, text="Call me."),
        Stored(RECORDING, "x.mp3", 8000, "ab"),
    ).voicemail
    assert (message.duration_s, message.text, message.file, message.size) == (4.0, "Call me.", "x.mp3", 8000)


def test_what_else_is_known() -> None:
    document = told(
        Conversed("conv_conversation_1", "conv_configuration_1"),
        Recognised("mem_profile_1"),
        Acted("remember", "Likes tea."),
        Failed("model", "timeout"),
        Analysed("intelligence_operator_1", "positive", trigger="CONVERSATION_END"),
        Closed("completed", 88.0),
    )
    assert document.conversation_id == "conv_conversation_1"
    assert document.configuration_id == "conv_configuration_1"
    assert document.profile_id == "mem_profile_1"
    assert [(note.what, note.detail) for note in document.actions] == [("remember", "Likes tea.")]
    assert [(note.what, note.detail) for note in document.failures] == [("model", "timeout")]
    assert [item.result for item in document.analysed] == ["positive"]
    assert document.duration_s == 88.0


st.register_type_strategy(Opened, st.builds(Opened, webhook=st.dictionaries(st.text(), st.text())))


def in_json(event: Event) -> bool:
    """Whether JSON has its numbers: Twilio's forms are taken with no others."""
    values = [getattr(event, name) for name in event.__struct_fields__]
    return all(math.isfinite(value) for value in values if isinstance(value, float))


EVENTS = st.lists(st.one_of([st.from_type(kind).filter(in_json) for kind in get_args(Event)]), max_size=30)


@given(EVENTS)
def test_whatever_happened_can_be_told_and_read_again(happened: list[Event]) -> None:
    document = told(*happened)
    assert msgspec.json.decode(encode(document), type=CallReport) == document
    assert encode(told(*happened)) == encode(document)
