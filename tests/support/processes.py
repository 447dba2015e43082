"""A server in a process of its own, and a phone to call it: for what happens when it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from support.commands import served
from voice_app.sandbox.network import Network
from voice_app.sandbox.phone import Person, Phone, PhoneCall
from voice_app.settings import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN, SANDBOX_DOMAIN

PACE = 500.0
ORIGIN = f"https://{SANDBOX_DOMAIN}"


@dataclass(slots=True)
class Server:
    """A process that serves, and the world around it."""

    base_url: str
    process: Process
    phone: Phone
    http: aiohttp.ClientSession
    account: dict[str, str]
    """The settings of another server on the same account."""

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

    def stop(self) -> None:
        """Tell it to stop."""
        self.process.send_signal(signal.SIGTERM)

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

    async def says(self, text: str) -> str:
        """Wait until its log says something, and give the line."""
        assert self.process.stderr is not None
        async with asyncio.timeout(20):
            async for line in self.process.stderr:
                if text in line.decode():
                    return line.decode()
        raise AssertionError(f"the log ended without {text!r}")

    async def metric(self, name: str) -> float:
        """A metric without labels."""
        async with self.http.get(f"{self.base_url}/metrics") as response:
            lines = (await response.text()).splitlines()
        return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))

    async def ends(self) -> int:
        """Wait until the process is over, and give its exit code."""
        async with asyncio.timeout(30):
            return await self.process.wait()


@asynccontextmanager
async def process(
    folder: Path,
    *arguments: str,
    pace: float = PACE,
    settings: Mapping[str, str] | None = None,
    beside: Server | None = None,
) -> AsyncIterator[Server]:
    """Run ``voice-app serve`` in the sandbox while the block runs, or ``beside`` a server that does.

    The phone knows the server alone; who knows several, see `Network`.
    """
    environment = {**(beside.account if beside else {}), **(settings or {})}
    async with (
        served(folder, *arguments, **environment) as (base_url, running),
        aiohttp.ClientSession() as http,
    ):
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
            yield Server(base_url, running, phone, http, named)


async def exists(path: Path) -> None:
    """Wait until there is such a file."""
    async with asyncio.timeout(20):
        while True:
            if path.exists():
                return
            await asyncio.sleep(0.01)
