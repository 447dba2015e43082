"""MEM1xx and INT1xx: what a configuration is linked to.

Source: ``docs/orchestrator.md`` §6, §7 and §8.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from voice_app.findings import NOTE, WARNING, Hit, counted, rule
from voice_app.guard.snapshot import Part, Snapshot, called
from voice_app.twilio import IntelligenceConfiguration, Operator

MOST_LINKS: Final = 5
FRAGMENTS: Final = 5
"""Communications that one spoken reply may be written in."""
SOME_CUSTOMERS: Final = 5
"""Fewer customers than this prove nothing."""

_WHOM: Final = re.compile(
    r"\b(customers?|callers?|agents?|participants?|assistants?|speakers?|users?)\b", re.IGNORECASE
)


@rule(
    "MEM101",
    WARNING,
    "the memory store does not work",
    "Twilio says nothing about a store that is gone: calls are written down, nobody is recognised and "
    "nothing is remembered.",
    fix="Link another store: memoryStoreId.",
)
def store_dead(snapshot: Snapshot) -> Iterator[Hit]:
    """MEM101. Calls are written down all the same."""
    for configuration in snapshot.in_use:
        store_id = configuration.memory_store_id
        if store_id not in snapshot.stores:
            continue
        store = snapshot.stores[store_id]
        if store is not None and store.active:
            continue
        promised = configuration.memory_extraction_enabled
        coming = store is not None and store.status in ("QUEUED", "PROVISIONING")
        state = "does not exist" if store is None else f"is {store.status or 'without a status'}"
        yield Hit(
            where=store_id,
            message=f"The memory store {store_id} of {called(configuration)} {state}",
            evidence=["memoryExtractionEnabled is true"] if promised else [],
            fix="Wait until it is ACTIVE." if coming else "Link another store: memoryStoreId.",
        )


@rule(
    "MEM102",
    WARNING,
    "customers without a profile",
    "Every customer with a telephone number gets a profile, as long as the memory store works.",
    fix=(
        "Look for the errors 530003 and 530004 of conversation-orchestrator in the Console's "
        "Debugger, and check the memory store."
    ),
)
def profiles_missing(snapshot: Snapshot) -> Iterator[Hit]:
    for configuration in snapshot.in_use:
        customers = [
            person
            for item in snapshot.conversations or ()
            if item.configuration_id == configuration.id
            for person in item.participants
            if person.type == "CUSTOMER" and any(place.address.startswith("+") for place in person.addresses)
        ]
        unknown = [person for person in customers if not person.profile_id]
        if len(customers) >= SOME_CUSTOMERS and 2 * len(unknown) >= len(customers):
            yield Hit(
                where=configuration.memory_store_id or configuration.id,
                message=f"{len(unknown)} of {len(customers)} customers in the open conversations of "
                f"{called(configuration)} have no profile",
                evidence=[f"{person.id} of {person.conversation_id}" for person in unknown],
            )


@rule(
    "MEM103",
    WARNING,
    "no memories are extracted",
    "Extraction is off by default. While a conversation is active none happens in any case.",
    fix="Set memoryExtractionEnabled to true, unless that is intended.",
)
def extraction_off(snapshot: Snapshot) -> Iterator[Hit]:
    for configuration in snapshot.in_use:
        if snapshot.scope.uses_memory and not configuration.memory_extraction_enabled:
            yield Hit(
                where=configuration.id,
                message=f"{called(configuration)} does not extract memories: what is said on a call will not "
                "be known on the next",
            )


@rule(
    "MEM104",
    WARNING,
    "the memory store could not be read",
    "Whether people will be recognised is not known.",
    fix="Give the credentials access to memory stores, and check again.",
)
def store_unread(snapshot: Snapshot) -> Iterator[Hit]:
    yield from _unread(snapshot, Part.STORE)


@rule(
    "INT101",
    WARNING,
    "an intelligence configuration that does not exist",
    "Twilio takes the link in and runs nothing.",
    fix="Unlink it, or link another one: intelligenceConfigurationIds.",
)
def link_dead(snapshot: Snapshot) -> Iterator[Hit]:
    for configuration in snapshot.in_use:
        for link in configuration.intelligence_configuration_ids:
            if snapshot.intelligence.get(link, ...) is None:
                yield Hit(
                    where=link,
                    message=f"The intelligence configuration {link} of {called(configuration)} is not there",
                )


@rule(
    "INT102",
    WARNING,
    "an intelligence configuration without rules",
    "Only rules run operators.",
    fix="Add a rule to it, or unlink it.",
)
def link_empty(snapshot: Snapshot) -> Iterator[Hit]:
    for item in _linked(snapshot):
        if not any(run.operators for run in item.rules):
            yield Hit(
                where=item.id,
                message=f"The intelligence configuration {_name(item)} has no rule that runs an operator",
            )


@rule(
    "INT103",
    WARNING,
    "operators that run on every fragment of speech",
    "A spoken reply is written in three to five communications, and each run is billed by its length.",
    fix="Run the operators at CONVERSATION_END, or set the trigger's count to 5 or more.",
)
def every_fragment(snapshot: Snapshot) -> Iterator[Hit]:
    for item in _linked(snapshot):
        for run in item.rules:
            often = [trigger for trigger in run.triggers if trigger.on == "COMMUNICATION"]
            count = min((trigger.count for trigger in often), default=FRAGMENTS)
            if count < FRAGMENTS:
                each = "every fragment" if count == 1 else f"every {count} fragments"
                runs = -(-FRAGMENTS // count) * len(run.operators)
                yield Hit(
                    where=item.id,
                    message=f"A rule of {_name(item)} runs {counted(len(run.operators), 'operator')} on "
                    f"{each}: up to {runs} runs for one spoken reply",
                    fix=f"Run it at CONVERSATION_END, or set the trigger's count to {FRAGMENTS} or more.",
                )


@rule(
    "INT104",
    NOTE,
    "a prompt that does not say whose words to read",
    "Operators see both sides of a conversation, and no setting changes that.",
    fix="Name the participant in the prompt, e.g. the customer.",
)
def both_sides(snapshot: Snapshot) -> Iterator[Hit]:
    for operator in snapshot.operators.values():
        if operator.prompt and not _WHOM.search(operator.prompt):
            yield Hit(
                where=operator.id,
                message=f"The prompt of the operator {_called(operator)} does not say whose words to read",
            )


@rule(
    "INT105",
    WARNING,
    "an intelligence configuration could not be read",
    "Whether its operators run is not known.",
    fix="Give the credentials access to intelligence configurations, and check again.",
)
def link_unread(snapshot: Snapshot) -> Iterator[Hit]:
    yield from _unread(snapshot, Part.INTELLIGENCE, Part.OPERATOR)


@rule(
    "INT106",
    WARNING,
    "too many intelligence configurations",
    "Twilio takes five, and refuses every change of a configuration with more.",
    fix="Unlink what is not needed.",
)
def too_many_links(snapshot: Snapshot) -> Iterator[Hit]:
    for configuration in snapshot.in_use:
        links = configuration.intelligence_configuration_ids
        if len(links) > MOST_LINKS:
            yield Hit(
                where=configuration.id,
                message=f"{called(configuration)} is linked to {len(links)} intelligence configurations, of "
                f"{MOST_LINKS} that it can have",
                evidence=links,
            )


def _linked(snapshot: Snapshot) -> list[IntelligenceConfiguration]:
    return [item for item in snapshot.intelligence.values() if item is not None]


def _unread(snapshot: Snapshot, *parts: Part) -> Iterator[Hit]:
    for unread in snapshot.missed(*parts):
        yield Hit(
            where=unread.where,
            message=f"{str(unread.part).capitalize()} {unread.where} is unread: {unread.error.answer}",
            fix=unread.error.advice,
        )


def _name(item: IntelligenceConfiguration) -> str:
    return f"{item.id} ({item.display_name or 'no name'})"


def _called(operator: Operator) -> str:
    return f"{operator.id} ({operator.display_name or 'no name'})"
