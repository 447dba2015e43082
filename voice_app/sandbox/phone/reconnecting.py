"""How Twilio comes back to a session whose socket was lost (``applicationReconnect``).

Source: reference ``conversationrelay.md`` §1.2. That up to 500 events are kept and replayed is documented;
how often and for how long it tries, and what the setup looks like then, is not. So every answer is possible.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

Setup: TypeAlias = Literal["same", "new", "none"]
MOST_EVENTS: Final = 500


@dataclass(slots=True, frozen=True, kw_only=True)
class Reconnecting:
    """What Twilio does where the TwiML asks for it. Seconds are on our clock."""

    setup: Setup = "same"
    """What comes first: the setup again, with the same ``sessionId`` or a new one, or no setup at all."""
    every_seconds: float = 0.2
    """So long it waits before each attempt."""
    give_up_seconds: float = 15.0
    """After so long it asks the action URL instead."""


class Backlog:
    """What could not be delivered while there was no socket."""

    def __init__(self) -> None:
        self._events: deque[Mapping[str, Any]] = deque(maxlen=MOST_EVENTS)
        self.lost = 0
        """How many were too many: the oldest ones."""

    def __bool__(self) -> bool:
        return bool(self._events)

    def add(self, event: Mapping[str, Any]) -> None:
        self.lost += len(self._events) == MOST_EVENTS
        self._events.append(event)

    @property
    def first(self) -> Mapping[str, Any]:
        """The oldest one."""
        return self._events[0]

    def drop_first(self) -> None:
        """It was delivered."""
        self._events.popleft()
