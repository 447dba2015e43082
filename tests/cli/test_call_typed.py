"""``voice-app call`` at a terminal: what is typed and what is said do not get into each other's way."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pyte

from support.commands import serving

ROWS, COLUMNS = 24, 100


class Screen(pyte.Screen):
    """What can be seen; it tells a program that asks where the cursor is."""

    def __init__(self, typed: int) -> None:
        super().__init__(COLUMNS, ROWS)
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

    async def shows(self, *parts: str, foot: str | None = None) -> list[str]:
        """Wait until a row has all of these in it, above this one at the foot; every row as it is then."""
        try:
            async with asyncio.timeout(60):
                while not (
                    any(all(part in row for part in parts) for row in self.rows)
                    and (foot is None or self.rows[-1] == foot)
                ):
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            raise AssertionError("\n".join(self.rows)) from None
        return self.rows


@asynccontextmanager
async def terminal(
    folder: Path, *arguments: str
) -> AsyncIterator[tuple[Terminal, asyncio.subprocess.Process]]:
    """Run ``voice-app`` in a terminal while the block runs."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    screen = Screen(ours)
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
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "voice_app", *arguments),
        cwd=folder,
        env={"PATH": os.environ["PATH"], "TERM": "xterm", "HOME": str(folder), "LANG": "C.UTF-8"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield shown, process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        loop.remove_reader(ours)
        os.close(ours)


async def test_a_line_that_is_typed_while_the_agent_speaks_stays_apart_from_its_words(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as base_url,
        terminal(tmp_path, "call", "--url", f"{base_url}/voice", "--pace", "3") as (shown, process),
    ):
        await shown.shows("agent", "Hello! You are")
        shown.type("Where are")
        rows = await shown.shows("agent", foot="> Where are")
        assert not any("agent" in row and "Where" in row for row in rows)
        await shown.shows("agent", "How can I help you?", foot="> Where are")
        shown.type(" you?\r")
        rows = await shown.shows("caller", "Where are you?")
        assert not any(row.startswith("> Where") for row in rows), "what was said is not there twice"
        await shown.shows("agent", "Mill Lane")
        shown.type("\x04")  # Ctrl-D: the end of the input
        await shown.shows("the call is over")
        async with asyncio.timeout(60):
            assert await process.wait() == 0


async def test_a_line_cuts_in_while_its_words_appear(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as base_url,
        terminal(tmp_path, "call", "--url", f"{base_url}/voice", "--pace", "3") as (shown, _),
    ):
        await shown.shows("agent", "Hello! You are")
        shown.type("Where are you?\r")
        await shown.shows("caller", "Where are you?")
        await shown.shows("agent", "—  (cut off after")
        await shown.shows("agent", "Mill Lane")
        shown.type("/help\r")
        await shown.shows("/hang-up")
        shown.type("/hang-up\r")
        await shown.shows("the call is over")
