"""Many callers at once, each checking its own call, and what came of all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from itertools import count

from voice_app.sandbox.load.caller import Caller, Script
from voice_app.sandbox.phone.phone import Phone


class Crowd:
    """Calls a server's webhook as often as it is told. Every caller has a number of its own."""

    def __init__(self, phone: Phone, url: str, status_url: str = "") -> None:
        self.callers: list[Caller] = []
        """Everybody who has called, whether they still do or not."""
        self._phone = phone
        self._url = url
        self._status_url = status_url
        self._numbers = count(15550200000)
        self._running: set[asyncio.Task[None]] = set()
        self._finishing = False

    def call(self, script: Script, callers: int = 1) -> list[Caller]:
        """So many more call now."""
        new = [Caller(script, f"+{next(self._numbers)}") for _ in range(callers)]
        for caller in new:
            self.callers.append(caller)
            self._start(self._one(caller))
        return new

    def keep_calling(self, script: Script, callers: int) -> None:
        """So many at once from now on: who has said goodbye is followed by somebody new, until `finish`."""
        for _ in range(callers):
            self._start(self._one_after_another(script))

    async def finish(self) -> None:
        """Have everybody say goodbye after the next answer, and return when all calls are over."""
        self._finishing = True
        for caller in self.callers:
            caller.hurry.set()
        await asyncio.gather(*self._running)

    async def cancel(self) -> None:
        """Drop every call."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    # --- what came of it -------------------------------------------------------------------------

    @property
    def talking(self) -> list[Caller]:
        """Who has had an answer and is still on the line."""
        return [caller for caller in self.callers if caller.turns and not caller.over]

    @property
    def turns(self) -> int:
        """How many questions were answered."""
        return sum(caller.turns for caller in self.callers)

    @property
    def resumes(self) -> int:
        """How often a session broke and another one took the call up."""
        return sum(len(caller.sessions) - 1 for caller in self.callers if caller.sessions)

    @property
    def slowest(self) -> float:
        """The longest that any answer took to its last word, in seconds."""
        return max((caller.slowest for caller in self.callers), default=0.0)

    @property
    def forgotten(self) -> int:
        """What was said in the last second before a crash, and not known after it."""
        return sum(len(caller.forgotten) for caller in self.callers)

    @property
    def cut_short(self) -> int:
        """How many callers said goodbye, and heard none."""
        return sum(caller.cut_short for caller in self.callers)

    @property
    def lost(self) -> list[str]:
        """A line for each call that was lost, with what its caller complains about."""
        return [
            f"{caller.call_sid}: {'; '.join(caller.complaints)}"
            for caller in self.callers
            if caller.complaints
        ]

    def pauses(self) -> Iterator[float]:
        """Seconds from each break of a session to the beginning of the next one."""
        for caller in self.callers:
            for broke_at in caller.breaks:
                begun = [at - broke_at for at in caller.sessions if at >= broke_at]
                yield from begun[:1]

    # --- inside ----------------------------------------------------------------------------------

    async def _one(self, caller: Caller) -> None:
        await caller.run(self._phone, self._url, status_url=self._status_url)

    async def _one_after_another(self, script: Script) -> None:
        while not self._finishing:
            caller = Caller(script, f"+{next(self._numbers)}")
            self.callers.append(caller)
            await self._one(caller)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
