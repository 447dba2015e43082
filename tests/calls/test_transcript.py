from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_app.calls import HIDDEN_WORDS, CallState, HistoryLine, SpokenLine
from voice_app.journal import Entry
from voice_app.journal.events import (
    Acted,
    Event,
    HandedOff,
    Heard,
    Opened,
    Pressed,
    Prompted,
    Replied,
    Served,
    Transcribed,
    Transcription,
)


def entries(*events: Event) -> list[Entry]:
    return [Entry(f"{number:04}", float(number), "CA1", event) for number, event in enumerate(events)]


def dialogue(found: list[Entry]) -> list[SpokenLine]:
    return CallState.of(found).transcript.lines()


def spoken(*events: Event) -> list[tuple[str, str]]:
    return [(line.role, line.content) for line in CallState.of(entries(*events)).transcript.as_heard()]


def test_a_conversation_reads_in_the_order_in_which_it_began() -> None:
    assert spoken(
        Opened("+15550100001"),
        Replied(0, "VX1", "Hello!", True),
        Prompted("Are you open?"),
        Replied(1, "VX1", "Yes", first_token_ms=9.0),
        Replied(1, "VX1", "Yes, until five.", True),
        Acted("end"),
    ) == [("assistant", "Hello!"), ("user", "Are you open?"), ("assistant", "Yes, until five.")]


def test_a_growing_reply_is_put_together_from_its_parts() -> None:
    parts = [Replied(1, "VX1", "We are "), Replied(1, "VX1", "open ", begin=7)]
    assert spoken(Prompted("Are you open?"), *parts) == [
        ("user", "Are you open?"),
        ("assistant", "We are open "),
    ]
    whole = Replied(1, "VX1", "We are open until five.", True)
    assert spoken(*parts, whole) == [("assistant", "We are open until five.")]


def test_a_reply_keeps_its_place_when_it_grows_after_the_next_prompt() -> None:
    assert spoken(Replied(1, "VX1", "We are"), Prompted("Wait"), Replied(1, "VX1", "We are open", True)) == [
        ("assistant", "We are open"),
        ("user", "Wait"),
    ]


def test_an_interrupted_reply_is_cut_to_what_was_heard() -> None:
    assert spoken(Replied(1, "VX1", "We are open until five.", True), Heard(1, "VX1", "We are open")) == [
        ("assistant", "We are open")
    ]


def test_what_was_heard_counts_even_if_it_was_written_before_the_reply_was_done() -> None:
    assert spoken(
        Replied(1, "VX1", "We"), Heard(1, "VX1", "We"), Replied(1, "VX1", "We are open.", True)
    ) == [("assistant", "We")]


def test_a_reply_that_nobody_heard_is_left_out() -> None:
    assert spoken(Prompted("Hi"), Replied(1, "VX1", "Hello", True), Heard(1, "VX1", "")) == [("user", "Hi")]


def test_replies_of_different_sessions_with_the_same_number_are_different() -> None:
    assert spoken(
        Replied(0, "VX1", "Hello!", True), Replied(0, "VX2", "I am back.", True), Heard(0, "VX2", "I am")
    ) == [("assistant", "Hello!"), ("assistant", "I am")]


def test_a_reply_of_which_only_the_cut_is_known_is_what_was_heard() -> None:
    assert spoken(Heard(1, "VX1", "We are")) == [("assistant", "We are")]


def test_two_equal_prompts_are_two_lines() -> None:
    assert spoken(Prompted("Hello?"), Prompted("Hello?")) == [("user", "Hello?")] * 2


@pytest.mark.parametrize("event", [Prompted(" "), Replied(1, "VX1", "\n")])
def test_what_is_not_spoken_is_no_line(event: Event) -> None:
    assert spoken(event) == []


def test_an_utterance_knows_where_it_stands_and_how_quick_it_was() -> None:
    [utterance] = dialogue(
        entries(
            Opened(),
            Replied(1, "VX1", "Yes", first_token_ms=9.0),
            Replied(1, "VX1", "Yes.", True, total_ms=40.0),
        )
    )
    assert (utterance.entry_id, utterance.at, utterance.text) == ("0001", 1.0, "Yes.")
    assert (utterance.first_token_ms, utterance.total_ms, utterance.heard) == (9.0, 40.0, None)


