"""The one fold of a call: what each event changes, and that to add events one by one is to fold them all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_app.calls import (
    INVITED,
    CallState,
    CallTranscript,
    HandoffState,
    HandoffStep,
    Parties,
    Sessions,
)
from voice_app.calls import state as state_module
from voice_app.calls.resuming import LatestSession
from voice_app.journal import Entry
from voice_app.journal.events import (
    Acted,
    Closed,
    Connected,
    Conversed,
    Disconnected,
    Event,
    Failed,
    HandedOff,
    Heard,
    KeysAwaited,
    Opened,
    Played,
    Pressed,
    Prompted,
    Recognised,
    Reconnected,
    Replied,
    Served,
    SessionEnded,
    SocketOpened,
    ToolCalled,
    ToolReturned,
    Transcribed,
    Transcription,
    Typing,
    UnknownEvent,
)

ids = st.sampled_from(["VX1", "VX2", ""])
words = st.sampled_from(["", "Yes", "Yes, we are open.", "One moment."])
numbers = st.integers(0, 3)
any_event: st.SearchStrategy[Event | UnknownEvent] = st.one_of(
    st.builds(Opened, words, words, st.sampled_from(["inbound", "outbound-api", ""])),
    st.builds(
        Served,
        *(words, words, words, st.sampled_from(["", "relay", "transcription"])),
        question=st.sampled_from(["", "session VX1", "dialed, 2 steps"]),
    ),
    st.builds(SocketOpened, st.sampled_from(["one", "two"])),
    st.builds(Connected, ids),
    st.builds(Reconnected, ids),
    st.builds(Conversed, words, words),
    st.builds(Prompted, words),
    st.builds(Pressed, st.sampled_from(["", "12"])),
    st.builds(Typing, st.sampled_from(["1", "12"])),
    st.builds(KeysAwaited, numbers, st.just("#"), st.just(2.0), st.booleans()),
    st.builds(Replied, numbers, ids, words, st.booleans(), more=st.booleans(), begin=numbers),
    st.builds(Played, numbers, ids, st.integers(0, 20)),
    st.builds(Heard, numbers, ids, words),
    st.builds(Acted, st.sampled_from(["transfer", "end-call", "switch-language", INVITED]), words),
    st.builds(ToolCalled, numbers, words, words),
    st.builds(ToolReturned, numbers, words, words, words),
    st.builds(HandedOff, st.sampled_from(["requested", "rang", "accepted", "busy", "hung-up", "?"]), words),
    st.builds(Transcribed, words, numbers, st.sampled_from(["caller", "person"]), words, st.booleans()),
    st.builds(Transcription, words, st.sampled_from(["started", "stopped", "error", "?"])),
    st.builds(Failed, st.sampled_from(["webhook", "agent"])),
    st.builds(Disconnected, ids, st.sampled_from([1000, 1006, 1012]), st.booleans()),
    st.builds(SessionEnded, ids, st.sampled_from(["completed", "ended", "failed"])),
    st.builds(Recognised, words),
    st.just(Closed("completed")),
    st.just(UnknownEvent("from-the-future", "{}")),
)


def told(*events: Event | UnknownEvent) -> list[Entry]:
    return [Entry(f"{number:04}", float(number), "CA1", event) for number, event in enumerate(events)]


def state(*events: Event | UnknownEvent) -> CallState:
    return CallState.of(told(*events))


def known(call: CallState) -> dict[str, Any]:
    """Everything that can be asked of a fold."""
    return {
        **{name: value for name, value in vars(call).items() if not name.startswith("_")},
        "transcript": call.transcript.lines(),
        "sessions": list(call.sessions),
        "engine": vars(call.engine),
        "tools": [(use.called, use.returned, use.prompt, use.lines) for use in call.tools.values()],
        "breaks": (call.sessions.breaks, call.sessions.resumes),
        "resume": call.resume_state(99.0, filler="One moment.", reconnect=True),
        "rejoin": [call.session_to_rejoin(ticket) for ticket in ("one", "two")],
        "ids": (call.conversation_id, call.configuration_id, call.profile_id, call.invited),
        "counts": (call.webhook_failures, call.served, call.tickets, call.reports("VX1")),
        "actions": call.timed(Acted),
    }


@given(st.lists(any_event, max_size=25), st.lists(st.integers(0, 25)))
def test_to_add_events_one_by_one_is_to_fold_them_all(
    events: Sequence[Event | UnknownEvent], looks: list[int]
) -> None:
    """Also if the fold is asked in between: a question changes nothing."""
    growing = CallState()
    for number, entry in enumerate(told(*events)):
        growing.take(entry)
        if number in looks:
            assert known(growing) == known(CallState.of(told(*events[: number + 1])))
    assert known(growing) == known(state(*events))


@given(st.lists(any_event, max_size=25))
def test_every_part_of_the_fold_gets_the_kinds_that_it_takes(events: Sequence[Event | UnknownEvent]) -> None:
    """Each part leaves aside what it does not take: to give it everything changes nothing."""
    everything = frozenset(type(event) for event in events)
    with pytest.MonkeyPatch.context() as patch:
        for part in (Sessions, CallTranscript, LatestSession):
            patch.setattr(part, "KINDS", everything)
        patch.setattr(state_module, "_OWN", everything)
        unfiltered = known(state(*events))
    assert known(state(*events)) == unfiltered


def test_of_a_call_that_nobody_knows_nothing_is_known() -> None:
    assert not state().opened
    assert state().parties == Parties()
    assert state().conversation_id is None
    assert state().handoff.state is HandoffState.NONE


@pytest.mark.parametrize(
    ("direction", "caller", "number"),
    [
        ("inbound", "+1", "+2"),
        ("", "+1", "+2"),
        ("outbound-api", "+2", "+1"),
        ("outbound-dial", "+2", "+1"),
        ("outbound", "+2", "+1"),
    ],
)
def test_the_direction_tells_who_calls(direction: str, caller: str, number: str) -> None:
    parties = state(Opened("+1", "+2", direction)).parties
    assert (parties.caller, parties.number) == (caller, number)


def test_a_call_is_between_those_that_it_was_opened_for() -> None:
    assert state(Opened("+1", "+2", "inbound"), Opened("+3", "+4", "outbound-api")).parties.caller == "+1"


ANSWERED = Served("answer.xml", "answer", engine="relay")


def test_the_latest_document_tells_what_listens() -> None:
    assert state(ANSWERED).engine.now == "relay"
    assert state(ANSWERED, Served("goodbye.xml", "x")).engine.now == ""


RINGS = Served("handoff.xml", "handoff", engine="transcription", question="session VX1")
RETURNS = Served("resume.xml", "returned", "Nobody is free.", "relay", question="dialed, 3 steps")


@pytest.mark.parametrize("again", [1, 2, 3])
def test_what_is_asked_again_is_answered_as_if_nothing_of_the_first_answer_had_come_about(again: int) -> None:
    assert state(ANSWERED, *[RINGS] * again).engine.now == "transcription"
    ringing = state(ANSWERED, *[RINGS] * again)
    ringing.engine.ask("session VX1")
    assert ringing.engine.now == "relay"
    returned = state(ANSWERED, RINGS, *[RETURNS] * again)
    returned.engine.ask("dialed, 3 steps")
    assert returned.engine.now == "transcription"


def test_another_question_counts_on_what_was_answered_before() -> None:
    known = state(ANSWERED, RINGS, RETURNS)
    known.engine.ask("dialed, 4 steps")
    assert known.engine.now == "relay"


@pytest.mark.parametrize(
    "done",
    [
        (ANSWERED, RINGS, Transcription("GT1", "started")),
        (ANSWERED, RINGS, HandedOff("accepted")),
        (ANSWERED, RINGS, RETURNS, SocketOpened("two")),
        (ANSWERED, RINGS, RETURNS, Transcription("GT1", "stopped")),
    ],
)
def test_an_answer_that_twilio_was_seen_to_carry_out_has_come_about(done: tuple[Event, ...]) -> None:
    for question in ("session VX1", "dialed, 3 steps"):
        known = state(*done)
        before = known.engine.now
        known.engine.ask(question)
        assert known.engine.now == before


def test_a_start_that_is_told_late_does_not_mean_that_it_was_stopped() -> None:
    known = state(ANSWERED, RINGS, RETURNS, Transcription("GT1", "started"))
    known.engine.ask("dialed, 3 steps")
    assert known.engine.now == "transcription"


RANG = (HandedOff("requested"), HandedOff("rang", target="+1"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((), HandoffState.NONE),
        (RANG[:1], HandoffState.WITH_AGENT),
        (RANG, HandoffState.WITH_AGENT),
        ((*RANG, HandedOff("busy")), HandoffState.WITH_AGENT),
        ((*RANG, HandedOff("accepted")), HandoffState.WITH_AGENT),
        ((*RANG, HandedOff("busy"), HandedOff("returned")), HandoffState.WITH_AGENT),
        ((*RANG, HandedOff("hung-up")), HandoffState.OVER),
    ],
)
def test_where_the_agent_listens_nobody_is_rung_and_nothing_else_listens(
    before: tuple[Event, ...], after: HandoffState
) -> None:
    found = state(*before, RINGS, SocketOpened("two"))
    assert (found.handoff.state, found.engine.now) == (after, "relay")


@pytest.mark.parametrize(
    ("unread", "reports", "engine"),
    [(True, 1, "relay"), (True, 2, "transcription"), (False, 1, "transcription")],
)
def test_a_session_that_is_not_known_ends_and_so_nobody_is_rung_if_the_journal_cannot_tell(
    unread: bool, reports: int, engine: str
) -> None:
    found = state(*RANG, RINGS, *[SessionEnded("VX9", "ended")] * reports)
    found.unread = unread
    found.assume_with_agent("VX9")
    assert found.engine.now == engine
    assert found.handoff.allows(HandoffStep.REQUESTED) == (engine == "relay")


def test_an_answer_of_a_server_that_hung_until_another_question_was_answered_changes_nothing() -> None:
    known = state(ANSWERED, RINGS, RETURNS, Connected("VX2"), RINGS)
    assert (known.engine.now, known.greeting) == ("relay", "")


@pytest.mark.parametrize(
    ("happened", "awaits"),
    [
        ((), False),
        ((SocketOpened("one"),), True),
        ((SocketOpened("one"), Connected("VX1")), False),
        ((SocketOpened("one"), RETURNS), False),
        ((SocketOpened("one"), Closed("completed")), False),
        ((SocketOpened("one"), SocketOpened("two")), False),
        ((SocketOpened("one"), SocketOpened("one")), True),
        ((SocketOpened("one"), SocketOpened("one"), Connected("VX1")), False),
        ((SocketOpened("two"), Connected("VX1"), SocketOpened("one")), True),
    ],
)
def test_a_session_is_awaited_on_the_latest_socket_until_it_begins_or_twilio_goes_on(
    happened: tuple[Event, ...], awaits: bool
) -> None:
    assert state(ANSWERED, *happened).awaits_session("one") == awaits


def test_a_transcription_runs_until_it_is_stopped_or_fails() -> None:
    running = [Transcription("GT1", "started"), Transcription("GT2", "started")]
    assert state(*running).engine.transcriptions == {"GT1", "GT2"}
    assert state(*running, Transcription("GT1", "stopped")).engine.transcriptions == {"GT2"}
    assert state(*running, Transcription("GT2", "error")).engine.transcriptions == {"GT1"}


def test_the_latest_conversation_is_the_one_of_the_call() -> None:
    found = state(Conversed("one", "configuration"), Conversed("two"))
    assert (found.conversation_id, found.configuration_id) == ("two", None)


def test_a_handoff_knows_when_it_was_asked_for() -> None:
    found = state(Opened(), HandedOff("requested", "billing"), HandedOff("rang", target="+1"))
    assert (found.handoff.state, found.handoff_requested_at) == (HandoffState.RINGING, 1.0)


def test_a_break_is_a_session_that_ended_without_order() -> None:
    assert state(Connected("VX1"), SessionEnded("VX1", "failed")).sessions.breaks == 1
    assert state(Connected("VX1"), SessionEnded("VX1", "ended")).sessions.breaks == 0
    assert state(Connected("VX1"), Connected("VX2")).sessions.breaks == 1
    assert state(Connected("VX1")).sessions.breaks == 0


def test_a_break_that_is_told_twice_is_one_unless_nobody_knows_of_which_session() -> None:
    assert state(*[SessionEnded("VX1", "failed")] * 2).sessions.breaks == 1
    assert state(*[SessionEnded("", "failed")] * 2).sessions.breaks == 2


def test_a_session_that_our_server_gave_up_is_no_break() -> None:
    assert state(Disconnected("VX1", 1012), SessionEnded("VX1", "failed")).sessions.breaks == 0


def test_a_session_after_a_person_resumes_nothing() -> None:
    ended = Connected("VX1"), SessionEnded("VX1", "ended")
    assert state(*ended, Connected("VX2")).sessions.resumes == 0
    assert state(Connected("VX1"), SessionEnded("VX1", "failed"), Connected("VX2")).sessions.resumes == 1
    assert state(Connected("VX1"), Disconnected("VX1", 1006), Reconnected("VX1")).sessions.resumes == 1


def test_what_is_told_late_of_a_former_session_does_not_end_the_latest_one() -> None:
    events = SocketOpened("one"), Connected("VX1"), SocketOpened("two"), Connected("VX2")
    assert state(*events, SessionEnded("VX1", "failed")).session_to_rejoin("two") == "VX2"
    assert state(*events, SessionEnded("VX2", "failed")).session_to_rejoin("two") is None


def test_a_tool_belongs_after_the_prompt_that_it_answers() -> None:
    call, back = ToolCalled(1, "a", "refund", "{}"), ToolReturned(1, "a", "refund", "done")
    [use] = state(Replied(0, "VX1", "Hello!"), Prompted("A refund."), call, back).tools.values()
    assert (use.prompt, use.lines, use.returned) == ("A refund.", 2, back)


def test_a_kind_that_is_not_kept_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="Replied"):
        state().events(Replied)
