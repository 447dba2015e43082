"""What a server does for the journal beside its calls: erases what is old, finishes what a crash cut off.

Any server of a fleet may do it, and several at once do no harm.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

from voice_app.journal.database import JournalError
from voice_app.journal.journal import Journal
from voice_app.telemetry import metrics

DAY_SECONDS: Final = 86_400.0
MISSED_DAYS: Final = 3
"""So many of the last days with calls are looked through for words that are in no index. A call may last a
day, and a server that crashed was perhaps not started again at once."""

log = logging.getLogger(__name__)


async def keep(journal: Journal, days: int, *, first_s: float = 2.0, every_s: float = 3600.0) -> None:
    """Erase calls whose last event is more than ``days`` days old: soon, and then again and again.

    ``first_s`` and ``every_s`` are seconds, and vary by half, so that servers that were started together do
    not meet every time.
    """

    async def erase() -> None:
        purged = await journal.purge(time.time() - days * DAY_SECONDS)
        metrics.PURGED.inc(purged)
        if purged:
            log.info("journal: %d calls that were older than %d days are erased", purged, days)

    await _again_and_again(erase, "old calls could not be erased", first_s, every_s)


async def index_missed(journal: Journal, *, first_s: float = 2.0, every_s: float = 3600.0) -> None:
    """Index the words of calls whose server died between the end of the call and that: soon, and then again.

    ``first_s`` and ``every_s``: as of `keep`.
    """

    async def index() -> None:
        if found := await journal.index_missed(MISSED_DAYS * DAY_SECONDS):
            log.info("journal: the words of %d calls are indexed, which a crash had left out", found)

    await _again_and_again(index, "words of calls could not be indexed", first_s, every_s)


async def _again_and_again(
    work: Callable[[], Awaitable[None]], failing: str, first_s: float, every_s: float
) -> None:
    pause = first_s
    while True:
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - nobody has to guess it
        try:
            await work()
        except JournalError as error:
            log.warning("journal: %s, that is tried again: %s", failing, error)
        pause = every_s
