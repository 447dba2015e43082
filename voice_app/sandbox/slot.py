"""A place where something may be, and can be waited for."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Slot(Generic[T]):
    """Holds one thing, or nothing."""

    def __init__(self) -> None:
        self.value: T | None = None
        self._filled = asyncio.Event()

    def put(self, value: T | None) -> None:
        """Put something in, or take out what is in it."""
        self.value = value
        if value is None:
            self._filled.clear()
        else:
            self._filled.set()

    async def get(self) -> T:
        """What is in it, as soon as something is."""
        while self.value is None:
            await self._filled.wait()
        return self.value
