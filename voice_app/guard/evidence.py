"""The proof, call by call, that somebody pays twice: STT201 and STT202.

Source: reference ``orchestrator.md`` §8.4 (40, 41). Findings hold ids and counts, never a word that was said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Final, TypeAlias

from voice_app.findings import ERROR, RULES, WARNING, Finding, counted, declare
from voice_app.guard.matching import VOICE, captures
from voice_app.guard.rules.billing import TWICE
from voice_app.guard.snapshot import called
from voice_app.twilio import Communication, Configuration, Configurations, Conversation, Conversations
from voice_app.twilio.models import moment

_Span: TypeAlias = tuple[datetime, datetime]
"""When a source was first and last heard of."""

TOGETHER: Final = 3.0
"""Seconds within which two engines write down the same words."""
ALIKE: Final = 0.8
"""Ratio from which two texts are the same words as two engines hear them."""
WORDS: Final = 3
"""Fewer words are said twice by people, too."""
PAIRS: Final = 2
"""So often two engines have to write at the same time, whatever they write: at a handoff it happens once."""

_STEM: Final = re.compile(r"[A-Z]{2}[0-9a-f]{32}")
_CUSTOMERS_SIDE: Final = 0

STT201: Final = declare(
    "STT201",
    ERROR,
    "a call is written to two conversations",
    f"{TWICE} Two configurations at work show as two conversations with the same CallSid.",
    fix="voice-app check names the capture rule that does it.",
)
STT202: Final = declare(
    "STT202",
    ERROR,
    "two engines write down the same call",
    f"{TWICE} Both at work in one configuration show as the customer's words coming twice.",
    fix="voice-app check names the capture rule that does it.",
)
CFG201: Final = declare(
    "CFG201",
    WARNING,
    "a call without a conversation",
    "The TwiML named a configuration and Twilio made no conversation of it, without a word: the attribute "
    "or the configuration is not what Twilio expects.",
    fix="voice-app lint and voice-app check show which of the two it is.",
)


class CallInspector:
    """Looks at what Orchestrator has of a call."""

    def __init__(
        self, conversations: Conversations, configurations: Configurations, named: str | None
    ) -> None:
        """``named`` is the configuration that our TwiML names."""
        self._conversations = conversations
        self._configurations = configurations
        self._named = named
        self._clean: set[str] = set()

    def has_ours(self, found: Iterable[Conversation]) -> bool:
        """Whether a conversation of the named configuration is among them."""
        return any(item.configuration_id == self._named for item in found)

    async def inspect(self, call_sid: str, known: Iterable[Conversation] = ()) -> list[Finding]:
        """What is wrong with the transcription of a call. Raises `ApiError`.

        ``known`` are conversations of the call that are known already.
        """
        listed = await self._conversations.list(channel_id=call_sid)  # closed ones too: the call may be over
        found = {item.id: item for item in [*known, *listed]}
        findings = two_conversations(call_sid, list(found.values()))
        for conversation in found.values():
            said = await self._conversations.communications(conversation.id, channel_id=call_sid)
            findings += two_engines(call_sid, conversation.id, said)
            if not self.has_ours(found.values()):  # else it is the other one of STT201
                findings += await self._captured(call_sid, conversation)
        return findings

    async def _captured(self, call_sid: str, conversation: Conversation) -> list[Finding]:
        """STT101 for the configuration behind the conversation, where it is not the one that was checked."""
        configuration_id = conversation.configuration_id
        if not configuration_id or configuration_id == self._named or configuration_id in self._clean:
            return []
        configuration = await self._configurations.fetch(configuration_id)
        findings = joined_captured(call_sid, conversation.id, configuration)
        if not findings:
            self._clean.add(configuration_id)
        return findings


def best_of(found: Sequence[Conversation], named: str | None) -> Conversation | None:
    """The conversation that our TwiML made: of several, the one of the configuration that it names."""
    ours = [item for item in found if item.configuration_id == named]
    return next(iter([*ours, *found]), None)


def missing(call_sid: str) -> Finding:
    """CFG201: Twilio made no conversation of what our TwiML named."""
    return CFG201.finding(call_sid, f"No conversation was made for call {call_sid}; see voice-app check")


def two_conversations(call_sid: str, found: Sequence[Conversation]) -> list[Finding]:
    """STT201: at the same time. One after the other, the second continues what the first had ended."""
    found = [item for item in found if any(_overlap(item, other) for other in found if other is not item)]
    if not found:
        return []
    return [
        STT201.finding(
            call_sid,
            f"Call {call_sid} is written to {len(found)} conversations",
            evidence=[f"{item.id} of {item.configuration_id or 'no configuration'}" for item in found],
        )
    ]


def _overlap(one: Conversation, two: Conversation) -> bool:
    """Whether neither had ended before the other began; a time that is missing proves nothing."""
    return not any(
        before.status == "CLOSED"
        and (ended := moment(before.updated_at)) is not None
        and (began := moment(after.created_at)) is not None
        and ended <= began
        for before, after in ((one, two), (two, one))
    )


def joined_captured(call_sid: str, conversation_id: str, configuration: Configuration) -> list[Finding]:
    """STT101: the call's conversation belongs to a configuration that captures voice by itself."""
    rules = captures(configuration, VOICE)
    if not rules:
        return []
    return [
        RULES["STT101"].finding(
            configuration.id,
            f"Call {call_sid} is written to {conversation_id}, and {called(configuration)} behind it has "
            f"{counted(len(rules), 'VOICE capture rule')}",
            evidence=[*map(str, rules)],
            fix="Remove the rules, or give our calls a configuration without them.",
        )
    ]


