"""Several things may happen next: wait for the first of them, and leave nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def first_of(*waiting: Coroutine[Any, Any, Any]) -> int:
    """Wait until one is done, cancel the others, and give its place. Raises what that one raises."""
    tasks = [asyncio.create_task(coroutine) for coroutine in waiting]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        place = next(place for place, task in enumerate(tasks) if task.done())
        tasks[place].result()
        return place
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
