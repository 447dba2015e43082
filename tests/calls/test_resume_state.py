"""What a session knows of those before it."""

from __future__ import annotations

from typing import Any

import pytest

from voice_app.calls import MAX_RECONNECTS, CallState, HistoryLine, ReconnectState, ResumeState
from voice_app.journal import Entry
from voice_app.journal.events import (
    Acted,
    Closed,
    Connected,
    Disconnected,
    Event,
    HandedOff,
    Heard,
    KeysAwaited,
    Opened,
    Played,
    Pressed,
    Prompted,
    Reconnected,
    Replied,
    Served,
    SessionEnded,
    SocketOpened,
    Typing,
)

BEGUN: tuple[Event, ...] = (
    Opened("+15550199999", "+15550100001", "inbound"),
    Served("answer.xml", "answer", "Hello!", "relay"),
    SocketOpened("one"),
    Connected("VX1", parameters={"number": "+15550100001"}),
    Replied(0, "VX1", "Hello!", True),
    Played(0, "VX1", 6),
)


def told(*events: Event) -> list[Entry]:
    return [written(float(number), event) for number, event in enumerate(events)]


def written(at: float, event: Event, clock: float = 0.0) -> Entry:
    """An entry of a server whose clock is wrong by so many seconds; its ids have gone on."""
    milliseconds = int(max(at, at + clock) * 1000)
    id_ = f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7000-8000-000000000000"
    return Entry(id_, at + clock, "CA1", event)


def past(*events: Event, **options: Any) -> ResumeState:
    return CallState.of(told(*BEGUN, *events)).resume_state(100.0, **options)


def lost(*events: Event, **options: Any) -> ReconnectState:
    found = past(*events, reconnect=True, **options).reconnect
    assert found is not None
    return found


def test_before_the_first_session_there_is_the_greeting() -> None:
    found = CallState.of(told(*BEGUN[:2])).resume_state(100.0)
    assert (found.greeting, found.history, found.age) == ("Hello!", [], 100.0)


@pytest.mark.parametrize("clock", [-3600.0, 0.0, 3600.0])
@pytest.mark.parametrize("begun", [True, False], ids=["as it began", "in the middle"])
def test_no_call_is_old_because_a_clock_was_wrong(clock: float, begun: bool) -> None:
    first, second = BEGUN[:2]
    entries = [
        written(10_000.0, first, clock if begun else 0.0),
        written(10_010.0, second, 0.0 if begun else clock),
        written(10_020.0, SessionEnded("VX1", "failed")),
    ]
    assert CallState.of(sorted(entries, key=lambda entry: entry.id)).resume_state(10_030.0).age <= 30.0


def test_a_greeting_is_for_the_session_that_begins_with_it() -> None:
    assert past().greeting == ""
    assert past(Served("resume.xml", "resume", "Sorry.")).greeting == "Sorry."


def test_of_a_call_that_nobody_knows_nothing_is_known() -> None:
    assert CallState.of([]).resume_state(100.0) == ResumeState(history=[])


def test_the_language_is_the_one_that_the_agent_switched_to_last() -> None:
    found = past(Acted("switch-language", "es-ES es-MX"), Acted("switch-language", "fr-FR "))
    assert (found.tts_language, found.transcription_language) == ("fr-FR", "es-MX")


def test_keys_that_were_pressed_wait_for_the_rest_of_their_entry() -> None:
    assert past(Typing("1"), Typing("12")).digits == "12"
    assert past(Typing("1"), Typing("12"), Pressed("123")).digits == ""


def test_the_agent_collects_keys_as_it_wanted() -> None:
    assert past(KeysAwaited(4, "", 3.0, True)).keys == KeysAwaited(4, "", 3.0, True)
    assert past().keys is None


@pytest.mark.parametrize("event", [Acted("transfer", "billing", "A refund."), Acted("end-call", "silence")])
def test_what_the_agent_had_decided_is_still_to_be_done(event: Event) -> None:
    assert past(event).decided == event
    assert past(event, Disconnected("VX1", 1006), SessionEnded("VX1", "failed")).decided == event


def test_a_handoff_that_has_begun_is_not_to_be_done_again() -> None:
    assert past(Acted("transfer", "billing"), HandedOff("requested", "billing")).decided is None


@pytest.mark.parametrize("event", [Prompted("Wait!"), Pressed("1")])
def test_a_caller_who_speaks_after_the_goodbye_stays(event: Event) -> None:
    assert past(Acted("end-call"), event).decided is None
    assert past(Acted("transfer", "billing"), event).decided == Acted("transfer", "billing")


def test_another_session_begins_without_the_decisions_of_the_one_before() -> None:
    assert past(Acted("transfer", "billing"), SocketOpened("two")).decided is None


# --- coming back ---------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [Prompted("Hi"), Disconnected("VX1", 1006), Disconnected("VX1", 1012)])
def test_twilio_may_come_back_to_a_session_that_is_not_over(event: Event) -> None:
    assert CallState.of(told(*BEGUN, event)).session_to_rejoin("one") == "VX1"


