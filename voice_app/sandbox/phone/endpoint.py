"""The caller's end of the line: what is heard there, and who listens to what is said into it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from voice_app.sandbox.phone.leg import BridgedPerson, LegListener, first_of
from voice_app.sandbox.phone.relay import HeardReply, RelaySession
from voice_app.sandbox.twilio import Side

PhoneEventKind = Literal[
    "session",
    "sent",
    "received",
    "word",
    "agent",
    "voice",
    "sound",
    "caller",
    "interrupt",
    "stale",
    "key",
    "dropped",
    "came-back",
    "broken",
    "transcribing",
    "rings",
    "unreached",
    "whisper",
    "bridged",
    "person",
    "person-key",
    "left",
    "queued",
    "studio",
    "recorded",
    "redirected",
    "hung-up",
    "ended",
    "problem",
]


@dataclass(slots=True, frozen=True)
class PhoneEvent:
    """Something that happened on the call, for those who watch it."""

    kind: PhoneEventKind
    text: str = ""
    reply: HeardReply | None = None
    at: float = field(default_factory=lambda: time.monotonic())


T = TypeVar("T")


class AsyncCell(Generic[T]):
    """Holds one thing, or nothing."""

    def __init__(self) -> None:
        self.value: T | None = None
        self._filled = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def put(self, value: T | None) -> None:
        """Put something in, or take out what is in it."""
        self.value = value
        true, false = (self._empty, self._filled) if value is None else (self._filled, self._empty)
        true.set()
        false.clear()

    async def get(self) -> T:
        """What is in it, as soon as something is."""
        while self.value is None:
            await self._filled.wait()
        return self.value

    async def emptied(self) -> None:
        """Return when nothing is in it."""
        await self._empty.wait()


PATIENCE_SECONDS = 60.0
"""How long the caller waits for something to happen, on our clock."""


class CallOverError(Exception):
    """The call ended, or nothing happened for a long time, while something was expected from it."""


class CallerEndpoint:
    """Held by the caller; Twilio speaks into it.

    ``watch`` is called with each event, ``spoken`` with the words that go over the line.
    """

    def __init__(self, watch: Callable[[PhoneEvent], None], spoken: Callable[[Side, str], None]) -> None:
        self.replies: list[HeardReply] = []
        """Everything that the caller heard."""
        self.session: AsyncCell[RelaySession] = AsyncCell()
        self.bridge: AsyncCell[BridgedPerson] = AsyncCell()
        self.listener: AsyncCell[LegListener] = AsyncCell()
        """What is spoken to: the agent, a person, a ``<Gather>`` or a ``<Record>``."""
        self.over = asyncio.Event()
        self._watch = watch
        self._spoken = spoken
        self._heard: asyncio.Queue[HeardReply | None] = asyncio.Queue()
        self._silent = asyncio.Event()

    # --- Twilio ----------------------------------------------------------------------------------

    def hear(self, text: str) -> None:
        self._spoken("agent", text)
        self._take(HeardReply(text), PhoneEvent("voice", text))

    def hear_agent(self, reply: HeardReply) -> None:
        """The agent has said something, or was cut off."""
        self._take(reply, PhoneEvent("interrupt" if reply.interrupted else "agent", reply.text, reply))

    def hear_person(self, text: str) -> None:
        """A person has said something."""
        self._spoken("agent", text)
        self._take(HeardReply(text), PhoneEvent("person", text))

    def hear_sound(self, what: str) -> None:
        self._watch(PhoneEvent("sound", what))

    def attend(self, listener: LegListener | None) -> None:
        self._silent.clear()
        self.listener.put(listener)

    async def prompted(self, listener: LegListener) -> None:
        """The caller acts by hand."""

    async def silence(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._silent.wait()

    def connect(self, session: RelaySession | None) -> None:
        """The agent's session begins or ends."""
        self.session.put(session)
        self.attend(session)

    def put_through(self, bridge: BridgedPerson | None) -> None:
        """A person is on the line, or no longer is."""
        self.bridge.put(bridge)
        self.attend(bridge)

    def disconnect(self) -> None:
        """Nobody is on the line."""
        self.session.put(None)
        self.bridge.put(None)
        self.attend(None)

    def close(self) -> None:
        """The call is over."""
        self.over.set()
        self._heard.put_nowait(None)

    # --- the caller ------------------------------------------------------------------------------

    async def reply(self) -> HeardReply:
        """The next thing that is heard. Raises `CallOverError`."""
        reply = await self._patiently(self._heard.get())
        if reply is None:
            self._heard.put_nowait(None)
            raise CallOverError("the call is over")
        return reply

    def catch_up(self) -> list[HeardReply]:
        """What was heard and not taken by `reply`."""
        found: list[HeardReply] = []
        while not self._heard.empty() and (reply := self._heard.get_nowait()) is not None:
            found.append(reply)
        if self.over.is_set():
            self._heard.put_nowait(None)
        return found

    async def unless_over(self, waiting: Coroutine[Any, Any, T]) -> T:
        """Wait for something as long as there is a call. Raises `CallOverError`."""
        found: list[T] = []

        async def find() -> None:
            found.append(await waiting)

        await self._patiently(first_of(find(), self.over.wait()))
        if not found:
            raise CallOverError("the call is over")
        return found[0]

    async def closed(self) -> None:
        """Return when the call is over. Raises `CallOverError` where that takes too long."""
        await self._patiently(self.over.wait())

    async def fall_silent(self) -> None:
        """The ``<Gather>`` or ``<Record>`` that listens times out. Raises `CallOverError`."""
        self._silent.set()
        await self.unless_over(self.listener.emptied())

    async def _patiently(self, waiting: Coroutine[Any, Any, T]) -> T:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await waiting
        except TimeoutError:
            raise CallOverError(f"nothing came of it within {PATIENCE_SECONDS:g} s") from None

    def _take(self, reply: HeardReply, event: PhoneEvent) -> None:
        self.replies.append(reply)
        self._heard.put_nowait(reply)
        self._watch(event)
