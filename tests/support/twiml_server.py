"""A server that answers with hand-written TwiML, checks every signature and keeps what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from aiohttp import WSMsgType, web
from twilio.request_validator import RequestValidator

from voice_app.sandbox.network import Network
from voice_app.sandbox.phone import Person, Phone, PhoneCall

ORIGIN = "https://voice.example.com"
TOKEN = "token-of-the-test"
ACCOUNT = "AC" + "1" * 32
PACE = 500.0
HEADER = '<?xml version="1.0" encoding="UTF-8"?>'


@dataclass(slots=True, frozen=True)
class Asked:
    """A request of Twilio's."""

    path: str
    form: dict[str, str]
    method: str = "POST"


@dataclass(slots=True)
class TwimlServer:
    """``documents`` are the insides of ``<Response>`` by path; what is not there is answered with nothing."""

    documents: dict[str, str]
    asked: list[Asked] = field(default_factory=list)
    phone: Phone = field(init=False)
    _asked: asyncio.Condition = field(default_factory=asyncio.Condition)

    def call(self, *people: Person, **options: Any) -> AbstractAsyncContextManager[PhoneCall]:
        """Phone ``/voice``; these people are reached."""
        return self.phone.call(f"{ORIGIN}/voice", people=people, **options)

    def forms(self, path: str) -> list[dict[str, str]]:
        """What was posted to a path, one after another."""
        return [asked.form for asked in self.asked if asked.path == path]

    def form(self, path: str) -> dict[str, str]:
        """The only thing that was posted to a path."""
        (form,) = self.forms(path)
        return form

    async def until_asked(self, path: str, times: int = 1) -> None:
        """Return when something was posted to a path so many times."""
        async with asyncio.timeout(10), self._asked:
            await self._asked.wait_for(lambda: len(self.forms(path)) >= times)

    def events(self, path: str = "/transcription") -> list[dict[str, str]]:
        """The callbacks of a transcription, as they arrived."""
        return self.forms(path)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._relay(request)
        form = {name: str(value) for name, value in (await request.post()).items()}
        signature = request.headers.get("X-Twilio-Signature", "")
        if not RequestValidator(TOKEN).validate(ORIGIN + request.raw_path, form, signature):
            return web.Response(status=403, text="the signature is wrong")
        fields = form if request.method == "POST" else dict(request.query)
        self.asked.append(Asked(request.path, fields, request.method))
        async with self._asked:
            self._asked.notify_all()
        inside = self.documents.get(request.path)
        if inside is None:
            return web.Response(status=204)
        return web.Response(text=f"{HEADER}<Response>{inside}</Response>", content_type="text/xml")

    async def _relay(self, request: web.Request) -> web.WebSocketResponse:
        """An agent that only says the greeting of its TwiML; at a "bye" it ends, at a "crash" it is gone."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type == WSMsgType.TEXT and "bye" in message.data:
                await socket.send_str('{"type": "end"}')
            elif message.type == WSMsgType.TEXT and "crash" in message.data and request.transport:
                request.transport.abort()
        return socket


@asynccontextmanager
async def twiml_server(documents: dict[str, str], **options: Any) -> AsyncIterator[TwimlServer]:
    """Serve while the block runs. ``options`` are the phone's."""
    server = TwimlServer(documents)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(application, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    base = f"http://127.0.0.1:{urlsplit(site.name).port or runner.addresses[0][1]}"
    settings: dict[str, Any] = {"words_per_second": PACE, "account_sid": ACCOUNT, **options}
    try:
        async with Phone(Network(base, ORIGIN, TOKEN), **settings) as server.phone:
            yield server
    finally:
        await runner.cleanup()


def start(name: str = "handoff", **attributes: str) -> str:
    """``<Start><Transcription>`` with callbacks."""
    given = {"name": name, "statusCallbackUrl": f"{ORIGIN}/transcription"} | attributes
    written = " ".join(f'{key}="{value}"' for key, value in given.items())
    return f"<Start><Transcription {written}/></Start>"


def stop(name: str = "handoff") -> str:
    """``<Stop><Transcription>``"""
    return f'<Stop><Transcription name="{name}"/></Stop>'


def relay(greeting: str = "Hello!", action: str = "/ended") -> str:
    """``<Connect><ConversationRelay>``"""
    url = ORIGIN.replace("https", "wss")
    return (
        f'<Connect action="{action}"><ConversationRelay url="{url}/relay" welcomeGreeting="{greeting}"/>'
        "</Connect>"
    )


def in_order(events: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """The callbacks of a transcription as they happened."""
    return sorted(events, key=lambda form: int(form["SequenceId"]))