@pytest.mark.parametrize(
    "event",
    [
        Disconnected("VX1", 1000),
        SessionEnded("VX1", "ended"),
        SessionEnded("VX1", "failed"),
        Served("resume.xml", "resume"),
        SocketOpened("two"),
        Closed("completed"),
    ],
)
def test_nobody_comes_back_to_a_session_that_is_over(event: Event) -> None:
    assert CallState.of(told(*BEGUN, event)).session_to_rejoin("one") is None


def test_nobody_comes_back_with_a_ticket_that_opened_nothing() -> None:
    assert CallState.of(told(*BEGUN)).session_to_rejoin("two") is None
    assert CallState.of([]).session_to_rejoin("one") is None


def test_twilio_may_come_back_to_a_socket_that_was_lost_before_its_setup() -> None:
    entries = told(*BEGUN[:3])
    assert CallState.of(entries).session_to_rejoin("one") == ""
    found = CallState.of(entries).resume_state(100.0, reconnect=True)
    assert (found.greeting, found.reconnect) == ("Hello!", None)


def test_twilio_does_not_come_back_for_ever() -> None:
    again = [Reconnected("VX1")] * MAX_RECONNECTS
    assert CallState.of(told(*BEGUN, *again[1:])).session_to_rejoin("one") == "VX1"
    assert CallState.of(told(*BEGUN, *again)).session_to_rejoin("one") is None


def test_a_session_to_come_back_to_is_known_by_its_id_its_numbers_and_its_parameters() -> None:
    found = lost(Prompted("Hi"), Replied(1, "VX1", "Hello.", True), Played(1, "VX1", 6))
    assert found == ReconnectState(
        session_id="VX1", replies=2, parameters={"number": "+15550100001"}, questions=[], unplayed=[]
    )


def test_a_reply_that_was_told_in_parts_is_what_may_still_be_playing() -> None:
    events = (Prompted("Hi"), Replied(1, "VX1", "Hello. "), Replied(1, "VX1", "How are", begin=7))
    found = past(*events, Played(1, "VX1", 6), reconnect=True)
    assert found.reconnect is not None
    assert found.reconnect.unplayed == [(1, "Hello. How are")]
    assert found.reconnect.cut_off


def test_what_may_still_be_playing_is_not_settled() -> None:
    events = (Prompted("Hi"), Replied(1, "VX1", "Hello.", True), Replied(2, "VX1", "How are you?", True))
    found = past(*events, Played(1, "VX1", 3), reconnect=True)
    assert found.reconnect is not None
    assert found.reconnect.unplayed == [(1, "Hello."), (2, "How are you?")]
    assert found.reconnect.heard == "Hel"
    assert found.history == [HistoryLine("assistant", "Hello!"), HistoryLine("user", "Hi")]
    assert not found.reconnect.cut_off


def test_what_was_interrupted_is_settled() -> None:
    events = (Prompted("Hi"), Replied(1, "VX1", "Hello there.", True), Heard(1, "VX1", "Hello"))
    found = past(*events, reconnect=True)
    assert found.reconnect is not None
    assert found.reconnect.unplayed == []
    assert found.history[-1] == HistoryLine("assistant", "Hello")


def test_a_question_that_nothing_was_said_to_is_open() -> None:
    found = past(Prompted("When are you", "en-US"), Prompted("open?", "en-US"), reconnect=True)
    assert found.reconnect is not None
    assert found.reconnect.questions == [Prompted("When are you", "en-US"), Prompted("open?", "en-US")]
    assert found.history == [HistoryLine("assistant", "Hello!")]


def test_the_end_of_an_older_answer_does_not_answer_a_question() -> None:
    found = lost(
        Prompted("Hi"), Replied(1, "VX1", "Hel"), Prompted("And?"), Replied(1, "VX1", "Hello.", True)
    )
    assert found.questions == [Prompted("And?")]


@pytest.mark.parametrize("played", [True, False])
def test_a_filler_is_no_answer(*, played: bool) -> None:
    events: list[Event] = [Prompted("Hi"), Replied(1, "VX1", "One moment.", True)]
    found = lost(*events, *([Played(1, "VX1", 11)] if played else []), filler="One moment.")
    assert found.questions == [Prompted("Hi")]


@pytest.mark.parametrize(
    "reply", [Replied(1, "VX1", "Well, the"), Replied(1, "VX1", "Let me see.", True, more=True)]
)
def test_an_answer_that_is_not_complete_is_cut_off(reply: Replied) -> None:
    found = lost(Prompted("Hi"), reply)
    assert found.cut_off
    assert found.questions == []
    assert not lost(Prompted("Hi"), reply, Replied(2, "VX1", "That is all.", True)).cut_off


def test_a_secret_that_was_not_answered_is_gone() -> None:
    found = lost(Pressed(""))
    assert found.cut_off
    assert found.questions == []


def test_keys_that_were_not_answered_are_open() -> None:
    assert lost(Pressed("12")).questions == [Pressed("12")]
