"""A server that can be told to stop, and a phone to call it: in a process of its own, or in this one."""

from __future__ import annotations

import asyncio
import logging
import signal
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from support.commands import served, settings_of
from support.preloaded import CommandProcess
from support.waiting import until
from voice_app import server
from voice_app.app import build_services
from voice_app.sandbox.network import Network
from voice_app.sandbox.phone import Person, Phone, PhoneCall
from voice_app.settings import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN, SANDBOX_DOMAIN

PACE = 500.0
ORIGIN = f"https://{SANDBOX_DOMAIN}"


@dataclass(slots=True)
class StoppableServer(ABC):
    """A server, and the world around it."""

    base_url: str
    phone: Phone
    http: aiohttp.ClientSession
    account: dict[str, str]
    """The settings of another server on the same account."""

    @abstractmethod
    def stop(self) -> None:
        """Tell it to stop."""

    @abstractmethod
    async def says(self, text: str) -> str:
        """Wait until its log says something, and give the line."""

    @abstractmethod
    async def ends(self) -> int:
        """Wait until it is over, and give its exit code."""

    def call(self, *people: Person, caller: str = "") -> AbstractAsyncContextManager[PhoneCall]:
        """Phone it; these people are reached when it rings somebody."""
        status_url = f"{ORIGIN}/voice/status"
        return self.phone.call(f"{ORIGIN}/voice", status_url=status_url, people=people, caller=caller)

    async def post(self, path: str, **form: str) -> str:
        """Ask a webhook as Twilio would; the document."""
        fields = {"AccountSid": SANDBOX_ACCOUNT_SID, "To": self.phone.number, **form}
        headers = {"X-Twilio-Signature": self.phone.network.sign(ORIGIN + path, fields)}
        async with self.http.post(f"{self.base_url}{path}", data=fields, headers=headers) as response:
            assert response.status == 200
            return await response.text()

    async def readiness(self) -> tuple[int, str]:
        """What ``/readyz`` says."""
        async with self.http.get(f"{self.base_url}/readyz") as response:
            return response.status, (await response.text()).strip()

    async def becomes(self, wanted: Callable[[int, str], bool]) -> str:
        """Wait until ``/readyz`` says what is wanted, and give the text."""
        async with asyncio.timeout(20):
            while True:
                status, text = await self.readiness()
                if wanted(status, text):
                    return text
                await asyncio.sleep(0.02)

    async def drains(self) -> None:
        """Wait until it has heard that it is to stop."""
        await self.becomes(lambda status, text: status == 503 and "draining" in text)

    async def metric(self, name: str) -> float:
        """A metric without labels."""
        async with self.http.get(f"{self.base_url}/metrics") as response:
            lines = (await response.text()).splitlines()
        return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))


@dataclass(slots=True)
class Server(StoppableServer):
    """A process that serves. It is told to stop by a signal."""

    process: CommandProcess

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def line(self) -> str:
        """The next line of its log; empty after the last."""
        assert self.process.stderr is not None
        async with asyncio.timeout(20):
            return (await self.process.stderr.readline()).decode()

    async def says(self, text: str) -> str:
        while line := await self.line():
            if text in line:
                return line
        raise AssertionError(f"the log ended without {text!r}")

    async def ends(self) -> int:
        async with asyncio.timeout(30):
            return await self.process.wait()


@dataclass(slots=True)
class ServerHere(StoppableServer):
    """A server in this process. It is told to stop by the function that a signal would call."""

    serving: asyncio.Task[None]
    told: list[Callable[[], None]]
    logged: list[str]

    def stop(self) -> None:
        (tell,) = self.told
        tell()

    async def says(self, text: str) -> str:
        await until(lambda: any(text in line for line in self.logged), f"{text!r} in the log")
        return next(line for line in self.logged if text in line)

    async def ends(self) -> int:
        async with asyncio.timeout(30):
            await self.serving
        return 0


@asynccontextmanager
async def process(
    folder: Path,
    *arguments: str,
    pace: float = PACE,
    settings: Mapping[str, str] | None = None,
    beside: StoppableServer | None = None,
) -> AsyncIterator[Server]:
    """Run ``voice-app serve`` in the sandbox while the block runs, or ``beside`` a server that does.

    The phone knows the server alone; who knows several, see `Network`.
    """
    environment = {**(beside.account if beside else {}), **(settings or {})}
    async with (
        served(folder, *arguments, **environment) as (base_url, running),
        _world(base_url, pace) as (phone, http, account),
    ):
        yield Server(base_url, phone, http, account, running)


@asynccontextmanager
async def here(
    folder: Path,
    *,
    pace: float = PACE,
    settings: Mapping[str, str] | None = None,
    beside: StoppableServer | None = None,
) -> AsyncIterator[ServerHere]:
    """The same server in this process, with the same drain: where no process and no signal is tested."""
    environment = {**(beside.account if beside else {}), **(settings or {})}
    told: list[Callable[[], None]] = []
    announced: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @contextmanager
    def tell(stop: Callable[[], None]) -> Iterator[None]:
        told.append(stop)
        yield

    with chdir(folder), _log() as logged:
        async with server.environment(settings_of(folder, **environment)) as (found, api):
            with server.listen(found) as listener:
                services = build_services(found, api)
                serving = asyncio.create_task(server.serve_on(listener, services, announced.set_result, tell))
                try:
                    await until(lambda: announced.done() or serving.done(), "the server to listen")
                    if serving.done():
                        await serving
                    base_url = announced.result()
                    async with _world(base_url, pace) as (phone, http, account):
                        yield ServerHere(base_url, phone, http, account, serving, told, logged)
                finally:
                    services.stopping.set()
                    serving.cancel()
                    await asyncio.wait({serving})


@asynccontextmanager
async def _world(
    base_url: str, pace: float
) -> AsyncIterator[tuple[Phone, aiohttp.ClientSession, dict[str, str]]]:
    """A phone, a client of HTTP, and the settings of another server on the same account."""
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{base_url}/sandbox.json") as response:
            account = await response.json()
        network = Network(base_url, ORIGIN, SANDBOX_AUTH_TOKEN)
        async with Phone(
            network,
            account_sid=SANDBOX_ACCOUNT_SID,
            words_per_second=pace,
            twilio_base_url=account["twilio_base_url"],
        ) as phone:
            named = {
                "VOICE_APP_TWILIO_BASE_URL": account["twilio_base_url"],
                "TWILIO_CONVERSATION_CONFIGURATION_ID": account["conversation_configuration"],
            }
            yield phone, http, named


class _Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def _log() -> Iterator[list[str]]:
    """What the server's own modules log while the block runs, from INFO on."""
    logger, handler = logging.getLogger("voice_app"), _Lines()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield handler.lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
