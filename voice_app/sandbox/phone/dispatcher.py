"""Follows what the REST API wants done with the calls of a phone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

import aiohttp
import msgspec

from voice_app.sandbox.twilio import DOOR, Placement

RETRY_SECONDS = 1.0


class Dispatched(Protocol):
    """A call that can be told what to do."""

    async def redirect(self, url: str = "", *, twiml: str | None = None, method: str = "POST") -> None: ...

    async def complete(self) -> None: ...


class _Instruction(msgspec.Struct):
    call_sid: str
    url: str = ""
    twiml: str | None = None
    method: str = "POST"
    status: str | None = None
    placement: Placement | None = None


class _Told(msgspec.Struct):
    next: int
    instructions: list[_Instruction]


class Dispatcher:
    """Waits at the door of a double, and passes on what is meant for one of ``calls`` (by CallSid).

    ``place`` is offered every call that the REST API places.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        twilio_base_url: str,
        calls: Mapping[str, Dispatched],
        place: Callable[[Placement], None],
    ) -> None:
        self._http = http
        self._url = f"{twilio_base_url.rstrip('/')}{DOOR}/instructions"
        self._calls = calls
        self._place = place

    async def run(self) -> None:
        """Follow until cancelled. A double that is gone is asked again."""
        known = 0
        while True:
            try:
                told = await self._ask(known)
            except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError):
                await asyncio.sleep(RETRY_SECONDS)
                continue
            known = told.next
            for instruction in told.instructions:
                await self._follow(instruction)

    async def _ask(self, known: int) -> _Told:
        async with self._http.get(self._url, params={"after": str(known)}) as response:
            response.raise_for_status()
            return msgspec.json.decode(await response.read(), type=_Told)

    async def _follow(self, instruction: _Instruction) -> None:
        if instruction.placement is not None:
            self._place(instruction.placement)
            return
        call = self._calls.get(instruction.call_sid)
        if call is None:
            return
        if instruction.status is not None:
            await call.complete()
        else:
            await call.redirect(instruction.url, twiml=instruction.twiml, method=instruction.method)
