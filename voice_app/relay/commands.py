"""What a session wants done by the connection around it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from voice_app.agents.protocol import Turn
from voice_app.journal.events import Event


class Pull(Enum):
    """Whether to ask the agent for its next piece."""

    ON = auto()
    WAIT = auto()
    """Ask again after `ContinueTurn`: the turn is a guess that has come to something that acts, or the agent
    is far ahead of the voice."""
    STOP = auto()


@dataclass(slots=True, frozen=True)
class StartTurn:
    """Ask the agent; give every piece back with this number."""

    number: int
    turn: Turn


@dataclass(slots=True, frozen=True)
class ContinueTurn:
    """The turn may go on: the guess was right, or the voice has caught up."""


@dataclass(slots=True, frozen=True)
class StopTurn:
    """Stop asking the agent."""


@dataclass(slots=True, frozen=True)
class SwitchAgent:
    """Ask this one of ``VOICE_APP_AGENTS`` from now on."""

    name: str


@dataclass(slots=True, frozen=True)
class Close:
    """Close the socket."""

    code: int
    reason: str


@dataclass(slots=True, frozen=True)
class Record:
    """Write to the journal."""

    event: Event


Command: TypeAlias = StartTurn | ContinueTurn | StopTurn | SwitchAgent | Close | Record
