"""When the agent is done answering: what a server writes of a call in its journal, followed as it happens.

Frames do not tell: a filler, and what an agent says before slow work, end with ``last`` as an answer does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

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
        self._replies: set[tuple[str, int]] = set()
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
                self._before = self._replies.copy()
                self._said.clear()
            case Overheard():
                self._questions += 1
            case Replied():
                reply = event.session_id, event.reply
                self._replies.add(reply)
                self._said.append(event)
                self._answering &= not event.ends_turn
                if event.ends_turn and reply not in self._before:
                    self._last_words = event.text
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
                with suppress(msgspec.DecodeError):  # an event of another version of the server
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
        headers = {"Authorization": f"Bearer {token}"}
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
