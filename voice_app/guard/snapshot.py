"""What a check is about (`Scope`), and one look at the account (`Snapshot`), over which the rules are
functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Final
from urllib.parse import urlsplit

from voice_app.findings import Severity
from voice_app.guard.matching import VOICE, OurCalls, captures
from voice_app.twilio import (
    ApiError,
    Configuration,
    Conversation,
    IntelligenceConfiguration,
    Operator,
    Trouble,
)
from voice_app.twilio.alerts import Alert
from voice_app.twilio.classic_api import IncomingNumber, VoiceApplication
from voice_app.twilio.identifiers import IdKind
from voice_app.twilio.memory import MemoryStore

SETTING: Final = "TWILIO_CONVERSATION_CONFIGURATION_ID"

_COMMENTS: Final = re.compile(r"\{#.*?#\}|<!--.*?-->", re.DOTALL)
_ID: Final = re.compile(rf"(?:{IdKind.CONFIGURATION.value}|{IdKind.CONVERSATION.value})[0-9A-Za-z_-]+")
_NAME: Final = re.compile(r"""\bconversationConfiguration\s*=\s*(["'])([^"'{}<>]*)\1""")


@dataclass(frozen=True, slots=True)
class Allowance:
    """A finding that somebody has looked at and wants to live with."""

    rule: str
    subject: str
    """What the finding is about: the id of a configuration, the name of a template …"""

    @classmethod
    def read(cls, text: str) -> Allowance:
        """Read ``STT102:conv_configuration_…``."""
        rule, _, subject = text.partition(":")
        return cls(rule.strip(), subject.strip())

    def __str__(self) -> str:
        return f"{self.rule}:{self.subject}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Everything that a check has to be told. What is not told is not checked."""

    configuration_id: str | None = None
    """The configuration that our TwiML names, by its id or its unique name; None if it names none."""
    in_templates: tuple[str, ...] = ()
    """Further configurations and conversations, whose ids or names stand in the templates themselves."""
    of_numbers: Mapping[str, str] = field(default_factory=dict)
    """The configuration of each of our numbers that has its own, by the number."""
    account_sid: str = ""
    origin: str = ""
    """Ours, e.g. ``https://voice.example.com``."""
    voice_path: str = "/voice"
    """Where we answer a call."""
    numbers: tuple[str, ...] = ()
    """The numbers that the settings call ours, beside those of the account that lead to us."""
    handoff_to: tuple[str, ...] = ()
    """Where callers are handed to: E.164, ``client:…`` or ``sip:…``."""
    for_people: Callable[[str], bool] = lambda number: False
    """Whether no engine of ours ever listens on a number, so that a capture rule may. Asked with "" about
    numbers that no setting names.
    """
    callback_paths: frozenset[str] = frozenset()
    """Where we take in what Orchestrator sends."""
    allowances: tuple[Allowance, ...] = ()
    uses_memory: bool = True
    """Whether calls are to be remembered."""
    strict: bool = True
    """Whether a doubt refuses."""
    region: str = ""
    """Where the account is asked; empty: where Twilio is by default."""

    @property
    def named(self) -> dict[str, str]:
        """What our TwiML names, as it is written, with the setting, number or template that names it."""
        found = {self.configuration_id: SETTING} if self.configuration_id else {}
        for number, value in self.of_numbers.items():
            found.setdefault(value, f"the number {number}")
        for value in self.in_templates:
            found.setdefault(value, "a template")
        return found


def named_in(sources: Iterable[str]) -> tuple[str, ...]:
    """The configurations and conversations that templates name literally, comments aside: ids, and the
    unique names of configurations.
    """
    texts = [_COMMENTS.sub("", source) for source in sources]
    ids = {found for text in texts for found in _ID.findall(text)}
    names = {found[1].strip() for text in texts for found in _NAME.findall(text)}
    return tuple(sorted(ids | set(filter(None, names))))


class Part(StrEnum):
    """What is read; the value says it in a sentence."""

    CONFIGURATION = "the configuration"
    CONVERSATION = "the conversation"
    CONFIGURATIONS = "the list of all configurations"
    NUMBERS = "the account's phone numbers"
    APPLICATION = "the TwiML application"
    STORE = "the memory store"
    INTELLIGENCE = "the intelligence configuration"
    OPERATOR = "the operator"
    CONVERSATIONS = "the open conversations"
    ALERTS = "the alerts of the last day"


@dataclass(frozen=True, slots=True)
class Unread:
    """Something that could not be read."""

    part: Part
    where: str
    """The id, or what else it is known by."""
    error: ApiError


@dataclass(frozen=True, slots=True)
class Outage:
    """What could not be read for one and the same cause."""

    where: str
    told: str
    """The cause, in words that stand after a colon."""
    unread: tuple[Unread, ...]


_CAUSES: Final = (
    ("the credentials", "Twilio does not accept the credentials", {Trouble.UNAUTHENTICATED}),
    ("Twilio's APIs", "Twilio's APIs cannot be reached", {Trouble.UNREACHABLE, Trouble.TIMEOUT}),
    ("Twilio's APIs", "Twilio's APIs fail", {Trouble.SERVER}),
    ("Twilio's APIs", "Twilio takes no more requests for now", {Trouble.RATE_LIMITED}),
)
"""What makes many requests fail at once: where the finding is, its words, and the kinds of failure."""
_BEARING: Final = frozenset({Part.CONFIGURATION, Part.CONFIGURATIONS, Part.CONVERSATION})
"""What has to be read to know that speech-to-text is billed once."""


@dataclass(frozen=True, slots=True)
class Named:
    """Something that our TwiML names."""

    id: str
    """Of the configuration; empty if that could not be found out."""
    by: str
    """The setting, or the conversation, that leads to it."""
    configuration: Configuration | None = None
    """None if it could not be read."""
    asked: str = ""
    """What stands there, where it is not the id: a unique name, or a conversation."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One look at the account. A part that is None was not read."""

    scope: Scope
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    named: tuple[Named, ...] = ()
    configurations: tuple[Configuration, ...] | None = None
    incoming: tuple[IncomingNumber, ...] | None = None
    applications: Mapping[str, VoiceApplication | None] = field(default_factory=dict)
    """The TwiML applications that numbers name, by SID; None for one that does not exist."""
    stores: Mapping[str, MemoryStore | None] = field(default_factory=dict)
    """By id; None for one that does not exist."""
    intelligence: Mapping[str, IntelligenceConfiguration | None] = field(default_factory=dict)
    """By id; None for one that does not exist."""
    operators: Mapping[str, Operator] = field(default_factory=dict)
    """Those that the intelligence configurations run and that are not Twilio's own, by id."""
    conversations: tuple[Conversation, ...] | None = None
    """Open ones, as many as were looked at."""
    conversations_cut: bool = False
    """Whether there are more."""
    alerts: tuple[Alert, ...] | None = None
    """What Twilio's Debugger has of the last day, the newest first."""
    alerted_calls: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The two ends of the calls that alerts are about, as far as those were read, by CallSid."""
    unread: tuple[Unread, ...] = ()

    @property
    def gaps(self) -> list[Unread]:
        """What could not be read of the account itself: alerts only tell what happened on it."""
        return [item for item in self.unread if item.part is not Part.ALERTS]

    @cached_property
    def in_use(self) -> list[Configuration]:
        """The configurations that our TwiML names, each once: read singly, else as the list has them. Where
        the two answers differ, the one with VOICE capture rules counts.
        """
        listed = {item.id: item for item in self.configurations or ()}
        found: dict[str, Configuration] = {}
        for named in self.named:
            read = named.configuration
            if read is not None and read.id != named.id and not captures(read, VOICE):
                read = None  # an answer about something else counts where it proves something, only
            row = listed.get(named.id)
            if row is not None and captures(row, VOICE) and not (read and captures(read, VOICE)):
                read = row
            configuration = read or row
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
        return [item for item in self.incoming or () if self.leads_here(item)]

    def leads_here(self, number: IncomingNumber) -> bool:
        """Whether calls to a number are answered by us, and not by something else on our host."""
        way = self.way(number)
        if way is None or not self.scope.origin or not same_origin(way.voice_url, self.scope.origin):
            return False
        path = urlsplit(way.voice_url.strip()).path
        return path.rstrip("/") == self.scope.voice_path or path.startswith(f"{self.scope.voice_path}/")

    def way(self, number: IncomingNumber) -> IncomingNumber | VoiceApplication | None:
        """What has the URLs that Twilio asks as a number is called: the application that it names, or the
        number itself. None for a SIP trunk, and for an application that is gone or unread.
        """
        if number.trunk_sid:
            return None
        if number.voice_application_sid:
            return self.applications.get(number.voice_application_sid)
        return number

    @cached_property
    def numbers(self) -> list[str]:
        """Our numbers: those of the settings, then those of the account that lead to us."""
        found = [*self.scope.numbers, *(item.phone_number for item in self.leading_here)]
        return list(dict.fromkeys(filter(None, found)))

    @cached_property
    def our_calls(self) -> OurCalls:
        """The calls of our numbers, those aside on which no engine of ours listens."""
        listening = [number for number in self.numbers if not self.scope.for_people(number)]
        return OurCalls(listening, known=bool(self.numbers))

    @cached_property
    def engineless(self) -> bool:
        """Whether no engine of ours listens to any call: then a capture rule is the only one that does."""
        scope = self.scope
        return not scope.in_templates and all(map(scope.for_people, ("", *self.numbers)))

    def weighed(self, configuration: Configuration, severity: Severity) -> Severity:
        """What is wrong with a configuration that our TwiML does not name is no more than a note to us."""
        return severity if any(configuration is item for item in self.in_use) else Severity.NOTE

    def missed(self, *parts: Part) -> list[Unread]:
        """What could not be read of these parts, `outages` aside."""
        explained = [item for outage in self.outages for item in outage.unread]
        return [item for item in self.unread if item.part in parts and item not in explained]

    @cached_property
    def outages(self) -> list[Outage]:
        """What could not be read for one cause: one cause, one finding.

        A cause that concerns no configuration which is not known otherwise is left to the rules of its parts.
        """
        known = {item.id for item in self.configurations or ()}
        found = []
        for where, told, troubles in _CAUSES:
            together = [item for item in self.unread if item.error.trouble in troubles]
            bears = any(item.part in _BEARING and item.where not in known for item in together)
            if bears and (len(together) > 1 or Trouble.UNAUTHENTICATED in troubles):
                found.append(Outage(where, told, tuple(together)))
        return found


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


def called(configuration: Configuration) -> str:
    """A configuration as people know it: id, name and version."""
    version = "version unknown" if configuration.version is None else f"version {configuration.version}"
    return f"{configuration.id} ({configuration.display_name or 'no name'}, {version})"
