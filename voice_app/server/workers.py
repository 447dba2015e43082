"""Several processes on one port: a parent that starts them, replaces a lost one, and has all of them drain.

The parent listens and never accepts; each worker accepts from the same socket, so that a connection that
waits when a worker dies is taken by another one. Workers are told to stop through a pipe and ignore signals:
Ctrl-C and systemd send those to every process of the group, and told twice they would hurry. A parent that is
gone closes the pipes, which stops the workers, too.

Workers are forked from a process that has loaded the program and done nothing else (the forkserver of
`multiprocessing`): a lost one is replaced in a fraction of the time that loading takes.

uvicorn's own supervisor cannot take its place. It stops a worker by a signal, once: a drain could not be
hurried, and Ctrl-C, which the whole group gets, would count twice. It starts a worker that died again at
once, however often it dies, where ours waits longer each time. And SIGHUP replaces its workers, which would
end their calls; here each of them reads its templates again and has its guard look.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Final

import uvloop

from voice_app.agents.loader import AgentError
from voice_app.app import build_services, documents_of
from voice_app.findings import refuses
from voice_app.journal import JournalError
from voice_app.server.serving import (
    STOPPING,
    base_url,
    die,
    hear_hangups,
    listen,
    serve_on,
    signals,
    tell_refused,
)
from voice_app.server.startup import environment
from voice_app.settings import Settings, SettingsError
from voice_app.telemetry import configure_logging
from voice_app.telemetry.families import SHARED_METRICS
from voice_app.twiml import CheckedTemplates, Documents

BACKOFF_SECONDS: Final = (0.2, 30.0)
"""The first and the longest pause before a worker that died is started again."""
SECONDS_OF_HEALTH: Final = 60.0
"""A worker that ran so long is started again without much ado."""

PRELOADED: Final = (
    __name__,
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "uvicorn.protocols.http.httptools_impl",
    "voice_app.journal.notifications",
    "voice_app.journal.postgresql",
    "voice_app.server.socket_protocol",
)
"""Modules that are loaded once, for all workers: also what a single process would load when it is used."""
UNHEARD: Final = frozenset({*STOPPING, signal.SIGHUP})
"""Signals that workers do not hear while they start, but for SIGHUP none of them ever."""

log = logging.getLogger(__name__)


class WorkerError(Exception):
    """A worker did not start. What is wrong stands in its own words above."""


class _Worker:
    """One process. ``over`` is set when it is gone, ``ready`` when it serves or is gone."""

    def __init__(
        self, settings: Settings, templates: CheckedTemplates, listener: socket.socket, *, restarted: bool
    ) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(PRELOADED))
        orders, self._orders = context.Pipe(duplex=False)
        self._told, told = context.Pipe(duplex=False)
        self.ready, self.over = asyncio.Event(), asyncio.Event()
        self.serves = False
        self.began = time.monotonic()
        self._process: ForkServerProcess = context.Process(
            target=_work, args=(settings, templates, listener, orders, told, restarted)
        )
        # A signal to the whole group must end neither a worker that starts nor what it is forked from.
        signal.pthread_sigmask(signal.SIG_BLOCK, UNHEARD)
        self._process.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, UNHEARD)
        orders.close()
        told.close()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._told.fileno(), self._hear)
        loop.add_reader(self._process.sentinel, self._gone)

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    @property
    def exit_code(self) -> int | None:
        return self._process.exitcode

    def stop(self) -> None:
        """Tell it to stop; told again, it hurries."""
        with contextlib.suppress(OSError):
            self._orders.send_bytes(b"stop")

    def kill(self) -> None:
        self._process.kill()

    def _hear(self) -> None:
        try:
            self._told.recv_bytes()
            self.serves = True
        except EOFError:
            asyncio.get_running_loop().remove_reader(self._told.fileno())
        self.ready.set()

    def _gone(self) -> None:
        from prometheus_client.multiprocess import mark_process_dead

        loop = asyncio.get_running_loop()
        loop.remove_reader(self._process.sentinel)
        loop.remove_reader(self._told.fileno())
        self._process.join()
        self._orders.close()
        self._told.close()
        mark_process_dead(self.pid, os.environ[SHARED_METRICS])  # type: ignore[no-untyped-call]
        self.ready.set()
        self.over.set()


class _Supervisor:
    """Keeps the workers running."""

    def __init__(self, settings: Settings, documents: Documents, listener: socket.socket) -> None:
        self._settings = settings
        self._documents = documents
        self._listener = listener
        self._workers: set[_Worker] = set()
        self._told = 0
        self._stop = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    def tell(self) -> None:
        """Somebody wants the server to stop: every worker is told as often."""
        self._told += 1
        self._stop.set()
        for worker in self._workers:
            worker.stop()
        if self._told > 2:
            for worker in self._workers:
                worker.kill()
            die()

    def read_again(self) -> None:
        """Read the templates again, for workers that start later, and have every other do so, too."""
        self._reading = asyncio.create_task(self._read_again())

    async def _read_again(self) -> None:
        # Each worker lints for itself: it serves nothing unlinted, whatever becomes of the files meanwhile.
        # A refusal is told here, once.
        found = await asyncio.to_thread(self._documents.reload)
        if refuses(found):
            tell_refused(found)
        for worker in self._workers:
            if not worker.over.is_set():
                os.kill(worker.pid, signal.SIGHUP)

    async def run(self, announce: Callable[[str], None]) -> None:
        """Start the workers, and keep them running until told to stop. Raises `WorkerError`."""
        first = [self._start(restarted=False) for _ in range(self._settings.workers)]
        await asyncio.gather(*(worker.ready.wait() for worker in first))
        if not all(worker.serves for worker in first):
            self.tell()
            await asyncio.gather(*(worker.over.wait() for worker in first))
            raise WorkerError("a worker did not start")
        announce(base_url(self._listener))
        await asyncio.gather(*(self._keep(worker) for worker in first))

    def _start(self, *, restarted: bool) -> _Worker:
        templates = self._documents.checked
        worker = _Worker(self._settings, templates, self._listener, restarted=restarted)
        self._workers.add(worker)
        return worker

    async def _keep(self, worker: _Worker) -> None:
        """Keep one place filled until all are told to stop."""
        shortest, longest = BACKOFF_SECONDS
        pause = shortest
        while True:
            await worker.over.wait()
            self._workers.discard(worker)
            if self._stop.is_set():
                return
            if time.monotonic() - worker.began > SECONDS_OF_HEALTH:
                pause = shortest
            log.error(
                "worker %d died (exit code %s); a new one starts in %g s", worker.pid, worker.exit_code, pause
            )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stop.wait()
                return
            pause = min(pause * 2, longest)
            worker = self._start(restarted=True)


async def supervise(settings: Settings, documents: Documents, announce: Callable[[str], None]) -> None:
    """Serve with ``settings.workers`` processes until a signal says stop. Raises `WorkerError`.

    ``documents`` were checked: every worker serves them as they are, and checks only what it reads itself.
    """
    with listen(settings) as listener, tempfile.TemporaryDirectory(prefix="voice-app-metrics-") as folder:
        os.environ[SHARED_METRICS] = folder
        supervisor = _Supervisor(settings, documents, listener)
        with signals(supervisor.tell), _look_on_demand(supervisor):
            await supervisor.run(announce)


@contextlib.contextmanager
def _look_on_demand(supervisor: _Supervisor) -> Iterator[None]:
    """SIGHUP has every worker read its templates again, and its guard look again."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, supervisor.read_again)
    hear_hangups()
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


