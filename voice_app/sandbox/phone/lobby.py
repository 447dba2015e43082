"""Who has dialled into a conference by a call of the REST API's, and waits there for the caller.

Two legs meet here: `Conference` is the caller's end and takes guests, `OutboundCall` brings them.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

from voice_app.sandbox.phone.people import Person


@dataclass(slots=True, eq=False, kw_only=True)
class Guest:
    """Somebody who comes into a conference beside the caller."""

    person: Person
    call_sid: str = ""
    """Of their leg; empty of somebody whose side is not simulated."""
    starts: bool = True
    """``startConferenceOnEnter``"""
    ends: bool = True
    """``endConferenceOnExit``"""
    met: asyncio.Event = field(default_factory=asyncio.Event)
    """The caller is in the same conference."""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Their leg has left."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """They are not with the caller any more."""
    hung_up: bool = False
    """It is over because they hung up, and not because the caller's leaving has ended the conference."""

    def part(self, *, hung_up: bool) -> None:
        """The two are no longer together."""
        self.hung_up = hung_up
        self.over.set()


class Lobby:
    """The conferences that a caller, and the people called for them, come into."""

    def __init__(self, *, reachable: bool) -> None:
        self.reachable = reachable
        """Whether there is a REST API through which somebody may be called."""
        self.expected = asyncio.Event()
        """Set once somebody was."""
        self.room = ""
        """The conference that the caller is in."""
        self._guests: defaultdict[str, asyncio.Queue[Guest]] = defaultdict(asyncio.Queue)

    def enter(self, room: str, guest: Guest) -> None:
        self._guests[room].put_nowait(guest)

    async def guest(self, room: str) -> Guest:
        """The next one in a conference who is still there."""
        while True:
            guest = await self._guests[room].get()
            if not guest.gone.is_set():
                return guest
