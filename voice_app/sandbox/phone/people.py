"""The people whom a caller may be put through to, and the room in which conferences wait for the caller."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

PersonKind = Literal["answers", "busy", "no-answer", "declines", "voicemail"]

VOICEMAIL_GREETING = "I cannot take your call right now. Please leave a message after the tone."


@dataclass(slots=True, eq=False)
class Person:
    """Somebody who can be dialled, or who takes calls out of a queue.

    ``answers`` picks up, hears the whisper, accepts it and talks. ``busy`` is on the phone; ``no-answer``
    lets it ring. ``declines`` picks up and hangs up on the whisper, or presses ``presses``; where there is no
    whisper, it does not pick up. ``voicemail`` is a box that answers, presses nothing and talks to
    the caller.
    """

    kind: PersonKind = "answers"
    says: Sequence[str] = ()
    """The first is said at once, each further one after something that the caller has said."""
    presses: str | None = None
    """The keys at the whisper's question; None: 1 of somebody who answers, none of anybody else."""
    heard: list[str] = field(default_factory=list)
    """Everything that was said to them: the whisper, then the caller."""
    documents: list[str] = field(default_factory=list)
    """The TwiML that ran on their leg."""

    @property
    def keys(self) -> str:
        """What they press when they are asked."""
        return self.presses if self.presses is not None else "1" if self.kind == "answers" else ""

    @property
    def lines(self) -> Sequence[str]:
        """What they say when they are put through."""
        return self.says or ((VOICEMAIL_GREETING,) if self.kind == "voicemail" else ())


@dataclass(slots=True)
class PersonQueue:
    """Who is reached, one after another. Behind the last of them nobody answers."""

    coming: list[Person]
    reached: int = 0

    def next(self) -> Person:
        self.reached += 1
        return self.coming[self.reached - 1] if self.reached <= len(self.coming) else Person("no-answer")


@dataclass(slots=True, eq=False, kw_only=True)
class ConferenceGuest:
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


class WaitingRoom:
    """The conferences that a caller, and the people called for them, come into."""

    def __init__(self, *, reachable: bool) -> None:
        self.reachable = reachable
        """Whether there is a REST API through which somebody may be dialled."""
        self.expected = asyncio.Event()
        """Set once somebody was."""
        self.room = ""
        """The conference that the caller is in."""
        self._guests: defaultdict[str, asyncio.Queue[ConferenceGuest]] = defaultdict(asyncio.Queue)

    def enter(self, room: str, guest: ConferenceGuest) -> None:
        self._guests[room].put_nowait(guest)

    async def guest(self, room: str) -> ConferenceGuest:
        """The next one in a conference who is still there."""
        while True:
            guest = await self._guests[room].get()
            if not guest.gone.is_set():
                return guest
