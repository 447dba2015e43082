"""uvicorn on a port, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from voice_app.app import build, build_services
from voice_app.findings import Finding, Severity, refuses
from voice_app.runtime import Services
from voice_app.server.drain import Drain
from voice_app.server.http_protocol import HttpProtocol
from voice_app.server.socket_protocol import SocketProtocol
from voice_app.settings import Settings, SettingsError
from voice_app.telemetry import trace_export
from voice_app.twilio import TwilioApi

log = logging.getLogger(__name__)

SECONDS_TO_STOP: Final = 5
"""How long requests in progress may take once the server has to stop."""
LATE_SECONDS = 0.1
"""How long who was being accepted as the server stopped to listen has, to say what they want."""
_LOOK_SECONDS: Final = 0.01
"""So often it is looked whether all that is over."""
MAX_FRAME: Final = 64 * 1024
"""Bytes. A larger WebSocket message closes the socket with 1009."""
STOPPING: Final = (signal.SIGINT, signal.SIGTERM)

Told = Callable[[Callable[[], None]], contextlib.AbstractContextManager[None]]
"""While the block runs, the function that is given is called each time somebody wants the server to stop."""


class _Server(uvicorn.Server):
    """uvicorn that says when it listens, and leaves the signals to somebody else."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=HttpProtocol,
                ws=SocketProtocol,
                ws_max_size=MAX_FRAME,
                ws_per_message_deflate=False,
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
            )
        )
        self.listening = asyncio.Event()
        self._stopping = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        """Until `stop`: uvicorn would look ten times a second, and has nothing to do as it is set up."""
        self.server_state.default_headers = self.config.encoded_headers
        await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop as soon as all requests are over: uvicorn looks ten times a second."""
        for listening in (*self.servers, *(sockets or ())):
            listening.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await asyncio.sleep(LATE_SECONDS)
        try:
            async with asyncio.timeout(SECONDS_TO_STOP):
                await self._all_over()
        except TimeoutError:
            log.error("requests in progress are cut off after %g seconds", SECONDS_TO_STOP)
            for task in self.server_state.tasks:
                task.cancel()
        await self.lifespan.shutdown()

    async def _all_over(self) -> None:
        pause = 0.0  # what is closed is gone when the loop has gone round once
        while self.server_state.connections or self.server_state.tasks:
            await asyncio.sleep(pause)
            pause = _LOOK_SECONDS
        for listening in self.servers:
            await listening.wait_closed()

    def stop(self) -> None:
        self.should_exit = True
        self._stopping.set()

    async def run_until_stopped(self, listener: socket.socket) -> None:
        try:
            await self.serve(sockets=[listener])
        finally:
            self.listening.set()


def listen(settings: Settings) -> socket.socket:
    """Take the port before anything else is started. Raises `SettingsError`."""
    try:
        listener = socket.create_server((settings.host, settings.port))
    except OSError as error:
        raise SettingsError(
            [
                f"VOICE_APP_HOST, VOICE_APP_PORT: cannot listen on {settings.host}:{settings.port} "
                f"({error.strerror}): stop what uses the port, or choose another with --port"
            ]
        ) from None
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # tokens must not wait for each other
    return listener


def base_url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


@contextlib.contextmanager
def signals(told: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C and SIGTERM, as long as the block runs."""
    loop = asyncio.get_running_loop()
    for number in STOPPING:
        loop.add_signal_handler(number, told)
    try:
        yield
    finally:
        for number in STOPPING:
            loop.remove_signal_handler(number)


