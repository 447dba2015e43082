"""CFG1xx: what a configuration makes of conversations, and the limits of the account.

Source: ``docs/orchestrator.md`` §8.1 (8), §8.3 and §8.4.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from voice_app.findings import ERROR, NOTE, WARNING, Hit, counted, rule
from voice_app.guard.matching import VOICE, captures
from voice_app.guard.snapshot import SETTING, Part, Snapshot, called
from voice_app.twilio import Configuration, Conversation
from voice_app.twilio.http import EDGES
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
    """CFG101: what the TwiML names must be the id of a configuration; its unique name is a warning."""
    for value, by in snapshot.scope.named.items():
        trouble = problem(value, IdKind.CONFIGURATION)
        if trouble is None or (by != SETTING and problem(value, IdKind.CONVERSATION) is None):
            continue
        behind = [item.id for item in snapshot.named if item.asked == value]
        if not behind and snapshot.configurations is None and snapshot.missed(Part.CONFIGURATIONS):
            continue  # STT106 says that it is not known
        told = f"it is the name of {' and of '.join(behind)}" if behind else trouble
        yield Hit(
            where=SETTING if by == SETTING else value,
            message=f"{value!r} (named by {by}) is not the id of a configuration: {told}",
            fix=f"Write {behind[0]}." if len(behind) == 1 else "",
            severity=WARNING if len(behind) == 1 else ERROR,
        )


@rule(
    "CFG126",
    WARNING,
    "two answers about one configuration",
    "The list of configurations shows other VOICE capture rules than the configuration itself. The answer "
    "with more of them counts.",
    fix="Check again in a minute; if it stays so, write the configuration anew: voice-app config update.",
)
def two_answers(snapshot: Snapshot) -> Iterator[Hit]:
    """CFG126"""
    listed = {item.id: item for item in snapshot.configurations or () if item.whole}
    for named in snapshot.named:
        read, row = named.configuration, listed.get(named.id)
        if read is None or row is None or read.id != named.id:
            continue
        single, shown = captures(read, VOICE), captures(row, VOICE)
        if [item.item for item in single] != [item.item for item in shown]:
            yield Hit(
                where=named.id,
                message=f"{called(read)} has {counted(len(single), 'VOICE capture rule')}, and the list of "
                f"all configurations shows {counted(len(shown), 'VOICE capture rule')} of it",
                evidence=[*map(str, single), *(f"in the list: {item}" for item in shown)],
            )


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
    """CFG128"""
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
    "CFG104",
    ERROR,
    "a region that Twilio does not have",
    "Each region has hosts and credentials of its own; where there is no region, nothing answers.",
    fix="Set TWILIO_REGION to ie1, au1 or us1, or remove it.",
)
def no_such_region(snapshot: Snapshot) -> Iterator[Hit]:
    """CFG104"""
    region = snapshot.scope.region
    if region and region not in EDGES:
        yield Hit(
            where="TWILIO_REGION",
            message=f"{region!r} is no region of Twilio; it has {', '.join(sorted(EDGES))}",
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
    WARNING,
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
                severity=snapshot.weighed(configuration, WARNING),
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
