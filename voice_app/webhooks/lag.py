"""How late the event loop is with its work: what every caller on the line hears as a pause."""

from __future__ import annotations

import asyncio
from collections import deque
from statistics import median
from typing import Final

from voice_app import telemetry

SECONDS_BETWEEN_LOOKS: Final = 0.2
LOOKS: Final = 7
"""The median of so many is the lag: one blip, however long, is none; about a second of trouble is one."""


class Lag:
    """Measures how much later than asked for a timer of the running loop fires."""

    def __init__(self) -> None:
        self._late: deque[float] = deque([0.0] * LOOKS, LOOKS)

    @property
    def seconds(self) -> float:
        return median(self._late)

    def saw(self, late: float) -> None:
        """A timer was so many seconds late."""
        self._late.append(max(late, 0.0))
        telemetry.LAG.set(self.seconds)

    async def look(self) -> None:
        """Wait for the next look."""
        loop = asyncio.get_running_loop()
        due = loop.time() + SECONDS_BETWEEN_LOOKS
        await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
        self.saw(loop.time() - due)
