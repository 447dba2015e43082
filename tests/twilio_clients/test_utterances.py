"""Fragments of speech become what a person would call a sentence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from voice_app.twilio.models import (
    Communication,
    CommunicationParty,
    Content,
    Participant,
    SpeechRecognition,
)
from voice_app.twilio.utterances import PAUSE_SECONDS, utterances

START = datetime(2026, 11, 22, 12, tzinfo=UTC)


def said(
    seconds: float,
    address: str,
    text: str,
    *,
    kind: str = "TRANSCRIPTION",
    engine: str = "one",
    call: str = "CA1",
) -> Communication:
    return Communication(
        id=f"{address}-{seconds}",
        author=CommunicationParty(address=address, channel="VOICE", participant_id=f"p-{address}"),
        content=Content(type=kind, text=text, transcription=SpeechRecognition(engine=engine)),
        channel_id=call,
        created_at=(START + timedelta(seconds=seconds)).isoformat(),
    )


def texts(communications: list[Communication]) -> list[str]:
    return [item.text for item in utterances(communications)]


def test_fragments_of_one_reply_are_joined() -> None:
    assert texts([said(0, "us", "Hello!"), said(1, "us", " How are you?")]) == ["Hello! How are you?"]


def test_another_speaker_begins_a_new_one() -> None:
    assert texts([said(0, "us", "a"), said(1, "them", "b"), said(2, "us", "c")]) == ["a", "b", "c"]


def test_a_pause_begins_a_new_one() -> None:
    assert texts([said(0, "us", "a"), said(PAUSE_SECONDS, "us", "b")]) == ["a b"]
    assert texts([said(0, "us", "a"), said(PAUSE_SECONDS + 0.1, "us", "b")]) == ["a", "b"]


def test_another_call_or_another_engine_begins_a_new_one() -> None:
    assert texts([said(0, "us", "a"), said(1, "us", "b", call="CA2")]) == ["a", "b"]
    assert texts([said(0, "us", "a"), said(0, "us", "a", engine="two")]) == ["a", "a"]


def test_messages_are_never_joined() -> None:
    assert texts([said(0, "us", "a", kind="TEXT"), said(1, "us", "b", kind="TEXT")]) == ["a", "b"]


def test_the_order_is_that_of_time() -> None:
    assert texts([said(3, "them", "b"), said(0, "us", "a")]) == ["a", "b"]


def test_one_without_a_time_stays_where_it_was() -> None:
    timeless = said(0, "them", "c")
    timeless.created_at = ""
    given = [said(5, "us", "b"), timeless, said(6, "us", "d"), said(1, "them", "a")]
    assert texts(given) == ["a", "b", "c", "d"]


def test_one_without_a_content_is_empty() -> None:
    assert texts([Communication(id="x")]) == [""]


def test_the_speaker_is_known_by_the_participant() -> None:
    person = Participant(id="p-us", type="AI_AGENT")
    [utterance] = utterances([said(0, "us", "a")], [person])
    assert utterance.speaker is person


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["us", "them"]), st.text("ab", min_size=1))))
def test_nothing_is_lost_and_nothing_is_added(items: list[tuple[int, str, str]]) -> None:
    communications = [said(*item) for item in items]
    found = utterances(communications)
    assert sorted(name for item in found for name in item.communications) == sorted(
        item.id for item in communications
    )
    assert sorted(" ".join(item.text for item in found).split()) == sorted(text for _, _, text in items)