def die() -> None:
    """End this process now, as a SIGTERM that nobody handles does."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)


async def serve(services: Services, announce: Callable[[str], None]) -> None:
    """Serve until a signal says stop and the calls are over; see `Drain`.

    ``announce`` is called with the base URL once it listens.
    """
    with listen(services.settings) as listener:
        await serve_on(listener, services, announce, signals)


async def serve_on(
    listener: socket.socket,
    services: Services,
    announce: Callable[[str], None],
    told: Told,
    *,
    supervised: bool = False,
) -> None:
    """The same on a socket that listens already.

    ``supervised``: a parent reads the templates, too, and says what is wrong with them.
    """
    drain = Drain(services, services.settings.drain_seconds, die)
    with told(drain.tell):
        async with _serving(services, listener) as over:
            _look_on_demand(services, supervised=supervised)
            announce(base_url(listener))
            _keep_for_good()
            draining = asyncio.create_task(drain.run())
            await asyncio.wait({draining, over}, return_when=asyncio.FIRST_COMPLETED)
            draining.cancel()


@contextlib.asynccontextmanager
async def running(settings: Settings, api: TwilioApi) -> AsyncIterator[str]:
    """Serve inside a running event loop while the block runs, and give the base URL. Does not drain."""
    async with running_services(build_services(settings, api)) as url:
        yield url


@contextlib.asynccontextmanager
async def running_services(services: Services) -> AsyncIterator[str]:
    """The same with parts that are built already."""
    with listen(services.settings) as listener:
        async with _serving(services, listener):
            yield base_url(listener)


@contextlib.asynccontextmanager
async def _serving(services: Services, listener: socket.socket) -> AsyncIterator[asyncio.Task[None]]:
    """Serve while the block runs. The task that is given ends before that only if the server fails."""
    settings = services.settings
    async with trace_export.sent_to(settings.trace_url, content=settings.trace_content), services.journal:
        server = _Server(build(services))
        serving = asyncio.create_task(server.run_until_stopped(listener))
        try:
            await server.listening.wait()
            if services.settings.in_sandbox:
                from voice_app.server.sandbox import introduce

                await introduce(services.settings, base_url(listener))
            yield serving
        finally:
            services.stopping.set()
            server.stop()
            await serving


def _keep_for_good() -> None:
    """Spare the collector what the start has made, which stays to the end: it looks at calls alone."""
    gc.collect()
    gc.freeze()


def _look_on_demand(services: Services, *, supervised: bool) -> None:
    """SIGHUP has the templates read again and the guard look again, where there is such a signal."""

    wanted = asyncio.Event()

    async def look() -> None:
        """One look at a time; however many signals come during one, a single one follows."""
        while True:
            await wanted.wait()
            wanted.clear()
            try:
                await _look_again(services, supervised=supervised)
            except Exception:  # the next signal is heard all the same
                log.exception("the templates could not be read again")

    if hasattr(signal, "SIGHUP"):
        services.background.spawn(look(), "looks on demand")
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, wanted.set)
        hear_hangups()


def hold_hangups() -> None:
    """A SIGHUP that comes from now on, in this process or one that it starts, waits for `hear_hangups`."""
    if hasattr(signal, "SIGHUP"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


def hear_hangups() -> None:
    """Handle SIGHUP, and first the one that waits."""
    if hasattr(signal, "SIGHUP"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


async def _look_again(services: Services, *, supervised: bool) -> None:
    found = await asyncio.to_thread(services.documents.reload)
    if not refuses(found):
        log.info("the templates were read again, and are served from now on")
    elif not supervised:
        tell_refused(found)
    services.watch.look()


def tell_refused(findings: Iterable[Finding]) -> None:
    """Templates were read again and refused: why, and what that means."""
    for finding in findings:
        if finding.severity is Severity.ERROR:
            log.error("%s %s: %s", finding.rule, finding.place, finding.message)
    log.error("the templates were read again and refused: those from before are served")


async def signal_changes(folder: Path) -> None:
    """Send this process SIGHUP when something in a folder of templates changes, until cancelled."""
    from watchfiles import awatch  # only who edits templates needs it

    log.info("the templates are read again when something in %s changes", folder)
    async for _ in awatch(folder):
        os.kill(os.getpid(), signal.SIGHUP)