words = st.sampled_from(["", "Yes", "Yes, we", "Yes, we are"])
sessions = st.sampled_from(["VX1", "VX2"])
numbers = st.integers(0, 2)
anything_said = st.lists(
    st.one_of(
        st.builds(Prompted, words),
        st.builds(Replied, numbers, sessions, words, st.booleans()),
        st.builds(Heard, numbers, sessions, words),
        st.builds(Acted, words),
    ),
    max_size=12,
)


@given(anything_said)
def test_history_is_what_was_said_or_else_sent_or_else_heard_at_its_first_place(events: list[Event]) -> None:
    """Line by line: for every event, what a patient reader would note down when meeting it."""
    expected: list[HistoryLine] = []
    met = set()
    for event in events:
        if isinstance(event, Prompted):
            expected.append(HistoryLine("user", event.text or HIDDEN_WORDS))
        elif isinstance(event, Replied | Heard) and (key := (event.session_id, event.reply)) not in met:
            met.add(key)
            same = [e for e in events if isinstance(e, Replied | Heard) and (e.session_id, e.reply) == key]
            heard = [e.text for e in same if isinstance(e, Heard)]
            expected.append(HistoryLine("assistant", heard[-1] if heard else same[-1].text))
    assert CallState.of(entries(*events)).transcript.as_heard() == [line for line in expected if line.content]


@given(anything_said, st.integers(0, 12))
def test_what_comes_later_never_changes_the_order_of_what_was(events: list[Event], length: int) -> None:
    before = [utterance.entry_id for utterance in dialogue(entries(*events[:length]))]
    after = [utterance.entry_id for utterance in dialogue(entries(*events))]
    assert before == after[: len(before)]


def test_keys_are_a_line_that_nobody_takes_for_speech() -> None:
    assert spoken(Pressed("12#")) == [("user", "(pressed 12#)")]


def test_what_is_said_to_a_person_is_in_the_dialogue_and_not_in_the_agents_history() -> None:
    said = [
        Transcribed("GT1", 4, "caller", "Great."),
        Transcribed("GT1", 2, "caller", "Hello?"),
        Transcribed("GT1", 3, "person", "Anna he", final=False),
        Transcribed("GT1", 3, "person", "Anna here."),
        Transcribed("GT1", 2, "caller", "Hello?"),
    ]
    assert [(line.role, line.content) for line in dialogue(entries(*said))] == [
        ("user", "Hello?"),
        ("person", "Anna here."),
        ("user", "Great."),
    ]
    assert spoken(*said) == []


DISCLOSED = Served("handoff.xml", "handoff", disclosure="This call is recorded.")
RANG = HandedOff("rang", target="+15550100010")
INVITED = HandedOff("rang", target="conference:+15550100010")


@pytest.mark.parametrize(
    ("events", "heard"),
    [
        ((RANG, DISCLOSED), False),
        ((RANG, DISCLOSED, HandedOff("accepted")), True),
        ((RANG, DISCLOSED, HandedOff("busy")), True),
        ((RANG, DISCLOSED, HandedOff("hung-up")), False),
        ((HandedOff("voicemail"), DISCLOSED, HandedOff("recorded")), True),
        ((RANG, DISCLOSED, Transcription("GT1", "started")), True),
        # The person is called meanwhile: where they do not come, the caller is sent on at once.
        ((INVITED, DISCLOSED, HandedOff("busy")), False),
        ((INVITED, DISCLOSED, HandedOff("accepted")), True),
    ],
)
def test_a_disclosure_of_a_document_is_heard_once_something_follows_it(
    events: tuple[Event, ...], heard: bool
) -> None:
    state = CallState.of(entries(*events))
    (line,) = state.transcript.statements()
    assert (line.role, line.text, line.heard_whole) == ("assistant", "This call is recorded.", heard)
    assert state.stated == ((line.text,) if heard else ())
    assert [said.content for said in state.transcript.as_heard()] == ([line.text] if heard else [])
