"""Servers that a command starts for itself: each in a process and a folder of its own."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
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


@dataclass(slots=True, frozen=True)
class Child:
    """A server that runs."""

    base_url: str
    pid: int
    start_seconds: float
    """From the start of its process until it listened."""


@asynccontextmanager
async def child(module: str, *arguments: str, settings: Mapping[str, str]) -> AsyncIterator[Child]:
    """Run ``python -m module`` while the block runs. It has to print "Listening on" and its base URL.

    Its working directory is a temporary one, so that no ``.env`` and no templates of this one count.
    Raises `ChildError`.
    """
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "errors").open("w+b") as errors:
        began = perf_counter()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            cwd=folder,
            env=_environment(settings),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
        try:
            base_url = await _listening(process)
            if base_url is None:
                errors.seek(0)
                said = errors.read().decode("utf-8", "replace").strip()[-2000:]
                raise ChildError(f"`python -m {module}` did not start. It said: {said or 'nothing'}")
            yield Child(base_url, process.pid, perf_counter() - began)
        finally:
            await _stop(process)


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(_FOREIGN)}
    path = [str(Path(voice_app.__file__).parents[1]), *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(path), **settings}


async def _listening(process: asyncio.subprocess.Process) -> str | None:
    """The base URL that a server prints, or `None` if it ends, or says nothing in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(START_SECONDS):
            while process.stdout is not None and (line := await process.stdout.readline()):
                if found := _LISTENING.search(line):
                    return found[1].decode()
    return None


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
