"""Servers that a command starts for itself: each in a process and a folder of its own."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import perf_counter
from typing import Final

import voice_app

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 20.0

_FOREIGN: Final = ("VOICE_APP_", "VOICE_BENCH_", "TWILIO_", "OPENAI_")
"""Settings of this machine, which are not the child's."""
_LISTENING: Final = re.compile(rb"Listening on\s+(\S+)")


class ChildError(Exception):
    """A server did not start. The text ends with what it said."""


class Child:
    """``python -m module`` in a folder. It has to print "Listening on" and its base URL.

    It can be started again after it was stopped or killed, and finds its folder as it left it. What it says
    is in ``output`` and, of errors, in ``errors`` there.
    """

    def __init__(self, module: str, *arguments: str, folder: Path, settings: Mapping[str, str]) -> None:
        self.base_url = ""
        self.start_seconds = 0.0
        """From the start of its process until it listened."""
        self.folder = folder
        self._module = module
        self._arguments = arguments
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._listener: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs, or ran last."""
        return self._process.pid if self._process is not None else 0

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Raises `ChildError` if it does not come up."""
        began = perf_counter()
        with (self.folder / "errors").open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self._module,
                *self._arguments,
                cwd=self.folder,
                env=_environment(self._settings),
                stdin=asyncio.subprocess.PIPE,  # the stub model ends when it is closed, as we end
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                start_new_session=True,  # Ctrl-C is for whoever started it
            )
        found = await self._listening(self._process)
        if found is None:
            await self.stop()
            said = (self.folder / "errors").read_text("utf-8", "replace").strip()[-2000:]
            raise ChildError(f"`python -m {self._module}` did not start. It said: {said or 'nothing'}")
        self.base_url, self.start_seconds = found, perf_counter() - began

    def terminate(self) -> None:
        """Send SIGTERM, if it runs."""
        if self._process is not None and self.running:
            self._process.terminate()

    async def ended(self, seconds: float = STOP_SECONDS) -> int:
        """Its exit code, once it is over; after so many seconds it is killed."""
        if self._process is None:
            return 0
        try:
            async with asyncio.timeout(seconds):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
        code = await self._process.wait()
        if self._listener is not None:
            await self._listener
        return code

    async def stop(self, seconds: float = STOP_SECONDS) -> int:
        """Send SIGTERM and wait; its exit code."""
        self.terminate()
        return await self.ended(seconds)

    async def kill(self) -> None:
        """Send SIGKILL: it has no chance to tidy up."""
        if self._process is not None and self.running:
            self._process.kill()
        await self.ended()

    async def _listening(self, process: asyncio.subprocess.Process) -> str | None:
        """The base URL that it prints, or `None` if it ends, or says nothing in time."""
        told: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._listener = asyncio.create_task(self._listen(process, told))
        with suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                return await told
        return None

    async def _listen(self, process: asyncio.subprocess.Process, told: asyncio.Future[str | None]) -> None:
        """Keep what it prints, to its end."""
        with (self.folder / "output").open("ab", buffering=0) as output:
            while process.stdout is not None and (line := await process.stdout.readline()):
                output.write(line)
                if not told.done() and (found := _LISTENING.search(line)):
                    told.set_result(found[1].decode())
        if not told.done():
            told.set_result(None)


@asynccontextmanager
async def child(module: str, *arguments: str, settings: Mapping[str, str]) -> AsyncIterator[Child]:
    """Run a child while the block runs.

    Its working directory is a temporary one, so that no ``.env`` and no templates of this one count.
    Raises `ChildError`.
    """
    with tempfile.TemporaryDirectory() as folder:
        started = Child(module, *arguments, folder=Path(folder), settings=settings)
        try:
            await started.start()
            yield started
        finally:
            await started.stop()


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(_FOREIGN)}
    path = [str(Path(voice_app.__file__).parents[1]), *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(path), **settings}
