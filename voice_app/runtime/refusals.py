"""Requests that are refused: counted, told once a minute, and answered late where there are many of them.

Whoever is refused waits for the answer before they try again, on each of their connections. A pause before
the answer so bounds what any number of tries costs, and nobody on the line hears of it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from typing import Final

from voice_app.telemetry import RepeatedLine, metrics

AT_ONCE: Final = 20
"""So many in a second are answered at once: mistakes of people, and of settings."""
PAUSE_SECONDS: Final = 1.0
"""How long the others wait, on average: not all of them the same, or they would come together again."""
MAX_WAITING: Final = 1000
"""Beyond these, answers are not delayed: each holds a connection."""


class Refusals:
    """One kind of refused requests, as the metric names it in its label ``what``."""

    def __init__(self, what: str, log: logging.Logger, subject: str) -> None:
        """``subject`` is what is refused, in the plural, for the log."""
        self._what = what
        self._line = RepeatedLine(log, subject)
        self._recent: deque[float] = deque(maxlen=AT_ONCE)
        self._waiting = 0

    async def add(self, text: str, *values: object) -> None:
        """Something is refused; returns when that may be answered. ``text`` is for the log."""
        metrics.REFUSED.labels(self._what).inc()
        self._line.warn(text, *values)
        now = time.monotonic()
        many = len(self._recent) == AT_ONCE and now - self._recent[0] < 1
        self._recent.append(now)
        if many and self._waiting < MAX_WAITING:
            self._waiting += 1
            try:
                await asyncio.sleep(PAUSE_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            finally:
                self._waiting -= 1
