"""CFG12x: when conversations become inactive and close.

Source: ``docs/orchestrator.md`` §8.3 and §8.4.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from voice_app.findings import NOTE, WARNING, Hit, counted, rule
from voice_app.guard.matching import VOICE
from voice_app.guard.snapshot import Part, Snapshot, called
from voice_app.twilio import Configuration, Conversation
from voice_app.twilio.models import moment

LONG: Final = timedelta(hours=1)
"""How long a conversation may be quiet beyond its timeouts before we wonder."""
BY_CHANNEL: Final = "GROUP_BY_PARTICIPANT_ADDRESSES_AND_CHANNEL_TYPE"


@rule(
    "CFG127",
    NOTE,
    "calls without timeouts",
    "Where VOICE has no timeouts of its own, nothing closes the conversation of a call but another channel, "
    "or whoever closes it.",
    fix='Set "statusTimeouts": {"inactive": 5, "closed": 30} for VOICE.',
)
def no_timeouts(snapshot: Snapshot) -> Iterator[Hit]:
    """CFG127. Without settings for VOICE at all it is CFG102."""
    for configuration in snapshot.in_use:
        channels = configuration.channel_settings
        if VOICE not in channels or _minutes(channels[VOICE], "closed") is not None:
            continue
        others = [
            f"{name} closes after {minutes} minutes"
            for name in channels
            if name != VOICE and (minutes := _minutes(channels[name], "closed")) is not None
        ]
        if others:
            yield Hit(
                where=configuration.id,
                message=f"{called(configuration)} has no timeouts for VOICE",
                evidence=others,
            )


@rule(
    "CFG128",
    WARNING,
    "inactive not before closed",
    "A conversation becomes inactive before it closes. With timeouts the other way round it is never "
    "inactive, and what runs then does not.",
    fix="Set inactive to fewer minutes than closed.",
)
def swapped_timeouts(snapshot: Snapshot) -> Iterator[Hit]:
    for configuration in snapshot.in_use:
        swapped = [
            f"{name}: inactive after {inactive} minutes, closed after {closed}"
            for name, channel in configuration.channel_settings.items()
            if (inactive := _minutes(channel, "inactive")) is not None
            if (closed := _minutes(channel, "closed")) is not None and inactive >= closed
        ]
        if swapped:
            yield Hit(
                where=configuration.id,
                message=f"{called(configuration)} has an inactive timeout that is not shorter than the "
                "closed one",
                evidence=swapped,
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
            )


@rule(
    "CFG122",
    NOTE,
    "conversations that nobody closes",
    "Memories, summaries and the operators that run at the end come when a conversation closes.",
    fix="Give VOICE a closed timeout, or close conversations when the call is over.",
)
def stays_open(snapshot: Snapshot) -> Iterator[Hit]:
    for configuration in snapshot.in_use:
        quiet = [item for item in _open(snapshot, configuration) if _forgotten(snapshot, item)]
        if quiet:
            yield Hit(
                where=configuration.id,
                message=f"{_some(snapshot, len(quiet))} of {called(configuration)} should be closed by now",
                evidence=[f"{item.id}, {item.status}, last change {item.updated_at}" for item in quiet],
            )


@rule(
    "CFG123",
    WARNING,
    "another channel keeps conversations of calls open",
    "With this grouping a conversation has several channels, and the one with the longest timeout "
    "decides. What is made at the end comes that much later.",
    fix=(
        "If summaries and memories have to be there sooner, close the conversation when the call "
        "is over, or group by channel in a new configuration."
    ),
)
def outlived(snapshot: Snapshot) -> Iterator[Hit]:
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
            )


@rule(
    "CFG125",
    NOTE,
    "open conversations could not be read",
    "Whether some are forgotten or have older settings is not known.",
    fix="Give the credentials access to conversations, and check again.",
)
def conversations_unread(snapshot: Snapshot) -> Iterator[Hit]:
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
