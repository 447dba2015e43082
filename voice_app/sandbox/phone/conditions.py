"""What a line is like: how late what goes over it comes, and how fast the agent's voice speaks."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

T = TypeVar("T")


@dataclass(slots=True, frozen=True, kw_only=True)
class LineConditions:
    """A line as good as loopback, unless something else is said. The same seed gives the same line."""

    delay_seconds: float = 0.0
    """One way, between Twilio and the server."""
    jitter_seconds: float = 0.0
    """At most so much more, by chance, for each frame."""
    seed: int = 0
    seconds_to_speak: Callable[[str], float] | None = None
    """How long the agent's voice takes for a text; `None`: so many words a second in every language."""

    @property
    def round_trip_seconds(self) -> float:
        """The longest one."""
        return 2 * (self.delay_seconds + self.jitter_seconds)


GOOD_LINE: Final = LineConditions()


class OneWay:
    """One direction of a connection: what goes over it comes late, and nothing overtakes."""

    def __init__(self, conditions: LineConditions, name: str) -> None:
        self._conditions = conditions
        self._random = random.Random(f"{conditions.seed} {name}")  # noqa: S311 - repeatable, and no secret
        self._last_due = 0.0
        self._turn = asyncio.Lock()

    async def carry(self) -> None:
        """Return when what sets out now has arrived."""
        if not self._late:
            return
        due = self._due()
        async with self._turn:
            await asyncio.sleep(due - time.monotonic())

    async def arriving(self, messages: AsyncIterable[T]) -> AsyncGenerator[T, None]:
        """What comes, as late as it comes. Raises what ``messages`` raises, once all before that has come."""
        if not self._late:
            async for message in messages:
                yield message
            return
        on_the_way: asyncio.Queue[tuple[float, T] | None] = asyncio.Queue()

        async def take() -> None:
            try:
                async for message in messages:
                    on_the_way.put_nowait((self._due(), message))
            finally:
                on_the_way.put_nowait(None)

        taking = asyncio.create_task(take())
        try:
            while (item := await on_the_way.get()) is not None:
                await asyncio.sleep(item[0] - time.monotonic())
                yield item[1]
            await taking
        finally:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)

    @property
    def _late(self) -> bool:
        return self._conditions.round_trip_seconds > 0

    def _due(self) -> float:
        """When what sets out now arrives: never before what set out earlier."""
        jitter = self._random.uniform(0.0, self._conditions.jitter_seconds)
        arrives = time.monotonic() + self._conditions.delay_seconds + jitter
        self._last_due = max(self._last_due, arrives)
        return self._last_due
