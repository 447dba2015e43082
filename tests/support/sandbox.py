"""A whole server on a real port, with the sandbox's phone to call it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from pydantic import SecretStr

from support.journals import prepare
from voice_app import server
from voice_app.app import vocabulary_of
from voice_app.calls import CallState, HistoryLine
from voice_app.journal import Entry, Journal
from voice_app.journal.events import Event
from voice_app.sandbox.network import Network
from voice_app.sandbox.phone import Person, Phone, PhoneCall, PhoneEvent
from voice_app.settings import Settings
from voice_app.twilio import TwilioApi

REAL: dict[str, Any] = {
    "account_sid": "AC" + "1" * 32,
    "auth_token": SecretStr("a token of an account"),
    "public_domain": "voice.example.com",
    "twilio_base_url": "http://127.0.0.1:9",
}
"""Settings of a server that is not in the sandbox; nobody answers it at Twilio's."""
PACE = 500.0
"""Words per second."""


@dataclass(slots=True)
class Sandbox:
    """A running server, and what a test needs to talk with it."""

    settings: Settings
    api: TwilioApi
    base_url: str
    phone: Phone
    http: aiohttp.ClientSession

    @property
    def network(self) -> Network:
        return self.phone.network

    def call(
        self,
        *people: Person,
        watch: Callable[[PhoneEvent], None] = lambda happening: None,
        caller: str = "",
    ) -> AbstractAsyncContextManager[PhoneCall]:
        """Phone the server. ``people`` are there when it rings somebody."""
        origin = self.settings.origin
        status_url = f"{origin}/voice/status"
        url = f"{origin}/voice"
        return self.phone.call(url, status_url=status_url, watch=watch, people=people, caller=caller)

    async def post(self, path: str, **form: str) -> aiohttp.ClientResponse:
        """Ask a webhook as Twilio would: signed, with the account's SID. The answer is read."""
        fields = {"AccountSid": self.settings.account_sid or "", **form}
        signature = self.network.sign(self.settings.origin + path, fields)
        headers = {"X-Twilio-Signature": signature}
        async with self.http.post(self.base_url + path, data=fields, headers=headers) as answer:
            await answer.read()
        return answer


@asynccontextmanager
async def sandbox(folder: Path, pace: float = PACE, **changes: Any) -> AsyncIterator[Sandbox]:
    """Serve while the block runs. ``changes`` are settings."""
    # A busy machine may be slower than a caller would wait: what is late is tested by tests of its own.
    values = {"port": 0, "database_url": database(folder), "memory_seconds": 20, "max_lag_ms": 0, **changes}
    values.setdefault("spool", folder / "spool")
    if values["database_url"] == database(folder):
        prepare(folder / "journal.db")
    async with (
        server.environment(Settings.model_construct(**values)) as (settings, api),
        server.running(settings, api) as base_url,
        aiohttp.ClientSession() as http,
        Phone(
            Network(base_url, settings.origin, settings.signing_tokens[0]),
            account_sid=settings.account_sid or "",
            words_per_second=pace,
            twilio_base_url=settings.twilio_base_url if settings.in_sandbox else None,
            vocabulary=vocabulary_of(settings),
        ) as phone,
    ):
        yield Sandbox(settings, api, base_url, phone, http)


def database(folder: Path) -> str:
    return f"sqlite:///{folder}/journal.db"


async def recorded(folder: Path, call_sid: str) -> list[Entry]:
    """The events of a call, after the server has stopped."""
    async with Journal(database(folder)) as journal:
        return list(await journal.events(call_sid))


async def remembered(folder: Path, call_sid: str) -> list[HistoryLine]:
    """The history of a call, after the server has stopped."""
    async with Journal(database(folder)) as journal:
        return CallState.of(await journal.events(call_sid)).transcript.as_heard()


async def happened(folder: Path, call_sid: str, kind: type[Event], times: int = 1) -> None:
    """Wait until so many events of a kind are in the journal of a server that runs."""
    async with asyncio.timeout(30), Journal(database(folder), create=False) as journal:
        while True:
            entries = await journal.events(call_sid)
            if sum(isinstance(entry.event, kind) for entry in entries) >= times:
                return
            await asyncio.sleep(0.02)
