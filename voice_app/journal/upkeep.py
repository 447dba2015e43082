"""Erases calls that are old enough, beside everything else that a server does."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import Final

from voice_app.journal.database import JournalError
from voice_app.journal.journal import Journal
from voice_app.telemetry import metrics

DAY_SECONDS: Final = 86_400.0

log = logging.getLogger(__name__)


async def keep(journal: Journal, days: int, *, first_s: float = 2.0, every_s: float = 3600.0) -> None:
    """Erase calls whose last event is more than ``days`` days old: soon, and then again and again.

    Any server of a fleet may do it, and several at once do no harm. ``first_s`` and ``every_s`` are seconds,
    and vary by half, so that servers that were started together do not meet every time.
    """
    pause = first_s
    while True:
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - nobody has to guess it
        try:
            purged = await journal.purge(time.time() - days * DAY_SECONDS)
        except JournalError as error:
            log.warning("journal: old calls could not be erased, that is tried again: %s", error)
        else:
            metrics.PURGED.inc(purged)
            if purged:
                log.info("journal: %d calls that were older than %d days are erased", purged, days)
        pause = every_s
