"""What the caller of `voice-app call` says and presses, and how long they listen between two lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import aiohttp
import msgspec

from voice_app.journal.events import Event
from voice_app.sandbox.phone import PhoneCall
from voice_app.testing.agent_turns import AgentTurns

_DATA = b"data: "


class _FeedLine(msgspec.Struct):
    call_sid: str
    event: Event


async def _follow(response: aiohttp.ClientResponse, turns: AgentTurns) -> None:
    """Take what a feed tells until it breaks off."""
    with suppress(aiohttp.ClientError):
        async for line in response.content:
            if not line.startswith(_DATA):
                continue
            with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # of another version
                told = msgspec.json.decode(line.removeprefix(_DATA), type=_FeedLine)
                if told.call_sid == turns.call_sid:
                    turns.take(told.event)
    turns.tells_no_more()


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
            following = asyncio.create_task(_follow(response, turns))
            try:
                yield turns
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)


# --- the caller, and the script -------------------------------------------------------------------


class ScriptCaller:
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
        await call.heard_out(*await call.while_it_lasts(turns.over(self._questions)))
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

    async def play(self, caller: ScriptCaller) -> None:
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
