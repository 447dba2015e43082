"""CFG1xx: what our TwiML names, and what a configuration has to have.

Source: ``docs/orchestrator.md`` §8.1 (8) and §8.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from voice_app.findings import ERROR, WARNING, Hit, counted, rule
from voice_app.guard.matching import VOICE, captures
from voice_app.guard.snapshot import SETTING, Part, Snapshot, called
from voice_app.twilio.http import EDGES
from voice_app.twilio.identifiers import IdKind, problem

MOST_CONFIGURATIONS: Final = 10
MANY_CONFIGURATIONS: Final = 8


_BY_TEMPLATE: Final = "Write the id of one of your configurations: voice-app config list."


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
        if not behind and not value.startswith(tuple(IdKind)):
            told = f"no configuration has this name, and {trouble}"
        yield Hit(
            where=SETTING if by == SETTING else value,
            message=f"{value!r} (named by {by}) is not the id of a configuration: {told}",
            fix=f"Write {behind[0]}." if len(behind) == 1 else "" if by == SETTING else _BY_TEMPLATE,
            severity=WARNING if len(behind) == 1 else ERROR,
        )


@rule(
    "CFG126",
    WARNING,
    "two answers about one configuration",
    "The list of configurations shows other VOICE capture rules than the configuration itself. The answer "
    "with more of them counts.",
    fix="Check again in a minute; if it stays so, write the configuration anew: voice-app config set.",
)
def two_answers(snapshot: Snapshot) -> Iterator[Hit]:
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
    "CFG102",
    WARNING,
    "no settings for voice",
    "Without VOICE among its channelSettings nothing says when conversations of calls become inactive "
    "and close.",
    fix=(
        'Add "VOICE": {"statusTimeouts": {"inactive": 5, "closed": 30}, "captureRules": []} to '
        "its channelSettings."
    ),
)
def no_voice(snapshot: Snapshot) -> Iterator[Hit]:
    for configuration in snapshot.in_use:
        if not any(name.upper() == VOICE for name in configuration.channel_settings):
            yield Hit(
                where=configuration.id,
                message=f"{called(configuration)} has no settings for VOICE",
            )


@rule(
    "CFG104",
    ERROR,
    "a region that Twilio does not have",
    "Each region has hosts and credentials of its own; where there is no region, nothing answers.",
    fix="Set TWILIO_REGION to ie1, au1 or us1, or remove it.",
)
def no_such_region(snapshot: Snapshot) -> Iterator[Hit]:
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
    number = len(snapshot.configurations or ())
    if number >= MANY_CONFIGURATIONS:
        yield Hit(
            where="all configurations",
            message=f"The account has {number} configurations, of {MOST_CONFIGURATIONS} that it can have",
            evidence=[called(item) for item in snapshot.configurations or ()],
        )


@rule(
    "CFG120",
    WARNING,
    "no memory store",
    "Orchestrator needs one to know who is who, and refuses every change of a configuration without.",
    fix="Set memoryStoreId to an id that begins with mem_store_.",
)
def no_store(snapshot: Snapshot) -> Iterator[Hit]:
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
    "CFG124",
    WARNING,
    "chat without the classic bridge",
    "Chat comes in through the Conversations API (classic) only.",
    fix="Set conversationsV1Bridge.serviceId to the service of the Conversations API (classic).",
)
def chat_without_bridge(snapshot: Snapshot) -> Iterator[Hit]:
    for configuration in snapshot.everything:
        if captures(configuration, "CHAT") and not configuration.raw.get("conversationsV1Bridge"):
            yield Hit(
                where=configuration.id,
                message=f"{called(configuration)} has capture rules for CHAT and no conversationsV1Bridge: "
                "no chat will come",
                severity=snapshot.weighed(configuration, WARNING),
            )
