"""Which calls this process has, and what it waits for on each.

A call is with the agent while its socket is open (``Desk.sessions``). Between two sockets, and while people
have the caller, nothing but the next request of Twilio's shows that a call is still there: until it comes, or
is overdue, the call counts. Behind a balancer that request may go to another machine, and is overdue here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from enum import Enum


class Wait(Enum):
    """What is to come next on a call. The value is how many seconds that may take."""

    SOCKET = 5.0
    """The agent's socket: Twilio opens it as soon as it has the document."""
    ACTION = 4.0
    """Twilio's question what follows the session; it comes after about a second."""
    CHOICE = 30.0
    """What a caller does about a message that all lines are busy."""
    PEOPLE = 14_400.0
    """Whatever people do who have the caller, at most as long as a call may last."""
    STATUS = 3.0
    """That the call is over: Twilio tells the status callback, if there is one, about a second later."""


class Roster:
    """The calls of this process. ``sessions`` are those whose socket is open, by CallSid."""

    def __init__(self, sessions: Mapping[str, object], clock: Callable[[], float] = time.monotonic) -> None:
        self._sessions = sessions
        self._clock = clock
        self._waiting: dict[str, tuple[Wait, float]] = {}

    def expect(self, call_sid: str, what: Wait) -> None:
        """Something else is to come on this call now."""
        self._waiting[call_sid] = what, self._clock() + what.value

    def connected(self, call_sid: str) -> None:
        """The call's socket is open."""
        self._waiting.pop(call_sid, None)

    def disconnected(self, call_sid: str) -> None:
        """The call's socket is gone; Twilio may have asked already what follows."""
        if call_sid not in self._waiting:
            self.expect(call_sid, Wait.ACTION)

    def over(self, call_sid: str) -> None:
        """The call is over."""
        self._waiting.pop(call_sid, None)

    @property
    def coming(self) -> int:
        """How many calls the agent will have in a moment."""
        return self._count(Wait.SOCKET)

    @property
    def with_agent(self) -> int:
        """How many calls the agent has, or will have in a moment."""
        return len(self._sessions) + self.coming

    @property
    def open(self) -> int:
        """How many calls need this process now: they have a socket, or one was closed or opens just now."""
        return len(self._sessions) + self._count(Wait.SOCKET, Wait.ACTION)

    @property
    def parked(self) -> int:
        """How many calls are with people, with a message, or over, until any server answers what follows."""
        return self._count(Wait.PEOPLE, Wait.CHOICE, Wait.STATUS)

    def _count(self, *kinds: Wait) -> int:
        now = self._clock()
        for call_sid in [sid for sid, (_, until) in self._waiting.items() if until <= now]:
            del self._waiting[call_sid]
        return sum(what in kinds and sid not in self._sessions for sid, (what, _) in self._waiting.items())
