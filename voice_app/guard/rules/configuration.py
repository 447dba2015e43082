"""CFG1xx: what a configuration makes of conversations, and the limits of the account.

Source: reference ``orchestrator.md`` §8.1 (8), §8.3 and §8.4.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from voice_app.findings import ERROR, NOTE, WARNING, Hit, counted, rule
from voice_app.guard.matching import VOICE, captures
from voice_app.guard.snapshot import SETTING, Part, Snapshot, called
from voice_app.twilio import Configuration, Conversation
from voice_app.twilio.identifiers import IdKind, problem
from voice_app.twilio.models import moment

MOST_CONFIGURATIONS: Final = 10
MANY_CONFIGURATIONS: Final = 8
LONG: Final = timedelta(hours=1)
"""How long a conversation may be quiet beyond its timeouts before we wonder."""
BY_CHANNEL: Final = "GROUP_BY_PARTICIPANT_ADDRESSES_AND_CHANNEL_TYPE"


@rule(
    "CFG101",
    ERROR,
    "not the id of a configuration",
    "Twilio takes any text for conversationConfiguration, and writes no conversation when it is the "
    "wrong one.",
    fix="Set TWILIO_CONVERSATION_CONFIGURATION_ID to an id that begins with conv_configuration_.",
)
def bad_id(snapshot: Snapshot) -> Iterator[Hit]:
    """CFG101: what the TwiML names must be the id of a configuration."""
    value = snapshot.scope.configuration_id
    trouble = problem(value, IdKind.CONFIGURATION) if value else None
    if trouble is not None:
        yield Hit(
            where=SETTING,
            message=f"{value!r} is not the id of a configuration: {trouble}",
            fix=f"Set {SETTING} to an id that begins with {IdKind.CONFIGURATION}.",
        )


@rule(
    "CFG102",
    WARNING,
    "no settings for voice",
    "Without VOICE among its channelSettings nothing says when conversations of calls become inactive "
    "and close.",
    fix="Add VOICE with its statusTimeouts to channelSettings.",
)
def no_voice(snapshot: Snapshot) -> Iterator[Hit]:
    """CFG102"""
    for configuration in snapshot.in_use:
        if not any(name.upper() == VOICE for name in configuration.channel_settings):
            yield Hit(
                where=configuration.id,
                message=f"{called(configuration)} has no settings for VOICE",
                fix='Add "VOICE": {"statusTimeouts": {"inactive": 5, "closed": 30}, "captureRules": []} to '
                "its channelSettings.",
            )


@rule(
    "CFG119",
    WARNING,
    "close to the limit of configurations",
    "An account can have about 10; the next one may be refused.",
    fix="Delete what nothing names any more.",
)
def many_configurations(snapshot: Snapshot) -> Iterator[Hit]:
    """CFG119"""
    number = len(snapshot.configurations or ())
    if number >= MANY_CONFIGURATIONS:
        yield Hit(
            where="all configurations",
            message=f"The account has {number} configurations, of {MOST_CONFIGURATIONS} that it can have",
            evidence=[called(item) for item in snapshot.configurations or ()],
            fix="Delete what nothing names any more.",
        )


@rule(
    "CFG120",
    ERROR,
    "no memory store",
    "Orchestrator needs one to know who is who, and refuses every change of a configuration without.",
    fix="Set memoryStoreId to an id that begins with mem_store_.",
)
def no_store(snapshot: Snapshot) -> Iterator[Hit]:
    """CFG120"""
    for configuration in snapshot.everything:
        store = configuration.memory_store_id
        trouble = problem(store, IdKind.MEMORY_STORE) if store else "memoryStoreId is missing"
        if trouble is not None:
            yield Hit(
                where=configuration.id,
                message=f"{called(configuration)} has no memory store: {trouble}",
                fix=f"Set memoryStoreId to an id that begins with {IdKind.MEMORY_STORE}.",
                severity=snapshot.weighed(configuration, ERROR),
            )


@rule(
    "CFG121",
    NOTE,
    "open conversations with older settings",
    "A conversation keeps the settings with which it began, until it is closed.",
    fix="Close the conversations, if the change matters to them.",
)
def older_version(snapshot: Snapshot) -> Iterator[Hit]:
    """CFG121: by time, since a conversation does not tell the version that it was made with."""
    for configuration in snapshot.in_use:
        changed = moment(configuration.updated_at)
        if changed is None:
            continue
        older = [
            item
            for item in _open(snapshot, configuration)
            if (created := moment(item.created_at)) is not None and created < changed
        ]
        if older:
            yield Hit(
                where=configuration.id,
                message=f"{_some(snapshot, len(older))} of {called(configuration)} began before its last "
                f"change ({configuration.updated_at}) and will not notice it",
                evidence=[f"{item.id}, {item.status}, since {item.created_at}" for item in older],
                fix="Close them, if the change matters to them.",
            )


@rule(
    "CFG122",
    NOTE,
    "conversations that nobody closes",
    "Memories, summaries and the operators that run at the end come when a conversation closes.",
    fix="Give VOICE a closed timeout, or close conversations when the call is over.",
)
def stays_open(snapshot: Snapshot) -> Iterator[Hit]:
    """CFG122"""
    for configuration in snapshot.in_use:
        quiet = [item for item in _open(snapshot, configuration) if _forgotten(snapshot, item)]
        if quiet:
            yield Hit(
                where=configuration.id,
                message=f"{_some(snapshot, len(quiet))} of {called(configuration)} should be closed by now",
                evidence=[f"{item.id}, {item.status}, last change {item.updated_at}" for item in quiet],
                fix="Give VOICE a closed timeout, or close conversations when the call is over.",
            )


@rule(
    "CFG123",
    WARNING,
    "another channel keeps conversations of calls open",
    "With this grouping a conversation has several channels, and the one with the longest timeout "
    "decides. What is made at the end comes that much later.",
    fix="Close the conversation when the call is over, or group by channel in a new configuration.",
)
def outlived(snapshot: Snapshot) -> Iterator[Hit]:
    """CFG123"""
    for configuration in snapshot.in_use:
        voice = _minutes(configuration.channel(VOICE), "closed")
        if configuration.grouping == BY_CHANNEL or voice is None:
            continue
        longer = [
            f"{name} closes after {minutes} minutes, VOICE after {voice}"
            for name in configuration.channel_settings
            if name != VOICE and (minutes := _minutes(configuration.channel(name), "closed")) is not None
            if minutes > voice
        ]
        if longer:
            yield Hit(
                where=configuration.id,
                message=f"Conversations of {called(configuration)} stay open after a call, as long as "
                "another channel in them wants",
                evidence=longer,
                fix="If summaries and memories have to be there sooner, close the conversation when the call "
                "is over, or group by channel in a new configuration.",
            )


@rule(
    "CFG124",
    WARNING,
    "chat without the classic bridge",
    "Chat comes in through the Conversations API (classic) only.",
    fix="Set conversationsV1Bridge.serviceId to the service of the Conversations API (classic).",
)
def chat_without_bridge(snapshot: Snapshot) -> Iterator[Hit]:
    """CFG124"""
    for configuration in snapshot.everything:
        if captures(configuration, "CHAT") and not configuration.raw.get("conversationsV1Bridge"):
            yield Hit(
                where=configuration.id,
                message=f"{called(configuration)} has capture rules for CHAT and no conversationsV1Bridge: "
                "no chat will come",
                fix="Set conversationsV1Bridge.serviceId to the service of the Conversations API (classic).",
                severity=snapshot.weighed(configuration, WARNING),
            )


@rule(
    "CFG125",
    NOTE,
    "open conversations could not be read",
    "Whether some are forgotten or have older settings is not known.",
    fix="Give the credentials access to conversations, and check again.",
)
def conversations_unread(snapshot: Snapshot) -> Iterator[Hit]:
    """CFG125"""
    for unread in snapshot.missed(Part.CONVERSATIONS):
        yield Hit(
            where=str(unread.part),
            message=f"{str(unread.part).capitalize()} could not be read: {unread.error.answer}",
            fix=unread.error.advice,
        )


def _open(snapshot: Snapshot, configuration: Configuration) -> list[Conversation]:
    return [item for item in snapshot.conversations or () if item.configuration_id == configuration.id]


def _forgotten(snapshot: Snapshot, item: Conversation) -> bool:
    """Whether nothing has changed it for longer than any timeout of its configuration explains."""
    changed = moment(item.updated_at)
    settings = (item.configuration or {}).get("channelSettings")
    channels = settings.values() if isinstance(settings, dict) else ()
    longest = max((_minutes(channel, "closed") or 0 for channel in channels), default=0)
    return changed is not None and snapshot.at - changed > timedelta(minutes=longest) + LONG


def _minutes(channel: Any, name: str) -> int | None:
    timeouts = channel.get("statusTimeouts") if isinstance(channel, dict) else None
    minutes = timeouts.get(name) if isinstance(timeouts, dict) else None
    return minutes if isinstance(minutes, int) and not isinstance(minutes, bool) else None


def _some(snapshot: Snapshot, number: int) -> str:
    least = "At least " if snapshot.conversations_cut else ""
    told = f"{least}{counted(number, 'open conversation')}"
    return told[0].upper() + told[1:]
