"""What the caller of `voice-app call` says and presses, and how long they listen between two lines.

When the agent is done answering tells what a server writes of a call in its journal, followed as it happens.
Frames do not: a filler, and what an agent says before slow work, end with ``last`` as an answer does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import aiohttp
import msgspec

from voice_app.journal.events import (
    Acted,
    Closed,
    Disconnected,
    Event,
    Failed,
    Overheard,
    Pressed,
    Prompted,
    Replied,
    SessionEnded,
)
from voice_app.sandbox.phone import PhoneCall

_DATA = b"data: "


class _FeedLine(msgspec.Struct):
    call_sid: str
    event: Event


class AgentTurns:
    """The turns of one call's agent, as far as the server tells of them."""

    def __init__(self) -> None:
        self.call_sid = ""
        """The call that is followed; its events count from when this is set."""
        self.told = False
        """Whether the server tells anything: its feed may be closed."""
        self.failures: list[str] = []
        """Why the agent could not answer, one for each turn."""
        self.leaving = ""
        """``transfer`` or ``end-call`` once the agent has done that."""
        self._questions = 0
        self._answering = False
        self._last_words = ""
        self._texts: dict[tuple[str, int], str] = {}
        """What is known of each reply."""
        self._before: set[tuple[str, int]] = set()
        """The replies of earlier turns."""
        self._said: list[Replied] = []
        """What was told of the words of this turn."""
        self._changed = asyncio.Event()

    async def over(self, questions: int) -> str:
        """Return when the agent has done with so many questions of the call, or the server tells no more.

        Returns the last words that it sent; empty if it only did something.
        """
        while self.told and (self._answering or self._questions < questions):
            self._changed.clear()
            await self._changed.wait()
        return self._last_words

    async def counts(self, words: str) -> bool:
        """Whether these words, as they begin, are of an answer; the server's filler is none."""
        while self.told:
            for reply in reversed(self._said):
                if _same(reply.text, words):
                    return not reply.done or reply.more or reply.ends_turn
            self._changed.clear()
            await self._changed.wait()
        return True

    def take(self, event: Event) -> None:
        """What happened next."""
        match event:
            case Prompted() | Pressed():
                self._questions += 1
                self._answering, self._last_words, self.leaving = True, "", ""
                self._before = set(self._texts)
                self._said.clear()
            case Overheard():
                self._questions += 1
            case Replied():
                reply = event.session_id, event.reply
                text = event.after(self._texts.get(reply, ""))
                self._texts[reply] = text
                self._said.append(msgspec.structs.replace(event, text=text, begin=0))
                self._answering &= not event.ends_turn
                if event.ends_turn and reply not in self._before:
                    self._last_words = text
            case Failed(what="agent"):
                self.failures.append(event.detail)
                self._answering = False
            case Acted(action="transfer" | "end-call"):
                self.leaving, self._answering = event.action, False
            case Disconnected() | SessionEnded() | Closed():
                self._answering = False
            case _:
                return
        self._changed.set()

    async def follow(self, response: aiohttp.ClientResponse) -> None:
        """Take what a feed tells until it breaks off."""
        with suppress(aiohttp.ClientError):
            async for line in response.content:
                if not line.startswith(_DATA):
                    continue
                with suppress(msgspec.DecodeError, RecursionError):  # of another version
                    told = msgspec.json.decode(line.removeprefix(_DATA), type=_FeedLine)
                    if told.call_sid == self.call_sid:
                        self.take(told.event)
        self.told = False
        self._changed.set()


def _same(text: str, other: str) -> bool:
    """Whether one of them is how the other begins."""
    text, other = " ".join(text.split()), " ".join(other.split())
    return text.startswith(other) or other.startswith(text)


