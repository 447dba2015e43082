"""MEM1xx and INT1xx: what a configuration is linked to.

Source: reference ``orchestrator.md`` §6, §7 and §8.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from voice_app.findings import Severity
from voice_app.guard.reading import Part, Reading
from voice_app.guard.rule import Hit, called, counted
from voice_app.twilio import IntelligenceConfiguration, Operator

MOST_LINKS: Final = 5
FRAGMENTS: Final = 5
"""Communications that one spoken reply may be written in."""
SOME_CUSTOMERS: Final = 5
"""Fewer customers than this prove nothing."""

_WHOM: Final = re.compile(
    r"\b(customers?|callers?|agents?|participants?|assistants?|speakers?|users?)\b", re.IGNORECASE
)


def store_dead(reading: Reading) -> Iterator[Hit]:
    """MEM101: an error where memories are to be extracted and the store will not come, else a warning."""
    for configuration in reading.in_use:
        store_id = configuration.memory_store_id
        if store_id not in reading.stores:
            continue
        store = reading.stores[store_id]
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
            severity=Severity.ERROR if promised and not coming else Severity.WARNING,
        )


def profiles_missing(reading: Reading) -> Iterator[Hit]:
    """MEM102"""
    for configuration in reading.in_use:
        customers = [
            person
            for item in reading.conversations or ()
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
                fix="Look for the errors 530003 and 530004 of conversation-orchestrator in the Console's "
                "Debugger, and check the memory store.",
            )


def extraction_off(reading: Reading) -> Iterator[Hit]:
    """MEM103"""
    for configuration in reading.in_use:
        if reading.scope.uses_memory and not configuration.memory_extraction_enabled:
            yield Hit(
                where=configuration.id,
                message=f"{called(configuration)} does not extract memories: what is said on a call will not "
                "be known on the next",
                fix="Set memoryExtractionEnabled to true, unless that is intended.",
            )


def store_unread(reading: Reading) -> Iterator[Hit]:
    """MEM104"""
    yield from _unread(reading, Part.STORE)


def link_dead(reading: Reading) -> Iterator[Hit]:
    """INT101"""
    for configuration in reading.in_use:
        for link in configuration.intelligence_configuration_ids:
            if reading.intelligence.get(link, ...) is None:
                yield Hit(
                    where=link,
                    message=f"The intelligence configuration {link} of {called(configuration)} is not there",
                    fix="Unlink it, or link another one: intelligenceConfigurationIds.",
                )


def link_empty(reading: Reading) -> Iterator[Hit]:
    """INT102"""
    for item in _linked(reading):
        if not any(rule.operators for rule in item.rules):
            yield Hit(
                where=item.id,
                message=f"The intelligence configuration {_name(item)} has no rule that runs an operator",
                fix="Add a rule to it, or unlink it.",
            )


def every_fragment(reading: Reading) -> Iterator[Hit]:
    """INT103"""
    for item in _linked(reading):
        for rule in item.rules:
            often = [trigger for trigger in rule.triggers if trigger.on == "COMMUNICATION"]
            count = min((trigger.count for trigger in often), default=FRAGMENTS)
            if count < FRAGMENTS:
                each = "every fragment" if count == 1 else f"every {count} fragments"
                runs = -(-FRAGMENTS // count) * len(rule.operators)
                yield Hit(
                    where=item.id,
                    message=f"A rule of {_name(item)} runs {counted(len(rule.operators), 'operator')} on "
                    f"{each}: up to {runs} runs for one spoken reply",
                    fix=f"Run it at CONVERSATION_END, or set the trigger's count to {FRAGMENTS} or more.",
                )


def both_sides(reading: Reading) -> Iterator[Hit]:
    """INT104"""
    for operator in reading.operators.values():
        if operator.prompt and not _WHOM.search(operator.prompt):
            yield Hit(
                where=operator.id,
                message=f"The prompt of the operator {_called(operator)} does not say whose words to read",
                fix="Name the participant in the prompt, e.g. the customer.",
            )


def link_unread(reading: Reading) -> Iterator[Hit]:
    """INT105"""
    yield from _unread(reading, Part.INTELLIGENCE, Part.OPERATOR)


def too_many_links(reading: Reading) -> Iterator[Hit]:
    """INT106"""
    for configuration in reading.in_use:
        links = configuration.intelligence_configuration_ids
        if len(links) > MOST_LINKS:
            yield Hit(
                where=configuration.id,
                message=f"{called(configuration)} is linked to {len(links)} intelligence configurations, of "
                f"{MOST_LINKS} that it can have",
                evidence=links,
                fix="Unlink what is not needed.",
            )


def _linked(reading: Reading) -> list[IntelligenceConfiguration]:
    return [item for item in reading.intelligence.values() if item is not None]


def _unread(reading: Reading, *parts: Part) -> Iterator[Hit]:
    for unread in reading.missed(*parts):
        yield Hit(
            where=unread.where,
            message=f"{str(unread.part).capitalize()} {unread.where} is unread: {unread.error.answer}",
            fix=unread.error.advice,
        )


def _name(item: IntelligenceConfiguration) -> str:
    return f"{item.id} ({item.display_name or 'no name'})"


def _called(operator: Operator) -> str:
    return f"{operator.id} ({operator.display_name or 'no name'})"