def two_engines(call_sid: str, conversation_id: str, said: Sequence[Communication]) -> list[Finding]:
    """STT202: the customer's words come from two sources at the same time.

    Two engines one after the other are fine: that is a handoff. So is one that numbers anew: that is a
    session taken up again.
    """
    pairs = list(_simultaneous(_heard(said)))
    doubled = [pair for pair in pairs if _alike(*pair)]
    if not doubled and len(pairs) < PAIRS:
        return []
    engines = sorted({engine for pair in pairs for item in pair if (engine := _engine(item))})
    stems = sorted({stem for pair in pairs for item in pair if (stem := _stem(item))})
    return [
        STT202.finding(
            call_sid,
            f"Call {call_sid} is transcribed twice: {counted(len(doubled or pairs), 'utterance')} of the "
            f"customer came from two sources within {TOGETHER:g} s",
            evidence=[
                f"conversation {conversation_id}",
                *(f"engine {engine}" for engine in engines),
                *(f"transcription {stem}" for stem in stems),
            ],
        )
    ]


def _heard(said: Sequence[Communication]) -> list[tuple[datetime, Communication]]:
    """What the customer said, in order of time."""
    timed = [(item.at, item) for item in said if _by_customer(item)]
    return sorted(((at, item) for at, item in timed if at is not None), key=lambda pair: pair[0])


def _simultaneous(
    heard: Sequence[tuple[datetime, Communication]],
) -> Iterator[tuple[Communication, Communication]]:
    """Neighbours from two sources that come within the time of one breath; each is in one pair.

    A source that falls silent as the other begins was followed by it: the caller may say the same again.
    """
    spans: dict[tuple[str, str], _Span] = {}
    for at, item in heard:
        first, _ = spans.get(_source(item), (at, at))
        spans[_source(item)] = first, at
    taken = False
    for (at, item), (later, other) in pairwise(heard):
        together = (
            (later - at).total_seconds() <= TOGETHER
            and _two_sources(item, other)
            and _at_once(spans[_source(item)], spans[_source(other)])
        )
        taken = together and not taken
        if taken:
            yield item, other


def _at_once(one: _Span, two: _Span) -> bool:
    """Whether two sources listened at the same time; of two that said one thing each nobody can tell."""
    if one[0] == one[1] and two[0] == two[1]:
        return True
    return one[0] < two[1] and two[0] < one[1]


def _two_sources(item: Communication, other: Communication) -> bool:
    """Whether they differ in engine or transcription; without either, the same words count as two."""
    known = [(pair, other_pair) for pair, other_pair in zip(_source(item), _source(other), strict=True)]
    if any(one and two and one != two for one, two in known):
        return True
    return not any(one or two for one, two in known) and _alike(item, other)


def _source(item: Communication) -> tuple[str, str]:
    return _engine(item), _stem(item)


def _by_customer(item: Communication) -> bool:
    transcription = item.content.transcription if item.content is not None else None
    return transcription is not None and transcription.channel in (None, _CUSTOMERS_SIDE)


def _engine(item: Communication) -> str:
    transcription = item.content.transcription if item.content is not None else None
    return (transcription.engine or "") if transcription is not None else ""


def _stem(item: Communication) -> str:
    """The transcription that a communication is a part of: its resource id without the number."""
    found = _STEM.match(item.resource_id or "")
    return found[0] if found else ""


def _alike(item: Communication, other: Communication) -> bool:
    one, two = _words(item), _words(other)
    return min(len(one), len(two)) >= WORDS and SequenceMatcher(None, one, two).ratio() >= ALIKE


def _words(item: Communication) -> list[str]:
    return re.findall(r"\w+", item.text.casefold())
