"""STT201 and STT202: what Orchestrator has of one call."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.accounts import NUMBER, OURS, THEIRS, capturing, conversation, rule
from voice_app.guard.evidence import best_of, joined_captured, two_conversations, two_engines
from voice_app.twilio import Communication

CALL = "CA" + "1" * 32
CONVERSATION = "conv_conversation_00000000000000000000000001"
RELAY, PASSIVE = "GT" + "a" * 32, "GT" + "b" * 32
QUESTION = "what are your opening hours"


def said(
    at: float,
    text: str,
    *,
    engine: str | None = "deepgram:nova-3",
    stem: str | None = RELAY,
    side: int | None = 0,
) -> Communication:
    """A communication ``at`` seconds into the call."""
    details: dict[str, Any] = {"engine": engine, "channel": side}
    return Communication.read(
        {
            "id": f"conv_communication_{at}",
            "author": {"address": "+15550100002", "channel": "VOICE"},
            "content": {"type": "TRANSCRIPTION", "text": text, "transcription": details},
            "resourceId": f"{stem}-{at}" if stem else None,
            "occurredAt": f"2026-01-01T12:00:{at:06.3f}Z",
        }
    )


def passive(at: float, text: str) -> Communication:
    return said(at, text, engine="google:telephony", stem=PASSIVE)


def rules(*communications: Communication) -> list[str]:
    return [finding.rule for finding in two_engines(CALL, CONVERSATION, communications)]


def test_one_conversation_is_as_it_should_be() -> None:
    assert two_conversations(CALL, [conversation()]) == []


def test_two_conversations_for_one_call_are_told_with_both() -> None:
    [finding] = two_conversations(CALL, [conversation(1), conversation(2, configurationId=THEIRS)])
    assert finding.rule == "STT201"
    assert finding.where == CALL
    assert [OURS in finding.evidence[0], THEIRS in finding.evidence[1]] == [True, True]


def test_a_conversation_that_follows_another_is_no_second_one() -> None:
    ended = conversation(1, status="CLOSED", updatedAt="2026-01-01T12:00:00Z")
    after = conversation(2, createdAt="2026-01-01T12:00:01Z")
    during = conversation(3, createdAt="2026-01-01T11:59:59Z")
    assert two_conversations(CALL, [ended, after]) == []
    assert len(two_conversations(CALL, [ended, during])) == 1


def heard_at(*clock: str) -> list[Communication]:
    return [Communication.read({"id": f"c{at}", "occurredAt": f"2026-01-01T{at}Z"}) for at in clock]


CLOSED = {"status": "CLOSED", "createdAt": "2026-01-01T11:50:00Z", "updatedAt": "2026-01-01T12:30:00Z"}


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param(heard_at("11:51:00", "11:55:00"), heard_at("12:00:05"), 0, id="touched later"),
        pytest.param(heard_at("11:51:00"), [], 0, id="touched later, and the second one is empty"),
        pytest.param(
            heard_at("11:51:00", "12:01:00"), heard_at("12:00:05"), 1, id="words after the second began"
        ),
        pytest.param([], heard_at("12:00:05"), 1, id="nobody knows when the first one ended"),
    ],
)
def test_a_closed_conversation_ends_with_its_last_words(
    first: list[Communication], second: list[Communication], expected: int
) -> None:
    """Its last change may be a note that somebody added when the call was long over."""
    ended, after = conversation(1, **CLOSED), conversation(2, createdAt="2026-01-01T12:00:00Z")
    said = {ended.id: first, after.id: second}
    assert len(two_conversations(CALL, [ended, after], said)) == expected
    assert len(two_conversations(CALL, [after, ended], said)) == expected


def test_the_conversation_of_the_named_configuration_is_the_calls_own() -> None:
    passive_one, ours = conversation(1, configurationId=THEIRS), conversation(2)
    assert best_of([passive_one, ours], OURS) is ours
    assert best_of([passive_one], OURS) is passive_one
    assert best_of([], OURS) is None


def test_a_conversation_of_a_configuration_that_captures_voice_is_told() -> None:
    [finding] = joined_captured(CALL, CONVERSATION, capturing(rule("*", NUMBER), configuration_id=THEIRS))
    assert (finding.rule, finding.where) == ("STT101", THEIRS)
    assert CALL in finding.message
    assert joined_captured(CALL, CONVERSATION, capturing(configuration_id=THEIRS)) == []


def test_one_engine_is_as_it_should_be() -> None:
    assert rules(said(1, QUESTION), said(4, "and where are you"), said(5, "hello are you there")) == []


def test_the_same_words_from_two_engines_are_told_at_once() -> None:
    [finding] = two_engines(
        CALL, CONVERSATION, [said(1, QUESTION), passive(1.8, "What are your opening hours?")]
    )
    assert (finding.rule, finding.where) == ("STT202", CALL)
    assert "engine google:telephony" in finding.evidence
    assert QUESTION not in str(finding)


def test_two_engines_that_hear_differently_are_told_from_the_second_time() -> None:
    first = [said(1, "hours please"), passive(1.5, "ours peas")]
    assert rules(*first) == []
    assert rules(*first, said(9, "thanks"), passive(9.5, "tanks")) == ["STT202"]


def test_two_transcriptions_by_one_engine_are_told() -> None:
    assert rules(said(1, QUESTION), said(1.5, QUESTION, stem=PASSIVE)) == ["STT202"]


def test_the_same_words_twice_without_any_source_are_told() -> None:
    bare = {"engine": None, "stem": None}
    assert rules(said(1, QUESTION, **bare), said(1.5, QUESTION, **bare)) == ["STT202"]


def test_a_caller_who_repeats_himself_is_heard_once() -> None:
    assert rules(said(1, QUESTION), said(3, QUESTION)) == []


def test_an_engine_that_follows_another_is_a_handoff() -> None:
    """At the change they may come within the same breath, once."""
    before = [said(n, f"{QUESTION} number {n}") for n in range(0, 20, 4)]
    after = [passive(n, f"hello to a person number {n}") for n in range(17, 40, 4)]
    assert rules(*before, *after) == []


def test_a_session_taken_up_again_numbers_anew() -> None:
    assert rules(said(1, QUESTION), said(8, "are you still there", stem=PASSIVE)) == []


def test_a_caller_who_says_the_same_again_after_a_break_is_heard_once() -> None:
    before = [said(1, "good morning"), said(4, QUESTION)]
    after = [said(5, QUESTION, stem=PASSIVE), said(9, "thank you", stem=PASSIVE)]
    assert rules(*before, *after) == []


def test_what_the_agent_says_does_not_count() -> None:
    assert (
        rules(said(1, "we are open all day", side=1), said(1.2, "we are open all day", stem=PASSIVE, side=1))
        == []
    )


def test_order_does_not_matter() -> None:
    assert rules(passive(1.8, QUESTION), said(9, "thank you so much"), said(1, QUESTION)) == ["STT202"]


@pytest.mark.parametrize("content", [None, {"type": "TEXT", "text": QUESTION}, {"type": "TRANSCRIPTION"}])
def test_what_is_no_transcription_does_not_count(content: Any) -> None:
    item = Communication.read({"id": "conv_communication_1", "content": content, "createdAt": "nonsense"})
    assert rules(item, item) == []


SPOKEN = st.builds(
    said,
    st.floats(0, 59, allow_nan=False),
    st.text(max_size=30),
    engine=st.sampled_from(["a", "b"]) | st.none(),
    stem=st.sampled_from([RELAY, PASSIVE]) | st.none(),
    side=st.sampled_from([0, 1]) | st.none(),
)


@given(st.lists(SPOKEN, max_size=12))
def test_any_communications_give_at_most_one_finding_and_never_an_exception(
    communications: list[Communication],
) -> None:
    assert rules(*communications) in ([], ["STT202"])


@given(st.lists(st.floats(0, 59, allow_nan=False), max_size=12))
def test_one_source_is_never_two(moments: list[float]) -> None:
    assert rules(*[said(at, QUESTION) for at in moments]) == []
