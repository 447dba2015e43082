"""A terminal with ``voice-app`` in it: what is seen on it, and what is typed."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pyte

from support.preloaded import CommandProcess

ROWS, COLUMNS = 24, 100
_OTHER_SCREEN = 1049 << 5
"""The mode in which a terminal shows a screen that is gone afterwards, as pyte keeps it."""


class Screen(pyte.Screen):
    """What can be seen; it tells a program that asks where the cursor is."""

    def __init__(self, typed: int, columns: int) -> None:
        super().__init__(columns, ROWS)
        self._typed = typed

    def write_process_input(self, data: str) -> None:
        os.write(self._typed, data.encode())


@dataclass
class Terminal:
    """A terminal with a program in it."""

    screen: pyte.Screen
    typed: int
    changed: asyncio.Event

    def type(self, text: str) -> None:
        os.write(self.typed, text.encode())

    @property
    def rows(self) -> list[str]:
        return [row.rstrip() for row in self.screen.display if row.strip()]

    @property
    def is_covered(self) -> bool:
        """Whether a program has the whole screen, or has hidden the cursor."""
        return _OTHER_SCREEN in self.screen.mode or self.screen.cursor.hidden

    async def shows(self, *parts: str, foot: str | None = None) -> list[str]:
        """Wait until a row has all of these in it, above this one at the foot; every row as it is then."""
        return await self.until(
            lambda rows: (
                any(all(part in row for part in parts) for row in rows) and (foot is None or rows[-1] == foot)
            )
        )

    async def until(self, right: Callable[[list[str]], bool]) -> list[str]:
        """Wait until the rows are as they should be; what they are then."""
        try:
            async with asyncio.timeout(60):
                while not right(self.rows):
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            raise AssertionError("\n".join(self.rows)) from None
        return self.rows


@asynccontextmanager
async def terminal(
    folder: Path, *arguments: str, columns: int = COLUMNS
) -> AsyncIterator[tuple[Terminal, CommandProcess]]:
    """Run ``voice-app`` in a terminal while the block runs."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
    screen = Screen(ours, columns)
    stream = pyte.ByteStream(screen)
    shown = Terminal(screen, ours, asyncio.Event())

    def read() -> None:
        try:
            stream.feed(os.read(ours, 65536))
        except OSError:  # the program is gone
            loop.remove_reader(ours)
        shown.changed.set()

    loop = asyncio.get_running_loop()
    loop.add_reader(ours, read)
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm", "HOME": str(folder), "LANG": "C.UTF-8"}
    process = CommandProcess(folder, arguments, environment, theirs)
    os.close(theirs)
    try:
        yield shown, process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        loop.remove_reader(ours)
        os.close(ours)
