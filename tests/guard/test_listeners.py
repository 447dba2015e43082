"""STT202 over what two engines, or one, may write of a call: one row for each case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from voice_app.guard.evidence import two_engines
from voice_app.twilio import Communication

CALL = "CA" + "1" * 32
CONVERSATION = "conv_conversation_00000000000000000000000001"
DEEPGRAM, GOOGLE = "deepgram:nova-3", "google:telephony"
HOURS, ADDRESS = "what are your opening hours", "where is your office in town"
THANKS, ORDER = "thank you so much for that", "my order number is eight one"


def sid(number: int) -> str:
    return f"GT{number:032x}"


RELAY, RESUMED, PASSIVE, HANDOFF = map(sid, (1, 2, 3, 4))


def said(
    at: float,
    text: str,
    stem: str | None = RELAY,
    engine: str | None = DEEPGRAM,
    *,
    side: int | None = 0,
    words: list[dict[str, Any]] | None = None,
) -> Communication:
    """A communication whose last word came ``at`` seconds into the call."""
    details: dict[str, Any] = {"engine": engine, "channel": side, "words": words}
    return Communication.read(
        {
            "id": f"conv_communication_{at}",
            "author": {"address": "+15550100002", "channel": "VOICE"},
            "content": {"type": "TRANSCRIPTION", "text": text, "transcription": details},
            "resourceId": f"{stem}-{at}" if stem else None,
            "occurredAt": f"2026-01-01T12:{int(at) // 60:02}:{at % 60:06.3f}Z",
        }
    )


def passive(at: float, text: str) -> Communication:
    """By the engine of a capture rule."""
    return said(at, text, PASSIVE, GOOGLE)


def alone(at: float, text: str, engine: str | None = DEEPGRAM) -> Communication:
    """A fragment with a TranscriptionSid of its own."""
    return said(at, text, sid(int(at * 1000) + 100 + len(engine or "")), engine)


def bare(at: float, text: str) -> Communication:
    """A fragment of which nobody says who wrote it."""
    return said(at, text, None, None)


def lasting(at: float, seconds: float, text: str, stem: str, engine: str) -> Communication:
    """A fragment with the times of its words."""
    words: list[dict[str, Any]] = [
        {"text": "a", "startTime": "0.0", "endTime": 0.2},
        {"text": "z", "endTime": str(seconds)},
    ]
    return said(at, text, stem, engine, words=words)


ONCE: dict[str, Sequence[Communication]] = {
    "nobody spoke": [],
    "one engine": [said(1, HOURS), said(4, ADDRESS), said(8, THANKS)],
    "one engine, in many fragments": [said(n / 2, f"word{n} and word{n + 1}") for n in range(2, 40)],
    "the same words again by one transcription": [said(1, HOURS), said(3, HOURS)],
    "the same words at the same moment by one transcription": [said(1, HOURS), said(1, HOURS)],
    "the same words three times": [said(1, HOURS), said(4, HOURS), said(7, HOURS)],
    "an engine that gives each fragment its own SID": [alone(1, HOURS), alone(5, ADDRESS), alone(9, THANKS)],
    "that engine, and the same words again": [alone(1, HOURS), alone(4, HOURS), alone(9, THANKS)],
    "that engine, and the same words again at once": [alone(1, HOURS), alone(3, HOURS)],
    "that engine, and two fragments without a pause": [alone(2, HOURS), alone(3, "on a sunday please")],
    "that engine, and a short word twice": [alone(1, "yes"), alone(1.3, "yes")],
    "an engine without SIDs": [said(1, HOURS, None), said(4, ADDRESS, None)],
    "an engine with a SID now and then": [said(1, HOURS, None), said(4, ADDRESS), said(7, THANKS, None)],
    "neither engine nor SID": [bare(1, HOURS), bare(4, ADDRESS)],
    "neither engine nor SID, and the same words again": [bare(1, HOURS), bare(3.5, HOURS)],
    "a session that was resumed": [said(1, HOURS), said(8, ADDRESS, RESUMED)],
    "a session that was resumed, and the same words again": [
        said(1, "good morning to you"),
        said(4, HOURS),
        said(6, HOURS, RESUMED),
        said(9, THANKS, RESUMED),
    ],
    "a session that was resumed twice": [
        said(1, HOURS),
        said(8, ADDRESS, RESUMED),
        said(15, THANKS, HANDOFF),
    ],
    "a handoff to another engine": [said(1, HOURS), said(4, ADDRESS), passive(9, ORDER), passive(14, THANKS)],
    "a handoff, and the same words to the person": [said(1, HOURS), said(4, ADDRESS), passive(9, ADDRESS)],
    "a handoff in the middle of a sentence": [
        said(1, HOURS),
        said(4, ADDRESS),
        passive(4.5, "and hello there"),
    ],
    "a handoff and back": [
        said(1, HOURS),
        said(4, "hello is anybody there"),
        said(9, "hello is anybody there", HANDOFF, GOOGLE),
        said(14, ORDER, HANDOFF, GOOGLE),
        said(20, ORDER, RESUMED),
        said(25, THANKS, RESUMED),
    ],
    "a handoff and back, each fragment with its own SID": [
        alone(1, HOURS),
        alone(4, "hello is anybody there"),
        alone(9, "hello is anybody there", GOOGLE),
        alone(14, ADDRESS, GOOGLE),
        alone(24, ORDER),
        alone(29, THANKS),
    ],
    "a handoff and back, twice": [
        said(n, f"{text} again", sid(50 + n), engine)
        for n, (text, engine) in enumerate(
            [(HOURS, DEEPGRAM), (ADDRESS, GOOGLE), (ORDER, DEEPGRAM), (THANKS, GOOGLE)], 1
        )
    ],
    "two engines met once, and heard differently": [said(1, "hours please"), passive(1.5, "ours peas")],
    "what the agent says": [
        said(1, HOURS, side=1),
        said(1.2, HOURS, PASSIVE, GOOGLE, side=1),
        said(9, ADDRESS, side=1),
        said(9.4, ADDRESS, PASSIVE, GOOGLE, side=1),
    ],
    "the agent repeats the customer": [said(1, HOURS), said(2, HOURS, PASSIVE, GOOGLE, side=1)],
    "words that took long, then again": [
        lasting(10, 8, HOURS, RELAY, DEEPGRAM),
        lasting(20, 2, HOURS, PASSIVE, GOOGLE),
        lasting(25, 2, THANKS, PASSIVE, GOOGLE),
    ],
}

TWICE: dict[str, Sequence[Communication]] = {
    "the same words by two engines": [said(1, HOURS), passive(1.8, "What are your opening hours?")],
    "the same words by two engines, the other way round": [
        passive(1, HOURS),
        said(1.8, HOURS),
        said(9, THANKS),
    ],
    "the same words by two transcriptions of one engine": [said(1, HOURS), said(1.5, HOURS, PASSIVE)],
    "every word by two transcriptions of one engine": [
        said(at + late, text, stem)
        for at, text in ((1, HOURS), (9, ADDRESS), (17, THANKS))
        for late, stem in ((0, RELAY), (0.4, PASSIVE))
    ],
    "the same words at once, of unknown source": [bare(1, HOURS), bare(1.5, HOURS)],
    "the same words at once, by an engine without SIDs": [said(1, HOURS, None), said(1.5, HOURS, None)],
    "the same words at once, each with its own SID": [alone(1, HOURS), alone(1.5, HOURS), alone(9, THANKS)],
    "two engines that give each fragment its own SID": [
        alone(1, HOURS),
        alone(1.6, HOURS, GOOGLE),
        alone(9, ADDRESS),
        alone(9.6, ADDRESS, GOOGLE),
    ],
    "a second engine four seconds late": [
        said(1, HOURS),
        passive(5, HOURS),
        said(9, ADDRESS),
        passive(13, ADDRESS),
    ],
    "a second engine four seconds late, once": [said(1, HOURS), passive(5, HOURS), said(9, THANKS)],
    "a second engine that lags behind two sentences": [
        said(1, HOURS),
        said(3.5, ADDRESS),
        passive(6, HOURS),
        passive(8.5, ADDRESS),
    ],
    "a second transcription of one engine, four seconds late": [
        said(1, HOURS),
        said(5, HOURS, PASSIVE),
        said(9, ADDRESS),
        said(13, ADDRESS, PASSIVE),
    ],
    "a second engine with SIDs of its own for each fragment, late": [
        said(1, HOURS),
        alone(5, HOURS, GOOGLE),
        said(9, ADDRESS),
        alone(13, ADDRESS, GOOGLE),
    ],
    "two engines that hear differently": [
        said(1, "hours please"),
        passive(1.5, "ours peas"),
        said(9, "thanks"),
        passive(9.5, "tanks"),
    ],
    "two engines that hear a few words differently": [
        said(1, "what are your opening hours today"),
        passive(1.4, "what are your opening ours today"),
    ],
    "one engine writes sentences and the other fragments": [
        said(4, f"{HOURS} and {ADDRESS}"),
        passive(2.1, HOURS),
        passive(4.4, f"and {ADDRESS}"),
        said(12, THANKS),
        passive(12.5, THANKS),
    ],
    "the other one began late and stopped early": [
        said(1, HOURS),
        said(9, ADDRESS),
        passive(9.5, ADDRESS),
        said(17, THANKS),
    ],
    "a second engine goes on over a handoff": [
        said(1, HOURS),
        passive(1.5, HOURS),
        said(9, ADDRESS, HANDOFF),
        passive(9.5, ADDRESS),
    ],
    "words whose times say that they were said at once": [
        lasting(10, 8, HOURS, RELAY, DEEPGRAM),
        lasting(13, 8, HOURS, PASSIVE, GOOGLE),
    ],
    "channels that no engine tells": [
        said(1, HOURS, side=None),
        said(1.5, HOURS, PASSIVE, GOOGLE, side=None),
    ],
    "out of order": [said(9, ADDRESS), passive(1.5, HOURS), passive(9.5, ADDRESS), said(1, HOURS)],
}


@pytest.mark.parametrize("case", ONCE)
def test_one_engine_at_a_time_is_never_two(case: str) -> None:
    assert two_engines(CALL, CONVERSATION, ONCE[case]) == []


@pytest.mark.parametrize("case", TWICE)
def test_two_engines_at_once_are_told_without_a_word_of_what_was_said(case: str) -> None:
    [finding] = two_engines(CALL, CONVERSATION, TWICE[case])
    assert (finding.rule, finding.where) == ("STT202", CALL)
    assert f"conversation {CONVERSATION}" in finding.evidence
    assert HOURS not in str(finding).casefold()


@pytest.mark.parametrize("case", [*ONCE, *TWICE])
def test_the_order_of_the_list_does_not_matter(case: str) -> None:
    items = {**ONCE, **TWICE}[case]
    turned = two_engines(CALL, CONVERSATION, [*reversed(items)])
    assert [item.rule for item in turned] == [item.rule for item in two_engines(CALL, CONVERSATION, items)]
