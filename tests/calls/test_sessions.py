"""What was heard of a session that broke off without telling."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_app.calls import CallState
from voice_app.calls.scripts import SECONDS_PER_LETTER, SECONDS_TO_FIRST_SOUND
from voice_app.calls.sessions import SECONDS_TO_REPORT
from voice_app.journal import Entry
from voice_app.journal.events import (
    Connected,
    Disconnected,
    Event,
    Heard,
    Played,
    Prompted,
    Reconnected,
    Replied,
    SessionEnded,
)

TEXT = "We are open from nine to six every day of the week."
FAILED = SessionEnded("VX1", "failed", error_code="64105")


def told(*events: Event | tuple[float, Event]) -> list[Entry]:
    """Entries, each a second after the one before unless its time is given."""
    entries: list[Entry] = []
    for number, item in enumerate(events):
        at, event = item if isinstance(item, tuple) else (float(number), item)
        entries.append(Entry(f"{number:04}", at, "CA1", event))
    return entries


def replies(*events: Event | tuple[float, Event]) -> list[str]:
    """What was heard of each reply."""
    return [
        line.content for line in CallState.of(told(*events)).transcript.lines() if line.role == "assistant"
    ]


def test_what_was_played_counts_as_heard_and_no_word_more() -> None:
    count = len("We are open from")
    assert replies(Replied(1, "VX1", TEXT, True), Played(1, "VX1", count), FAILED) == ["We are open from"]


def test_a_reply_that_was_played_to_its_end_is_heard() -> None:
    assert replies(Replied(1, "VX1", TEXT, True), Played(1, "VX1", len(TEXT)), FAILED) == [TEXT]


def test_what_came_before_a_reply_that_is_being_played_is_heard() -> None:
    found = replies(Replied(1, "VX1", TEXT, True), Replied(2, "VX1", TEXT, True), Played(2, "VX1", 2), FAILED)
    assert found == [TEXT, "We"]


def test_what_came_after_the_last_that_was_played_was_not_heard() -> None:
    events = (Replied(1, "VX1", TEXT, True), Played(1, "VX1", len(TEXT)), Replied(2, "VX1", TEXT), FAILED)
    assert replies(*events) == [TEXT, ""]
    assert [line.content for line in CallState.of(told(*events)).transcript.as_heard()] == [TEXT]


def test_an_interruption_counts_above_everything() -> None:
    assert replies(Replied(1, "VX1", TEXT, True), Heard(1, "VX1", "We are"), FAILED) == ["We are"]


@pytest.mark.parametrize(
    "end",
    [
        SessionEnded("VX1", "completed"),
        SessionEnded("VX1", "ended"),
        Disconnected("VX1", 1000),
        Disconnected("VX1", 1012, told=True),
    ],
)
def test_a_session_that_ended_in_order_has_told_all(end: Event) -> None:
    assert replies(Replied(1, "VX1", TEXT, True), Played(1, "VX1", 2), end, FAILED) == [TEXT]


def test_a_session_that_goes_on_is_not_cut() -> None:
    assert replies(Replied(1, "VX1", TEXT, True), Played(1, "VX1", 2)) == [TEXT]


def test_a_session_that_twilio_has_come_back_to_goes_on() -> None:
    lost = Disconnected("VX1", 1006)
    events: list[Event] = [Replied(1, "VX1", TEXT, True), Played(1, "VX1", 2), lost]
    assert replies(*events) == ["We"]
    assert replies(*events, Reconnected("VX1")) == [TEXT]
    assert replies(*events, Reconnected("VX1"), FAILED) == ["We"]


def test_a_session_that_another_has_followed_is_over_even_if_nothing_says_so() -> None:
    connected = Connected("VX1"), Replied(1, "VX1", TEXT, True), Played(1, "VX1", 2)
    assert replies(*connected, Connected("VX2"), Replied(1, "VX2", "Hello again.")) == ["We", "Hello again."]


def test_without_a_measure_the_time_tells() -> None:
    spoken = len("We are open") + 0.5
    at = SECONDS_TO_FIRST_SOUND + spoken * SECONDS_PER_LETTER + SECONDS_TO_REPORT
    assert replies((0.0, Replied(1, "VX1", TEXT, True)), (at, FAILED)) == ["We are open"]
    assert replies((0.0, Replied(1, "VX1", TEXT, True)), (60.0, FAILED)) == [TEXT]
    assert replies((0.0, Replied(1, "VX1", TEXT, True)), (1.0, FAILED)) == [""]


def test_without_a_measure_replies_are_spoken_one_after_another() -> None:
    whole = len(TEXT) * SECONDS_PER_LETTER
    at = SECONDS_TO_FIRST_SOUND + whole + 2.5 * SECONDS_PER_LETTER + SECONDS_TO_REPORT
    found = replies((0.0, Replied(1, "VX1", TEXT, True)), (0.1, Replied(2, "VX1", TEXT, True)), (at, FAILED))
    assert found == [TEXT, "We"]


def test_the_caller_is_never_cut() -> None:
    events = (Prompted("When are you open?"), Replied(1, "VX1", TEXT), FAILED)
    assert [line.content for line in CallState.of(told(*events)).transcript.as_heard()] == [
        "When are you open?"
    ]


texts = st.lists(st.text("ab \n", min_size=1, max_size=12).filter(str.strip), min_size=1, max_size=4)


@given(texts, st.data())
def test_what_counts_as_heard_is_a_beginning_of_what_was_sent_and_never_beyond_what_was_played(
    texts: Sequence[str], data: st.DataObject
) -> None:
    last = data.draw(st.integers(1, len(texts)))
    characters = data.draw(st.integers(0, len(texts[last - 1])))
    events: list[Event] = [Replied(number, "VX1", text, True) for number, text in enumerate(texts, 1)]
    found = replies(*events, Played(last, "VX1", characters), FAILED)
    for number, (text, heard) in enumerate(zip(texts, found, strict=True), 1):
        assert text.startswith(heard)
        if number < last:
            assert heard == text
        elif number > last:
            assert heard == ""
        else:
            assert len(heard.rstrip()) <= characters
            whole = text.startswith((f"{heard} ", f"{heard}\n"))
            assert heard in ("", text) or whole or len(text.split()) == 1


@given(texts, st.floats(0, 10), st.floats(0, 10))
def test_the_longer_a_session_lasted_the_more_was_heard(
    texts: Sequence[str], length: float, more: float
) -> None:
    said = [(0.0, Replied(number, "VX1", text, True)) for number, text in enumerate(texts, 1)]
    earlier = replies(*said, (length, FAILED))
    later = replies(*said, (length + more, FAILED))
    assert all(b.startswith(a) for a, b in zip(earlier, later, strict=True))
