"""What was read of the account, as facts: the rules are functions over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from urllib.parse import urlsplit

from voice_app.guard.captures import VOICE, captures
from voice_app.guard.scope import Scope
from voice_app.twilio import (
    ApiError,
    Configuration,
    Conversation,
    IntelligenceConfiguration,
    Operator,
)
from voice_app.twilio.memory import Store
from voice_app.twilio.numbers import IncomingNumber


class Part(StrEnum):
    """What is read; the value says it in a sentence."""

    CONFIGURATION = "the configuration"
    CONVERSATION = "the conversation"
    CONFIGURATIONS = "the list of all configurations"
    NUMBERS = "the account's phone numbers"
    STORE = "the memory store"
    INTELLIGENCE = "the intelligence configuration"
    OPERATOR = "the operator"
    CONVERSATIONS = "the open conversations"


@dataclass(frozen=True, slots=True)
class Unread:
    """Something that could not be read."""

    part: Part
    where: str
    """The id, or what else it is known by."""
    error: ApiError


@dataclass(frozen=True, slots=True)
class Named:
    """Something that our TwiML names."""

    id: str
    """Of the configuration; empty if that could not be found out."""
    by: str
    """The setting, or the conversation, that leads to it."""
    configuration: Configuration | None = None
    """None if it could not be read."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One look at the account. A part that is None was not read."""

    scope: Scope
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    named: tuple[Named, ...] = ()
    configurations: tuple[Configuration, ...] | None = None
    incoming: tuple[IncomingNumber, ...] | None = None
    stores: Mapping[str, Store | None] = field(default_factory=dict)
    """By id; None for one that does not exist."""
    intelligence: Mapping[str, IntelligenceConfiguration | None] = field(default_factory=dict)
    """By id; None for one that does not exist."""
    operators: Mapping[str, Operator] = field(default_factory=dict)
    """Those that the intelligence configurations run and that are not Twilio's own, by id."""
    conversations: tuple[Conversation, ...] | None = None
    """Open ones, as many as were looked at."""
    conversations_cut: bool = False
    """Whether there are more."""
    unread: tuple[Unread, ...] = ()

    @cached_property
    def in_use(self) -> list[Configuration]:
        """The configurations that our TwiML names, each once: read singly, else as the list has them."""
        listed = {item.id: item for item in self.configurations or ()}
        found: dict[str, Configuration] = {}
        for named in self.named:
            read = named.configuration
            if read is not None and read.id != named.id and not captures(read, VOICE):
                read = None  # an answer about something else counts where it proves something, only
            configuration = read or listed.get(named.id)
            if configuration is not None:
                found.setdefault(named.id or configuration.id, configuration)
        return list(found.values())

    @cached_property
    def others(self) -> list[Configuration]:
        """All configurations that our TwiML does not name."""
        ours = {item.id for item in self.in_use} | {named.id for named in self.named}
        return [item for item in self.configurations or () if item.id not in ours]

    @cached_property
    def everything(self) -> list[Configuration]:
        """Every configuration that was read, those in use first."""
        return [*self.in_use, *self.others]

    @cached_property
    def leading_here(self) -> list[IncomingNumber]:
        """The account's numbers whose calls come to us."""
        return [item for item in self.incoming or () if leads_to(item, self.scope.origin)]

    @cached_property
    def numbers(self) -> list[str]:
        """Our numbers: those of the settings, then those of the account that lead to us."""
        found = [*self.scope.numbers, *(item.phone_number for item in self.leading_here)]
        return list(dict.fromkeys(filter(None, found)))

    def missed(self, *parts: Part) -> list[Unread]:
        """What could not be read of these parts."""
        return [item for item in self.unread if item.part in parts]


def leads_to(number: IncomingNumber, origin: str) -> bool:
    """Whether calls to a number are answered under an origin."""
    if number.trunk_sid or number.voice_application_sid or not origin:
        return False
    return same_origin(number.voice_url, origin)


def same_origin(url: str, origin: str) -> bool:
    """Whether a URL has this origin; the port of the scheme need not be written."""
    return _origin(url) == _origin(origin)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url.strip())
        port = parts.port or {"https": 443, "http": 80, "wss": 443}.get(parts.scheme)
    except ValueError:
        return "", None, None
    return parts.scheme, parts.hostname, port
