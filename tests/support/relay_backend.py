"""A ConversationRelay backend in one file that does everything right, but for the one fault it is given."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from voice_app.sandbox.network import Network

Frame: TypeAlias = Mapping[str, Any]
Sent: TypeAlias = dict[str, Any] | bytes
ORIGIN: Final = "https://backend.example.com"
TOKEN: Final = "the token of an account"
ACCOUNT: Final = "AC" + "7" * 32
END: Final = "a person please"
WORDS: Final = tuple(f"word{number}{'. ' if number % 5 == 0 else ' '}" for number in range(1, 16))
WORD_SECONDS: Final = 0.002
TWIML: Final = (
    '<?xml version="1.0" encoding="UTF-8"?><Response><Connect action="/ended"><ConversationRelay '
    'url="wss://backend.example.com/relay/{sid}" applicationReconnect="true"/></Connect></Response>'
)
_TYPES: Final = frozenset({"setup", "prompt", "interrupt", "dtmf", "info", "error"})


def _never(_: Any) -> bool:
    return False


def _same(value: Any) -> Any:
    return value


@dataclass(slots=True, frozen=True, kw_only=True)
class Fault:
    """What a backend does wrong. Nothing, as it stands."""

    kind: str = ""
    """Looked for where it is done."""
    breaks_on: Callable[[Frame], bool] = _never
    """Frames at which the connection breaks."""
    deaf_to: Callable[[Frame], bool] = _never
    """Frames that it does not take in."""
    answers: Callable[[Frame], bool] = _never
    """Frames that it answers as if they were final prompts."""
    reply: Callable[[list[dict[str, Any]]], list[Any]] = _same
    """What becomes of the frames of an answer."""
    end: Callable[[dict[str, Any]], list[dict[str, Any]]] = lambda frame: [frame]
    """What becomes of the end of a session."""
    twiml: Callable[[str], str] = _same
    voice_status: Callable[[Frame], int] = lambda form: 200
    action_status: Callable[[Frame], int] = lambda form: 200


@dataclass(slots=True, eq=False)
class _Talk:
    """One socket."""

    ws: web.WebSocketResponse
    request: web.Request
    was_set_up: bool = False
    reply: asyncio.Task[None] | None = None
    heard: set[str] = field(default_factory=set)

    @property
    def is_speaking(self) -> bool:
        return self.reply is not None and not self.reply.done()

    def break_off(self) -> None:
        assert self.request.transport is not None
        self.request.transport.abort()


class RelayBackend:
    """The server's state."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.network = Network(ORIGIN, ORIGIN, TOKEN)
        self._open = 0
        self._known: set[str] = set()
        """The calls whose setup came, on whichever socket."""
        self._died = False
        self._over = asyncio.Event()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve while the block runs: the base URL."""
        app = web.Application()
        app.router.add_post("/voice", self._voice)
        app.router.add_post("/ended", self._ended)
        app.router.add_get("/relay/{sid}", self._relay)
        async with TestServer(app) as server:
            yield str(server.make_url("")).rstrip("/")
            self._over.set()

    def _refuses(self, request: web.Request, scheme: str, form: Mapping[str, str]) -> bool:
        if self.fault.kind == "checks nothing":
            return False
        if self.fault.kind == "drops blank fields":
            form = {name: value for name, value in form.items() if value}
        url = f"{ORIGIN.replace('https', scheme)}{request.raw_path}"
        return request.headers.get("X-Twilio-Signature") != self.network.sign(url, form)

    async def _voice(self, request: web.Request) -> web.Response:
        form: dict[str, str] = {name: str(value) for name, value in (await request.post()).items()}
        if self._refuses(request, "https", form):
            return web.Response(status=403)
        text = self.fault.twiml(TWIML.format(sid=form["CallSid"]))
        return web.Response(text=text, content_type="text/xml", status=self.fault.voice_status(form))

    async def _ended(self, request: web.Request) -> web.Response:
        form: dict[str, str] = {name: str(value) for name, value in (await request.post()).items()}
        if self._refuses(request, "https", form):
            return web.Response(status=403)
        again = form["SessionStatus"] == "failed" and self.fault.kind != "gives calls up"
        text = TWIML.format(sid=form["CallSid"]) if again else "<Response/>"
        return web.Response(text=text, content_type="text/xml", status=self.fault.action_status(form))

    async def _relay(self, request: web.Request) -> web.StreamResponse:
        kind = self.fault.kind
        if self._refuses(request, "wss", {}) or kind == "no socket" or self._died:
            return web.Response(status=403)
        sid = request.match_info["sid"]
        if kind == "one socket" and sid in self._known:
            return web.Response(status=403)
        if kind == "no compression" and "Sec-WebSocket-Extensions" in request.headers:
            return web.Response(status=400)
        ws = web.WebSocketResponse(
            autoping=kind != "no pong", autoclose=kind != "no close", decode_text=kind != "any bytes"
        )
        await ws.prepare(request)
        talk = _Talk(ws, request, was_set_up=sid in self._known and kind != "forgets")
        self._open += 1
        try:
            await self._talk(talk)
        finally:
            self._open -= 1
            self._died = kind == "dies with a call" and ws.close_code != 1000
            if talk.reply is not None:
                talk.reply.cancel()
        return ws

    async def _talk(self, talk: _Talk) -> None:
        if self.fault.kind == "talks first":
            await talk.ws.send_json({"type": "text", "token": "Hello.", "last": True})
        while True:
            try:
                async with asyncio.timeout(0.1 if self.fault.kind == "impatient" else None):
                    message = await talk.ws.receive()
            except TimeoutError:
                await talk.ws.close(code=1000)
                return
            if message.type is WSMsgType.TEXT:
                await self._take(talk, message.data)
            elif message.type is WSMsgType.BINARY:
                if self.fault.kind == "crashes":
                    talk.break_off()
            elif message.type is WSMsgType.PING:
                pass
            else:
                if self.fault.kind == "no close":
                    await self._over.wait()
                return

    async def _take(self, talk: _Talk, data: str | bytes) -> None:
        frame = _frame(data)
        if frame is None:
            if self.fault.kind == "crashes":
                talk.break_off()
            return
        fault = self.fault
        speaking = talk.is_speaking
        if fault.breaks_on(frame) or (
            (fault.kind == "breaks while speaking" and frame["type"] == "prompt" and speaking)
            or (fault.kind == "breaks on idle interrupt" and frame["type"] == "interrupt" and not speaking)
        ):
            talk.break_off()
        elif not fault.deaf_to(frame):
            await self._act(talk, frame)

    async def _act(self, talk: _Talk, frame: Frame) -> None:
        match frame["type"]:
            case "setup":
                if self._is_strange(talk, frame):
                    await talk.ws.send_json({"type": "end"})
                else:
                    talk.was_set_up = True
                    self._known.add(frame["callSid"])
            case "prompt" if frame["last"] and frame["voicePrompt"].strip():
                if talk.was_set_up or self.fault.kind == "needs no setup":
                    await self._answer(talk, frame["voicePrompt"])
            case "prompt":
                talk.heard.add(frame["voicePrompt"])
            case "interrupt" if talk.reply is not None and self.fault.kind != "talks on":
                talk.reply.cancel()
        if self.fault.answers(frame):
            await talk.ws.send_json({"type": "text", "token": "Hello.", "last": True})

    def _is_strange(self, talk: _Talk, setup: Frame) -> bool:
        if self.fault.kind == "takes any setup":
            return False
        sid = talk.request.match_info["sid"]
        return bool(setup["accountSid"] != ACCOUNT or sid not in ("any", setup["callSid"]))

    async def _answer(self, talk: _Talk, words: str) -> None:
        kind = self.fault.kind
        if (kind == "answers once" and words in talk.heard) or (kind == "one call" and self._open > 1):
            return
        talk.heard.add(words)
        if words == END:
            await talk.ws.send_json({"type": "text", "token": "As you wish.", "last": True})
            for frame in self.fault.end({"type": "end", "handoffData": '{"reason":"asked"}'}):
                await talk.ws.send_json(frame)
            return
        if talk.reply is not None:
            talk.reply.cancel()
        talk.reply = asyncio.create_task(self._speak(talk))

    async def _speak(self, talk: _Talk) -> None:
        frames: list[dict[str, Any]] = [{"type": "text", "token": word, "last": False} for word in WORDS]
        frames.append({"type": "text", "token": "", "last": True})
        for frame in self.fault.reply(frames):
            await asyncio.sleep(WORD_SECONDS)
            if isinstance(frame, bytes):
                await talk.ws.send_bytes(frame)
            else:
                await talk.ws.send_json(frame)
        if self.fault.kind == "closes after a reply":
            await talk.ws.close(code=1000)


def _frame(data: str | bytes) -> Frame | None:
    """One frame, if it is one."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("type"), str):
        return None
    needed = {"prompt": ("voicePrompt", "last"), "dtmf": ("digit",)}.get(found["type"], ())
    if any(not isinstance(found.get(name), str | bool) for name in needed):
        return None
    return found


def is_known(frame: Frame) -> bool:
    """Whether a frame is of a type that is documented."""
    return frame["type"] in _TYPES


def nth(count: int, kind: str) -> Callable[[Frame], bool]:
    """True for the n-th frame of a type, on whichever socket."""
    seen = 0

    def holds(frame: Frame) -> bool:
        nonlocal seen
        seen += frame["type"] == kind
        return bool(frame["type"] == kind and seen == count)

    return holds
