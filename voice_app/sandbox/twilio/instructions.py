"""What the REST API wants done with calls, kept for the phones that have them."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True, frozen=True, kw_only=True)
class Placement:
    """A call to somebody that the REST API places."""

    call_sid: str
    to: str
    from_: str
    url: str = ""
    twiml: str | None = None
    method: str = "POST"
    status_url: str = ""
    status_events: tuple[str, ...] = ("completed",)
    status_method: str = "POST"
    timeout: int = 60
    """Seconds that it rings."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Instruction:
    """One change of a call that is on the line: another document, other TwiML, or its end. Or a new call."""

    call_sid: str
    url: str = ""
    twiml: str | None = None
    method: str = "POST"
    status: str | None = None
    """``completed`` or ``canceled`` ends the call."""
    placement: Placement | None = None


@dataclass(slots=True)
class Instructions:
    """All of them in order. A phone asks for those after the ones that it knows, and picks its own."""

    given: list[Instruction] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def give(self, instruction: Instruction) -> None:
        self.given.append(instruction)
        self._news.set()

    def after(self, known: int) -> list[dict[str, Any]]:
        return [asdict(instruction) for instruction in self.given[known:]]

    async def arrive(self, known: int) -> None:
        """Return when there are more than so many."""
        while len(self.given) <= known:
            self._news.clear()
            await self._news.wait()