def _work(
    settings: Settings,
    templates: CheckedTemplates,
    listener: socket.socket,
    orders: Connection,
    told: Connection,
    restarted: bool,
) -> None:
    """What a worker does, in a process of its own."""
    gc.freeze()  # what was loaded before the fork stays: to look through it for garbage would copy it
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    configure_logging(settings.log_level, settings.log_format, details=settings.log_details)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, listener:
            runner.run(_serve(settings, templates, listener, orders, told, restarted))
    except (AgentError, JournalError, SettingsError) as error:
        log.critical("the worker cannot start: %s", error)
        sys.exit(2)


async def _serve(
    settings: Settings,
    templates: CheckedTemplates,
    listener: socket.socket,
    orders: Connection,
    told: Connection,
    restarted: bool,
) -> None:
    @contextlib.contextmanager
    def obeying(stop: Callable[[], None]) -> Iterator[None]:
        loop = asyncio.get_running_loop()

        def obey() -> None:
            try:
                orders.recv_bytes()
            except (EOFError, OSError):  # the parent is gone
                loop.remove_reader(orders.fileno())
            stop()

        loop.add_reader(orders.fileno(), obey)
        try:
            yield
        finally:
            loop.remove_reader(orders.fileno())

    async with environment(settings) as (ready, api):
        services = build_services(ready, api, documents_of(ready, templates))
        if restarted:  # nobody has checked the account just now
            await services.watch.look_first()
        await serve_on(listener, services, lambda _: told.send_bytes(b"ready"), obeying, supervised=True)
