"""Writes down what is said on one call, in the order in which it was said, without holding the call up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import aiohttp

from voice_app.sandbox.twilio import RELAY_ENGINE, Side, Transcriber

KNOWN_SECONDS = 5.0
"""A double that takes longer than this is not waited for."""


class Scribe:
    """One call as a `Transcriber` is told of it; does nothing where there is none.

    A capture rule listens from the start of the call to its end; an engine that TwiML asked for, from
    `attach` to `detach`.
    """

    def __init__(
        self,
        transcriber: Transcriber | None,
        call_sid: str,
        caller: str,
        number: str,
        problem: Callable[[str], None],
    ) -> None:
        self.conversation_id: str | None = None
        """The conversation that the call is, or was last, written to."""
        self._transcriber = transcriber
        self._call_sid = call_sid
        self._caller = caller
        self._number = number
        self._problem = problem
        self._attached = False
        self._work: asyncio.Queue[Callable[[Transcriber], Coroutine[Any, Any, None]]] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """The call begins: it is known from then on, or after `KNOWN_SECONDS` at the latest."""
        if self._transcriber is not None:
            self._worker = asyncio.create_task(self._write(self._transcriber), name="scribe")
            self._begin(None, None, RELAY_ENGINE)
            with suppress(TimeoutError):
                async with asyncio.timeout(KNOWN_SECONDS):
                    await self.settle()

    def attach(self, configuration_id: str | None, conversation_id: str | None, engine: str) -> None:
        """An engine listens that writes to a conversation, if one of the ids is given."""
        self._attached = True
        self._begin(configuration_id, conversation_id, engine)

    def detach(self) -> None:
        """It no longer listens."""
        self._attached = False

    def spoken(self, side: Side, text: str) -> None:
        attached = self._attached

        async def write(transcriber: Transcriber) -> None:
            await transcriber.spoken(self._call_sid, side, text, passively=not attached)

        self._work.put_nowait(write)

    async def settle(self) -> None:
        """Return when everything is written."""
        if self._worker is not None:
            await self._work.join()

    async def finish(self) -> None:
        """The call is over, and everything is written."""
        self._work.put_nowait(lambda transcriber: transcriber.call_ended(self._call_sid))
        await self.settle()

    async def close(self) -> None:
        """Write no more."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait([self._worker])

    def _begin(self, configuration_id: str | None, conversation_id: str | None, engine: str) -> None:
        async def begin(transcriber: Transcriber) -> None:
            found = await transcriber.call_started(
                self._call_sid,
                caller=self._caller,
                number=self._number,
                configuration_id=configuration_id,
                conversation_id=conversation_id,
                engine=engine,
            )
            self.conversation_id = found or self.conversation_id

        self._work.put_nowait(begin)

    async def _write(self, transcriber: Transcriber) -> None:
        while True:
            work = await self._work.get()
            try:
                await work(transcriber)
            except (aiohttp.ClientError, TimeoutError) as error:
                self._problem(f"the conversation could not be written to: {error}")
            finally:
                self._work.task_done()
