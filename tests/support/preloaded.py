"""``voice-app`` in processes of their own, forked from one that has loaded it: that takes over a second.

Each has its own folder, environment, streams and process id, hears signals and can be killed. That it starts
from nothing is shown where that is tested: an installed wheel, the image, the fleet, the blocks of the pages.
What ``python -c`` would run, `program` runs in such a process.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from typing import Final

_CONTEXT: Final = multiprocessing.get_context("forkserver")
_LOADED: Final = (
    "support.preloaded",
    "voice_app.cli.serve",
    "voice_app.cli.check",
    "voice_app.followups.durable",
    "voice_app.journal.notifications",
    "voice_app.journal.postgresql",
    "voice_app.server.sandbox",
    "voice_app.server.socket_protocol",
    "voice_app.testing.rehearsal",
    "uvicorn.protocols.http.httptools_impl",
)


def load() -> None:
    """Load it now: the process that all others are forked from, those of ``multiprocessing`` in tests too."""
    _CONTEXT.set_forkserver_preload(list(_LOADED))
    ensure_running()


class CommandProcess:
    """A command that runs: what `asyncio.subprocess.Process` is for a program.

    ``arguments`` are those of ``voice-app``; or ``-c``, a program in Python, and its arguments. Its streams
    are pipes, or the ``terminal``.
    """

    def __init__(
        self,
        folder: Path,
        arguments: tuple[str, ...],
        environment: Mapping[str, str],
        terminal: int | None = None,
    ) -> None:
        if terminal is None:
            given, self._input = os.pipe()
            self._output, said = os.pipe()
            self._errors, told = os.pipe()
        else:
            given, said, told = (os.dup(terminal) for _ in range(3))
        theirs = Connection(given, writable=False), Connection(said, readable=False), Connection(told)
        load()
        self._process = _CONTEXT.Process(target=_run, args=(folder, arguments, dict(environment), theirs))
        self._process.start()
        for one in theirs:
            one.close()
        self._pipes: list[asyncio.ReadTransport] = []
        self._over = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._process.sentinel, self._gone)

    async def connect(self) -> None:
        """Open the streams."""
        self.stdout, self.stderr = await self._reader(self._output), await self._reader(self._errors)
        pipe = os.fdopen(self._input, "wb", buffering=0)
        transport, protocol = await self._loop.connect_write_pipe(asyncio.streams.FlowControlMixin, pipe)
        self.stdin = asyncio.StreamWriter(transport, protocol, None, self._loop)

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        await self._over.wait()
        assert self.returncode is not None
        return self.returncode

    async def communicate(self, given: bytes = b"") -> tuple[bytes, bytes]:
        """Give it this, read all that it says, and wait for its end."""
        if not self.stdin.is_closing():
            self.stdin.write(given)
            self.stdin.close()
        out, err = await asyncio.gather(self.stdout.read(), self.stderr.read())
        for pipe in self._pipes:
            pipe.close()
        await self.wait()
        return out, err

    def _gone(self) -> None:
        self._loop.remove_reader(self._process.sentinel)
        self._process.join()
        self._over.set()

    async def _reader(self, number: int) -> asyncio.StreamReader:
        reader = asyncio.StreamReader()
        pipe = os.fdopen(number, "rb", buffering=0)
        transport, _ = await self._loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        self._pipes.append(transport)
        return reader


def _run(
    folder: Path, arguments: tuple[str, ...], environment: dict[str, str], streams: tuple[Connection, ...]
) -> None:
    """What the process does: be the program."""
    for number, stream in enumerate(streams):
        os.dup2(stream.fileno(), number)
        stream.close()
    if os.isatty(0):
        os.setsid()  # the keys are for this process alone
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if arguments[0] == "-c":
        sys.argv = ["-c", *arguments[2:]]
        exec(arguments[1], {"__name__": "__main__"})
        return
    sys.argv = ["voice-app", *arguments]
    from voice_app.cli.main import main

    main()


async def program(source: str, *arguments: str) -> CommandProcess:
    """Start a program in Python as ``python -c`` would, in this folder and environment."""
    process = CommandProcess(Path.cwd(), ("-c", source, *arguments), os.environ)
    await process.connect()
    return process
