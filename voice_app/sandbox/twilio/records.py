"""What belongs to a double's account: conversations, memory stores, operations, webhooks, calls."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import uuid4

import msgspec

Json = dict[str, Any]
"""A thing as the API shows it."""

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


def new_id(prefix: str) -> str:
    """A TTID: the prefix, a digit up to 7, and 25 of ``[0-9a-z]``."""
    return prefix + secrets.choice(_ALPHABET[:8]) + "".join(secrets.choice(_ALPHABET) for _ in range(25))


@dataclass(slots=True)
class PendingOperation:
    """A change behind a 202. ``effect`` is applied when it is done."""

    id: str
    related: dict[str, str]
    created_at: float
    effect: Callable[[], object]
    polls: int = 0
    completed_at: float | None = None
    error: dict[str, Any] | None = None

    @property
    def status(self) -> str:
        if self.completed_at is None:
            return "PENDING"
        return "COMPLETED" if self.error is None else "FAILED"


@dataclass(slots=True)
class StoredConversation:
    """A conversation with everything that belongs to it."""

    resource: Json
    participants: dict[str, Json] = field(default_factory=dict)
    communications: dict[str, Json] = field(default_factory=dict)
    actions: dict[str, Json] = field(default_factory=dict)
    touched_at: float = 0.0
    """When something was last said, in seconds since the epoch; both timers run from here."""

    @property
    def id(self) -> str:
        return str(self.resource["id"])

    @property
    def status(self) -> str:
        return str(self.resource["status"])

    @property
    def open(self) -> bool:
        return self.status != "CLOSED"


@dataclass(slots=True)
class StoredProfile:
    """A profile, and what is remembered under it."""

    id: str
    created_at: str
    traits: dict[str, dict[str, Any]] = field(default_factory=dict)
    observations: dict[str, Json] = field(default_factory=dict)
    summaries: dict[str, Json] = field(default_factory=dict)


@dataclass(slots=True)
class StoredMemory:
    """A memory store with everything that is in it."""

    resource: Json
    profiles: dict[str, StoredProfile] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    """The profile that took the place of another one, by the other's id."""
    identifiers: dict[str, tuple[str, str]] = field(
        default_factory=lambda: {"phone": ("Contact", "phone"), "email": ("Contact", "email")}
    )
    """The trait (group and name) that is promoted to each type of identifier."""
    queued: list[tuple[float, Callable[[], object]]] = field(default_factory=list)
    """What was taken in with a 202, and the time (seconds since the epoch) at which it can be read."""

    @property
    def id(self) -> str:
        return str(self.resource["id"])

    @property
    def active(self) -> bool:
        return bool(self.resource["status"] == "ACTIVE")


@dataclass(slots=True)
class OutgoingWebhook:
    """A webhook that the account sends."""

    url: str
    body: Json
    token: str = field(default_factory=lambda: str(uuid4()))
    """``I-Twilio-Idempotency-Token``: the same in every repetition."""


@dataclass(slots=True)
class CallCapture:
    """One speech-to-text engine that listens to a call and writes to a conversation."""

    conversation: StoredConversation
    engine: str
    stem: str
    """The TranscriptionSid that its communications are numbered under."""
    fragments: int = 0


@dataclass(slots=True)
class SandboxCall:
    """A call on the line, and who listens to it."""

    sid: str
    caller: str
    number: str
    direction: Literal["inbound", "outbound-api"] = "inbound"
    active: CallCapture | None = None
    """Because TwiML named a configuration or a conversation."""
    passive: list[CallCapture] = field(default_factory=list)
    """Because a capture rule matched. Beside an active one this is the second bill."""
    created_at: float = 0.0
    """Seconds since the epoch; 0 where nobody noted it."""

    @property
    def captures(self) -> list[CallCapture]:
        return [*([self.active] if self.active else []), *self.passive]


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """A call to somebody that the REST API places."""

    call_sid: str
    to: str
    from_: str
    url: str = ""
    twiml: str | None = None
    method: str = "POST"
    status_url: str = ""
    status_events: tuple[str, ...] = ("completed",)
    status_method: str = "POST"
    timeout: int = 60
    """Seconds that it rings."""


class Instruction(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a call that is on the line: another document, other TwiML, or its end. Or a new call."""

    call_sid: str
    url: str = ""
    twiml: str | None = None
    method: str = "POST"
    status: str | None = None
    """``completed`` or ``canceled`` ends the call."""
    placement: Placement | None = None


@dataclass(slots=True)
class Instructions:
    """All of them in order. A phone asks for those after the ones that it knows, and picks its own."""

    given: list[Instruction] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def give(self, instruction: Instruction) -> None:
        self.given.append(instruction)
        self._news.set()

    async def arrive(self, known: int) -> None:
        """Return when there are more than ``known`` instructions."""
        while len(self.given) <= known:
            self._news.clear()
            await self._news.wait()
