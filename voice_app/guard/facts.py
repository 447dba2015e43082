"""What a check rests on, told in a few lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voice_app.guard.captures import VOICE, captures
from voice_app.guard.reading import Part, Reading
from voice_app.guard.rule import called, counted
from voice_app.twilio import Configuration

MOST_NUMBERS = 5

Fact = tuple[str, str]
"""What it is about, and what is the case."""


def facts(reading: Reading) -> list[Fact]:
    """Everything that was read, in the order in which people ask for it."""
    return [
        *_configurations(reading),
        *_stores(reading),
        *_intelligence(reading),
        *_account(reading),
    ]


def _configurations(reading: Reading) -> Iterator[Fact]:
    if not reading.named:
        yield "configuration", "none is named: calls are written to no conversation"
    for named in reading.named:
        if named.configuration is None:
            yield "configuration", f"{named.id or named.by}: not read"
    for configuration in reading.in_use:
        changed = f", changed {configuration.updated_at}" if configuration.updated_at else ""
        yield "configuration", f"{called(configuration)}{changed}"
        yield "grouping", configuration.grouping or "unknown"
        yield "voice", _voice(configuration)
        for item in configuration.status_callbacks:
            yield "callback", f"{item.get('method') or 'POST'} {item.get('url', '')}"


def _voice(configuration: Configuration) -> str:
    rules = captures(configuration, VOICE)
    told = counted(len(rules), "capture rule") if rules else "no capture rules"
    timeouts: Any = configuration.channel(VOICE).get("statusTimeouts")
    if not isinstance(timeouts, dict) or not timeouts:
        return f"{told}, no timeouts"
    return f"{told}, " + ", ".join(f"{name} after {minutes} min" for name, minutes in timeouts.items())


def _stores(reading: Reading) -> Iterator[Fact]:
    for store_id, store in reading.stores.items():
        state = "not there" if store is None else f"{store.display_name or 'no name'}, {store.status}"
        yield "memory store", f"{store_id} ({state})"
    for configuration in reading.in_use:
        extracted = "extracted" if configuration.memory_extraction_enabled else "not extracted"
        yield "memories", f"{extracted} when a conversation ends"


def _intelligence(reading: Reading) -> Iterator[Fact]:
    for link, item in reading.intelligence.items():
        state = "not there" if item is None else f"{item.display_name or 'no name'}, {_ran(len(item.rules))}"
        yield "intelligence", f"{link} ({state})"


def _account(reading: Reading) -> Iterator[Fact]:
    numbers = reading.numbers
    shown = ", ".join(numbers[:MOST_NUMBERS])
    more = f" and {len(numbers) - MOST_NUMBERS} more" if len(numbers) > MOST_NUMBERS else ""
    if reading.incoming is not None:
        more += f"; of the account's {len(reading.incoming)}, {len(reading.leading_here)} lead here"
    elif reading.missed(Part.NUMBERS):
        more += "; those of the account were not read"
    yield "our numbers", (shown or "none known") + more
    if reading.scope.handoff_to:
        yield "handoff to", ", ".join(reading.scope.handoff_to)
    if reading.configurations is not None:
        capturing = sum(bool(captures(item, VOICE)) for item in reading.configurations)
        yield (
            "account",
            f"{counted(len(reading.configurations), 'configuration')}, {capturing or 'none'} with VOICE "
            "capture rules",
        )
    elif reading.missed(Part.CONFIGURATIONS):
        yield "account", "its configurations were not read"
    if reading.conversations is not None:
        least = "at least " if reading.conversations_cut else ""
        yield "open now", f"{least}{len(reading.conversations)} conversations"
    for allowance in reading.scope.allowances:
        yield "allowed", str(allowance)


def _ran(rules: int) -> str:
    return counted(rules, "rule") if rules else "no rules"
