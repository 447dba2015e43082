"""The proof, call by call, that somebody pays twice: STT201 and STT202.

Source: ``docs/orchestrator.md`` §8.4 (40, 41). Findings hold ids and counts, never a word that was said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final, TypeAlias

from voice_app.findings import ERROR, RULES, WARNING, Finding, counted, declare
from voice_app.guard.listeners import heard_twice, spoken
from voice_app.guard.matching import VOICE, captures
from voice_app.guard.rules.billing import TWICE
from voice_app.guard.snapshot import called
from voice_app.twilio import Communication, Configuration, Configurations, Conversation, Conversations
from voice_app.twilio.models import moment

_SEEN: Final = "it is seen on calls, and not by a check"

STT201: Final = declare(
    "STT201",
    ERROR,
    "a call is written to two conversations",
    f"{TWICE} Two configurations at work show as two conversations with the same CallSid.",
    fix="voice-app check names the capture rule that does it.",
    binding=_SEEN,
)
STT202: Final = declare(
    "STT202",
    ERROR,
    "two engines write down the same call",
    f"{TWICE} Both at work in one configuration show as the customer's words coming twice.",
    fix="voice-app check names the capture rule that does it.",
    binding=_SEEN,
)
CFG201: Final = declare(
    "CFG201",
    WARNING,
    "a call without a conversation",
    "The TwiML named a configuration and Twilio made no conversation of it, without a word: the attribute "
    "or the configuration is not what Twilio expects.",
    fix="voice-app lint and voice-app check show which of the two it is.",
    binding=_SEEN,
)


class CallInspector:
    """Looks at what Orchestrator has of a call."""

    def __init__(self, conversations: Conversations, configurations: Configurations) -> None:
        self._conversations = conversations
        self._configurations = configurations
        self._clean: set[str] = set()

    async def inspect(self, call_sid: str, named: str, known: Iterable[Conversation] = ()) -> list[Finding]:
        """What is wrong with the transcription of a call. Raises `ApiError`.

        ``named`` is the configuration that the TwiML of the call names; ``known`` are conversations of the
        call that are known already.
        """
        listed = await self._conversations.list(channel_id=call_sid)  # closed ones too: the call may be over
        found = {item.id: item for item in [*known, *listed]}
        said = {key: await self._conversations.communications(key, channel_id=call_sid) for key in found}
        findings = two_conversations(call_sid, list(found.values()), said)
        for conversation in found.values():
            findings += two_engines(call_sid, conversation.id, said[conversation.id])
            if not has_ours(found.values(), named):  # else it is the other one of STT201
                findings += await self._captured(call_sid, conversation)
        return findings

    async def _captured(self, call_sid: str, conversation: Conversation) -> list[Finding]:
        """STT101 for the configuration behind the conversation, where it is not the one that was checked."""
        configuration_id = conversation.configuration_id
        if not configuration_id or configuration_id in self._clean:
            return []
        configuration = await self._configurations.fetch(configuration_id)
        findings = joined_captured(call_sid, conversation.id, configuration)
        if not findings:
            self._clean.add(configuration_id)
        return findings


def has_ours(found: Iterable[Conversation], named: str) -> bool:
    """Whether a conversation of the configuration that the TwiML of the call names is among them."""
    return any(item.configuration_id == named for item in found)


def best_of(found: Sequence[Conversation], named: str | None) -> Conversation | None:
    """The conversation that our TwiML made: of several, the one of the configuration that it names."""
    ours = [item for item in found if item.configuration_id == named]
    return next(iter([*ours, *found]), None)


def missing(call_sid: str) -> Finding:
    """CFG201: Twilio made no conversation of what our TwiML named."""
    return CFG201.finding(call_sid, f"No conversation was made for call {call_sid}; see voice-app check")


def two_conversations(
    call_sid: str,
    found: Sequence[Conversation],
    said: Mapping[str, Sequence[Communication]] = MappingProxyType({}),
) -> list[Finding]:
    """STT201: at the same time. One after the other, the second continues what the first had ended.

    ``said`` has the communications of each conversation, by its id.
    """
    spans = {item.id: spoken(said.get(item.id, ())) for item in found}
    found = [
        item for item in found if any(_overlap(item, other, spans) for other in found if other is not item)
    ]
    if not found:
        return []
    return [
        STT201.finding(
            call_sid,
            f"Call {call_sid} is written to {len(found)} conversations",
            evidence=[f"{item.id} of {item.configuration_id or 'no configuration'}" for item in found],
        )
    ]


_Spans: TypeAlias = Mapping[str, tuple[datetime, datetime] | None]
"""When the first and the last words of each conversation were said, by its id."""


def _overlap(one: Conversation, two: Conversation, spans: _Spans) -> bool:
    """Whether neither had ended before the other began; a time that is missing proves nothing."""
    return not any(
        before.status == "CLOSED"
        and (ended := _ended(before, spans)) is not None
        and (began := moment(after.created_at)) is not None
        and ended <= began
        for before, after in ((one, two), (two, one))
    )


def _ended(closed: Conversation, spans: _Spans) -> datetime | None:
    """When a closed conversation had its last words: whoever touches it later moves its last change."""
    span = spans.get(closed.id)
    return span[1] if span is not None else moment(closed.updated_at)


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
    """STT202: two engines wrote down the customer's words at the same time."""
    twice = heard_twice(said)
    if twice is None:
        return []
    return [
        STT202.finding(
            call_sid,
            f"Call {call_sid} is transcribed twice: {counted(twice.utterances, 'utterance')} of the customer "
            "came from two engines",
            evidence=[
                f"conversation {conversation_id}",
                *(f"engine {engine}" for engine in twice.engines),
                *(f"transcription {sid}" for sid in twice.transcriptions),
            ],
        )
    ]
