"""Runs the application: the checks before it, uvicorn around it, and the sandbox beside it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable, Generator

import aiohttp
import uvicorn
from starlette.types import ASGIApp

from voice_app.app import build, desk, scope, twilio_api
from voice_app.guard import Report, check
from voice_app.orchestrator import TwilioApi
from voice_app.sandbox.orchestrator import (
    DOOR,
    SUMMARY,
    Account,
    Postman,
    add_intelligence,
    add_number,
    double,
)
from voice_app.sandbox.serving import serve as serve_double
from voice_app.settings import Settings, SettingsError
from voice_app.twiml import default_folder, lint_path
from voice_app.webhooks import INTELLIGENCE_RESULTS, ORCHESTRATOR_EVENTS, Desk

SECONDS_TO_STOP = 5
"""How long requests in progress may take once the server has to stop. A live feed never ends by itself."""
MAX_FRAME = 64 * 1024
"""Bytes. A larger WebSocket message closes the socket with 1009."""
SECONDS_TO_INTRODUCE = 2.0


@contextlib.asynccontextmanager
async def environment(settings: Settings) -> AsyncIterator[tuple[Settings, TwilioApi]]:
    """The settings to run with, and Twilio's APIs. Without credentials: the sandbox and its doubles."""
    async with contextlib.AsyncExitStack() as stack:
        if settings.account_sid is None:
            settings = await stack.enter_async_context(_sandbox(settings.sandboxed()))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield settings, twilio_api(settings, http)


@contextlib.asynccontextmanager
async def _sandbox(settings: Settings) -> AsyncIterator[Settings]:
    if settings.twilio_base_url is not None:
        yield settings
        return
    account = Account(settings.account_sid or "", settings.signing_tokens[0])
    configuration_id = _furnish(account, settings)
    _point_here(account, settings)
    async with Postman(account), serve_double(double(account)) as base_url:
        yield settings.model_copy(
            update={"twilio_base_url": base_url, "conversation_configuration": configuration_id}
        )


def _furnish(account: Account, settings: Settings) -> str:
    """A configuration, with a memory and an operator, that tells us everything. Gives its id."""
    action = {"type": "WEBHOOK", "method": "POST", "url": settings.origin + INTELLIGENCE_RESULTS}
    rule = {
        "operators": [{"id": SUMMARY}],
        "triggers": [{"on": "CONVERSATION_END"}],
        "actions": [action],
    }
    intelligence = add_intelligence(account, rules=[rule])
    return account.add_configuration(
        settings.conversation_configuration,
        channelSettings={"VOICE": {"statusTimeouts": {"inactive": 5, "closed": 30}, "captureRules": []}},
        statusCallbacks=[{"url": settings.origin + ORCHESTRATOR_EVENTS, "method": "POST"}],
        memoryExtractionEnabled=True,
        intelligenceConfigurationIds=[intelligence["id"]],
    )


def _point_here(account: Account, settings: Settings) -> None:
    """The account's number, set up as README.md tells to."""
    webhook = f"{settings.origin}/voice"
    add_number(
        account,
        settings.phone_number or "",
        voice_url=webhook,
        voice_fallback_url=f"{webhook}/fallback",
        status_callback=f"{webhook}/status",
    )


async def preflight(settings: Settings, api: TwilioApi) -> Report:
    """Everything that is checked before the first call: the templates, and STT that is billed once.

    Raises `SettingsError` for a file of numbers that cannot be used.
    """
    templates = lint_path(settings.templates or default_folder(), allow=settings.allow_attributes)
    return await check(api, scope(settings), templates=templates)


class _Server(uvicorn.Server):
    """uvicorn that says when it listens, and that may leave the signals to somebody else."""

    def __init__(self, app: ASGIApp, settings: Settings, *, signals: bool) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="httptools",
                ws="websockets-sansio",
                ws_max_size=MAX_FRAME,
                ws_per_message_deflate=False,
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                timeout_graceful_shutdown=SECONDS_TO_STOP,
            )
        )
        self._host, self._port = settings.host, settings.port
        self._signals = signals
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        if not self._signals:
            yield
            return
        with super().capture_signals():
            yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def run_until_stopped(self, listener: socket.socket) -> None:
        try:
            await self.serve(sockets=[listener])
        finally:
            self.listening.set()


def _listen(settings: Settings) -> socket.socket:
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


async def serve(settings: Settings, api: TwilioApi, announce: Callable[[str], None]) -> None:
    """Serve until a signal says stop. ``announce`` is called with the base URL once it listens."""
    parts = desk(settings, api)
    with _listen(settings) as listener:
        server = _Server(build(parts), settings, signals=True)
        serving = asyncio.create_task(server.run_until_stopped(listener))
        await server.listening.wait()
        _look_on_demand(parts)
        if server.started:
            await _introduce(settings, _base_url(listener))
            announce(_base_url(listener))
        await serving


@contextlib.asynccontextmanager
async def running(settings: Settings, api: TwilioApi) -> AsyncIterator[str]:
    """Serve inside a running event loop while the block runs, and give the base URL."""
    parts = desk(settings, api)
    with _listen(settings) as listener:
        server = _Server(build(parts), settings, signals=False)
        serving = asyncio.create_task(server.run_until_stopped(listener))
        try:
            await server.listening.wait()
            await _introduce(settings, _base_url(listener))
            yield _base_url(listener)
        finally:
            server.should_exit = True
            await serving


def _look_on_demand(parts: Desk) -> None:
    """SIGHUP makes the guard look again, where there is such a signal."""
    if hasattr(signal, "SIGHUP"):
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, parts.watch.look)


async def _introduce(settings: Settings, base_url: str) -> None:
    """Tell the sandbox's account where its webhooks to our origin have to go."""
    if not settings.in_sandbox or settings.twilio_base_url is None:
        return
    timeout = aiohttp.ClientTimeout(total=SECONDS_TO_INTRODUCE)
    told = {"base": base_url, "origin": settings.origin}
    # A double that cannot be told sends no webhooks; calls work without them.
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with aiohttp.ClientSession(timeout=timeout) as http:
            await http.put(f"{settings.twilio_base_url}{DOOR}/network", json=told)


def _base_url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"