@asynccontextmanager
async def following(base_url: str, token: str) -> AsyncIterator[AgentTurns]:
    """Follow a server while the block runs. Where its feed is closed, nothing is told."""
    turns = AgentTurns()
    timeout = aiohttp.ClientTimeout(total=None, connect=5)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as http:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with http.get(f"{base_url}/api/feed", headers=headers) as response:
            if response.status != 200 or response.content_type != "text/event-stream":
                yield turns
                return
            turns.told = True
            following = asyncio.create_task(turns.follow(response))
            try:
                yield turns
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)


# --- the caller, and the script -------------------------------------------------------------------


class Caller:
    """The one who phones: says a line, and listens until whoever was spoken to has answered it."""

    def __init__(self, call: PhoneCall, turns: AgentTurns) -> None:
        self.call = call
        self._turns = turns
        self._questions = 0
        self._listener = ""

    async def greeted(self) -> None:
        """Listen to what is said first, if anything is. All methods raise `CallOverError`."""
        await self.call.greeted()

    async def say(self, line: str) -> None:
        """Say something to whoever listens; cuts in if the agent is speaking."""
        await self._turn_to()
        await self.call.say(line)

    async def cut_in(self, line: str, *, after_words: int) -> None:
        """Let the agent say so many words of its answer, and interrupt it."""
        await self._turn_to()
        counts = self._turns.counts if self._turns.told else None
        await self.call.interrupt(line, after_words=after_words, counts=counts)

    async def press(self, keys: str) -> None:
        """Press keys, one after another."""
        await self._turn_to()
        await self.call.press(keys)

    async def listen(self) -> None:
        """Hear the answer to the end; if the agent leaves with it, wait until it has, and who comes then."""
        call, turns = self.call, self._turns
        if self._listener != "agent" or not turns.told:
            await call.reply()
            if self._listener == "agent" and await call.handed_over():
                await self._meet()
            return
        await call.heard_out(await call.while_it_lasts(turns.over(self._questions)))
        if turns.leaving == "end-call":
            await call.ended()
        elif turns.leaving == "transfer":
            await call.left()
            await self._meet()

    async def finish_message(self) -> None:
        """Say nothing more to a recorder, so that the message ends."""
        if self._listener == "recorder":
            await self.call.stay_silent()

    async def lose_connection(self) -> None:
        """The agent's socket breaks; unless Twilio comes back to it, somebody says something about that."""
        await self.call.attended()
        self.call.catch_up()
        if not await self.call.drop():
            await self.call.reply()

    async def _turn_to(self) -> None:
        """Look who listens."""
        self._listener = await self.call.attended()
        if self._listener == "agent":
            self._questions += 1
        self.call.catch_up()

    async def _meet(self) -> None:
        """Wait for whoever comes, and for what they say first; a recorder says nothing."""
        listener = await self.call.attended()
        self.call.catch_up()
        if listener != "recorder":
            await self.call.reply()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallScript:
    """What is done on the call, in this order."""

    lines: list[str]
    interrupt_after: int | None = None
    """Words of the reply before it that the last line waits for."""
    keys: str = ""
    drop: bool = False
    """The connection breaks before the last line."""
    hang_up: bool = False
    """Without waiting for the last answer."""

    def __bool__(self) -> bool:
        return bool(self.lines or self.keys or self.drop or self.hang_up)

    async def play(self, caller: Caller) -> None:
        """Raises `CallOverError`."""
        await caller.greeted()
        for number, line in enumerate(self.lines, 1):
            last = number == len(self.lines)
            if last and self.drop:
                await caller.lose_connection()
            if last and self.interrupt_after is not None:
                await caller.cut_in(line, after_words=self.interrupt_after)
            else:
                await caller.say(line)
            if last and not self.keys:
                await caller.finish_message()
            cut_in_next = self.interrupt_after is not None and number == len(self.lines) - 1
            if not cut_in_next and not (last and self.hang_up and not self.keys):
                await caller.listen()
        if self.keys:
            await caller.press(self.keys)
            if not self.hang_up:
                await caller.listen()
