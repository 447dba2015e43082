"""Runs ``voice-app`` as a user would: in a folder of its own, and in a process of its own where that matters.

Most commands are run in a thread of this process, with their own arguments, environment and streams: what is
tested is what they say and do, and a process would take a second to start. `voice_app_process` is for what a
process alone can show.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from unittest.mock import patch
from weakref import WeakKeyDictionary

from typer.testing import CliRunner

from support.modules import modules_of
from support.preloaded import CommandProcess
from support.preloaded import load as load_now
from voice_app import server
from voice_app.cli.main import app
from voice_app.settings import Settings, load

TESTS = Path(__file__).parents[1]
# A busy machine is late now and then, which makes a server turn callers away; that is tested by itself.
_QUIET = {"NO_COLOR": "1", "COLUMNS": "200", "VOICE_APP_MAX_LAG_MS": "0", "VOICE_APP_BUSY": "message"}


_HANGS: Final = 120.0
"""Seconds after which a command hangs, on however busy a machine."""
_ONE_AT_A_TIME: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]] = WeakKeyDictionary()


def _ours(name: str) -> bool:
    """Whether a variable of the environment is a setting."""
    return name.startswith(("TWILIO_", "VOICE_APP_", "OPENAI_"))


@dataclass(slots=True)
class Finished:
    """What a command left behind."""

    code: int
    out: str
    err: str


async def voice_app(folder: Path, *arguments: str, stdin: str = "", **environment: str) -> Finished:
    """Run a command to its end in this process, one at a time: it has its folder and environment."""
    if "--parallel" in arguments:  # its processes are forked from the same one as those of `CommandProcess`
        load_now()
    async with _ONE_AT_A_TIME.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        return await asyncio.to_thread(_run, folder, arguments, stdin, environment)


def _run(folder: Path, arguments: tuple[str, ...], stdin: str, environment: dict[str, str]) -> Finished:
    changed: dict[str, str | None] = dict.fromkeys(filter(_ours, os.environ))
    with (
        chdir(folder),
        _logging_as_before(),
        modules_of(folder),
        patch.object(sys, "argv", ["voice-app", *arguments]),
        CliRunner().isolation(stdin, {**changed, **_QUIET, **environment}) as (out, err, _),
    ):
        code: object = 0
        try:
            app()
        except SystemExit as end:
            code = end.code
        except Exception:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        return Finished(
            code if isinstance(code, int) else 0, out.getvalue().decode(), err.getvalue().decode()
        )


@contextmanager
def _logging_as_before() -> Iterator[None]:
    """What a command sets up of logging ends with it: its streams are closed then."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


async def voice_app_process(folder: Path, *arguments: str, stdin: str = "", **environment: str) -> Finished:
    """Run a command to its end, in a process of its own."""
    process = await _start(folder, arguments, environment)
    async with asyncio.timeout(_HANGS):
        out, err = await process.communicate(stdin.encode())
    return Finished(process.returncode or 0, out.decode(), err.decode())


def settings_of(folder: Path, **environment: str) -> Settings:
    """The settings of a server as in a folder with this environment, its journal and its spool there."""
    kept = {
        "VOICE_APP_DATABASE_URL": f"sqlite:///{folder}/voice-app.db",
        "VOICE_APP_SPOOL": f"{folder}/voice-app-spool",
        **_QUIET,
    }
    with (
        chdir(folder),
        CliRunner().isolation("", {**dict.fromkeys(filter(_ours, os.environ)), **kept, **environment}),
    ):
        return load(port=0).tried_out()


@asynccontextmanager
async def serving(folder: Path, **environment: str) -> AsyncIterator[str]:
    """Serve in this process while the block runs, as in a folder with this environment; the base URL."""
    settings = settings_of(folder, **environment)
    async with server.environment(settings) as (found, api), server.running(found, api) as base_url:
        yield base_url


@asynccontextmanager
async def served(
    folder: Path, *arguments: str, **environment: str
) -> AsyncIterator[tuple[str, CommandProcess]]:
    """Run ``voice-app serve`` while the block runs: the base URL that it prints, and the process."""
    process = await _start(folder, ("serve", "--port", "0", *arguments), environment)
    try:
        async with asyncio.timeout(_HANGS):
            async for line in process.stdout:
                if b"Listening on" in line:
                    break
            else:
                raise AssertionError((await process.stderr.read()).decode())
        yield line.split()[-1].decode(), process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(_HANGS):
            await process.communicate()


@asynccontextmanager
async def started(folder: Path, *arguments: str, **environment: str) -> AsyncIterator[CommandProcess]:
    """Run a command while the block runs; it is killed if it is not over by then."""
    process = await _start(folder, arguments, environment)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _start(folder: Path, arguments: tuple[str, ...], environment: dict[str, str]) -> CommandProcess:
    kept = {name: value for name, value in os.environ.items() if not _ours(name)}
    process = CommandProcess(folder, arguments, {**kept, **_QUIET, "PYTHONPATH": str(TESTS), **environment})
    await process.connect()
    return process
