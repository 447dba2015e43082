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
        self._empty = asyncio.Event()
        self._empty.set()

    def put(self, value: T | None) -> None:
        """Put something in, or take out what is in it."""
        self.value = value
        true, false = (self._empty, self._filled) if value is None else (self._filled, self._empty)
        true.set()
        false.clear()

    async def get(self) -> T:
        """What is in it, as soon as something is."""
        while self.value is None:
            await self._filled.wait()
        return self.value

    async def emptied(self) -> None:
        """Return when nothing is in it."""
        await self._empty.wait()
