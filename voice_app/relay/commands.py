"""What a session wants done by the connection around it."""

from __future__ import annotations

from enum import Enum, auto
from typing import TypeAlias

import msgspec

from voice_app.agents.protocol import Turn
from voice_app.journal.events import Event


class Pull(Enum):
    """Whether to ask the agent for its next piece."""

    ON = auto()
    WAIT = auto()
    """Ask again after `ContinueTurn`: the turn is a guess that has come to something that acts, or the agent
    is far ahead of the voice."""
    STOP = auto()


class StartTurn(msgspec.Struct, frozen=True):
    """Ask the agent; give every piece back with this number."""

    number: int
    turn: Turn


class ContinueTurn(msgspec.Struct, frozen=True):
    """The turn may go on: the guess was right, or the voice has caught up."""


class StopTurn(msgspec.Struct, frozen=True):
    """Stop asking the agent."""


class SwitchAgent(msgspec.Struct, frozen=True):
    """Ask this one of ``VOICE_APP_AGENTS`` from now on."""

    name: str


class Close(msgspec.Struct, frozen=True):
    """Close the socket."""

    code: int
    reason: str


class Record(msgspec.Struct, frozen=True):
    """Write to the journal."""

    event: Event


Command: TypeAlias = StartTurn | ContinueTurn | StopTurn | SwitchAgent | Close | Record
