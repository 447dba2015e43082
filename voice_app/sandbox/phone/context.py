"""The caller's end of a call with everything around it: what the verbs of its TwiML work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection

from voice_app.sandbox.phone.conditions import GOOD_LINE, LineConditions
from voice_app.sandbox.phone.endpoint import CallerEndpoint, PhoneEventKind
from voice_app.sandbox.phone.engines import ActiveEngines
from voice_app.sandbox.phone.frames import Reconnecting
from voice_app.sandbox.phone.leg import Leg
from voice_app.sandbox.phone.people import PersonQueue, WaitingRoom
from voice_app.sandbox.phone.relay import ReportedInput, SessionEnding


@dataclass(slots=True, frozen=True, kw_only=True)
class RoutedTask:
    """A task that ``<Enqueue workflowSid>`` made for TaskRouter."""

    workflow_sid: str
    attributes: dict[str, Any]
    priority: int
    timeout: int | None
    """Seconds; None where the workflow decides."""


@dataclass(slots=True, frozen=True, kw_only=True)
class CallerRecording:
    """What ``<Record>`` has recorded."""

    sid: str
    url: str
    text: str
    """What the caller said."""
    seconds: int


@dataclass(slots=True, frozen=True, kw_only=True)
class StudioFlow:
    """A Studio flow that has taken the call."""

    sid: str
    form: dict[str, str]
    """What it was asked with."""


@dataclass(slots=True, kw_only=True)
class CallContext:
    """What belongs to a caller on the line."""

    leg: Leg
    endpoint: CallerEndpoint
    engines: ActiveEngines
    people: PersonQueue
    waiting_room: WaitingRoom
    emit: Callable[[PhoneEventKind, str], None]
    verified: frozenset[str] = frozenset()
    """Numbers that the account may show as its own, beside the two of the call."""
    queue_ahead: int = 0
    """How many others are waiting in a queue that the caller comes into."""
    reconnecting: Reconnecting | None = None
    """How Twilio comes back to a session whose socket was lost; None: it does not."""
    conditions: LineConditions = GOOD_LINE
    reports: ReportedInput = "none"
    """What of the caller's is reported while the agent speaks, where the TwiML does not say so."""
    abandoned: list[ClientConnection] = field(default_factory=list)
    """Sockets that are lost, and of which the server does not know it."""
    endings: list[SessionEnding] = field(default_factory=list)
    tasks: list[RoutedTask] = field(default_factory=list)
    recordings: list[CallerRecording] = field(default_factory=list)
    flows: list[StudioFlow] = field(default_factory=list)

    def answer(self) -> None:
        """The call is answered, if it was not yet."""
        if self.leg.status == "ringing":
            self.leg.status = "in-progress"

    def problem(self, text: str) -> None:
        self.leg.shared.problem(text)
