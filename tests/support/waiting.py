"""Waiting for what a test expects to happen: by looking, never by sleeping and hoping."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

SECONDS: Final = 30.0


async def until(happened: Callable[[], object], what: str = "it", seconds: float = SECONDS) -> None:
    """Wait until a condition holds. Fails with ``what`` was awaited if it does not in time."""
    try:
        async with asyncio.timeout(seconds):
            while not happened():  # noqa: ASYNC110 - threads and other processes have no event here
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"waited {seconds:g} s for {what}") from None
