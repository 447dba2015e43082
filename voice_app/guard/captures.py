"""The capture rules of a configuration, wherever they stand and whatever they look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from voice_app.twilio import Configuration
from voice_app.twilio.models import CaptureRule, capture_rule

VOICE: Final = "VOICE"


@dataclass(frozen=True, slots=True)
class Capture:
    """One capture rule in its place."""

    configuration: Configuration
    channel: str
    """In upper case."""
    number: int
    """Counted from 1 in its channel."""
    item: Any
    """As it was read."""
    rule: CaptureRule | None
    """None if it has no ``from`` and ``to``."""

    def __str__(self) -> str:
        told = str(self.rule) if self.rule is not None else msgspec.json.encode(self.item).decode()
        return f"{self.channel} capture rule {self.number}: {told}"


def captures(configuration: Configuration, channel: str | None = None) -> list[Capture]:
    """The rules of one channel, or of all."""
    return [
        Capture(configuration, name.upper(), number, item, capture_rule(item))
        for name, settings in configuration.channel_settings.items()
        if channel in (None, name.upper()) and isinstance(settings, dict)
        for number, item in enumerate(_rules(settings), 1)
    ]


def oddities(configuration: Configuration) -> list[str]:
    """What stands where VOICE capture rules can stand, and has a type that no documentation knows."""
    settings = configuration.raw.get("channelSettings")
    if settings is None:
        return []
    if not isinstance(settings, dict):
        return [_odd("channelSettings", settings)]
    found = []
    for name, channel in settings.items():
        if name.upper() != VOICE or channel is None:
            continue
        place = f"channelSettings.{name}"
        if not isinstance(channel, dict):
            found.append(_odd(place, channel))
        elif not isinstance(channel.get("captureRules"), list | None):
            found.append(_odd(f"{place}.captureRules", channel["captureRules"]))
    return found


def without_voice(configuration: Configuration) -> dict[str, Any]:
    """The change that removes the VOICE capture rules and nothing else."""
    channels = {
        name: {**settings, "captureRules": []}
        for name, settings in configuration.channel_settings.items()
        if name.upper() == VOICE and isinstance(settings, dict) and _rules(settings)
    }
    return {"channelSettings": channels}


def _rules(settings: dict[str, Any]) -> list[Any]:
    rules = settings.get("captureRules")
    return rules if isinstance(rules, list) else []


def _odd(place: str, value: Any) -> str:
    return f"{place} is {_kind(value)}, which Twilio does not document"


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return f"an object with the fields {', '.join(value)}" if value else "an empty object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return f"the text {value!r}" if isinstance(value, str) else f"the number {value!r}"
