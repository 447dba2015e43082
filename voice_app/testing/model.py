"""A model that says what a test tells it to: OpenAI-compatible, with faults, record and replay."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp import web

MAX_REQUEST: Final = 1 << 24
"""Bytes."""


@dataclass(slots=True, kw_only=True)
class ScriptedAnswer:
    """One answer of the model's, and what may go wrong with it."""

    text: str = ""
    tools: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    delay: float = 0.0
    """Seconds of the call before it begins."""
    status: int = 200
    """From 400 on it is an error."""
    breaks_off: bool = False
    """The connection is lost after the text."""


@dataclass(slots=True)
class _Rule:
    """An answer to every request whose last message fits."""

    pattern: re.Pattern[str]
    answer: ScriptedAnswer


class ScriptedModel:
    """Answers in the order in which it was told to; ``requests`` are what it was asked."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.unanswered: list[str] = []
        """What it was asked, and had no answer to."""
        self.base_url = ""
        self._answers: list[ScriptedAnswer] = []
        self._rules: list[_Rule] = []
        self._tape: _Tape | None = None

    # --- what a test tells it --------------------------------------------------------------------

    def says(self, text: str, *, delay: float = 0.0) -> None:
        """The next answer, word by word."""
        self.answers(text=text, delay=delay)

    def calls(self, name: str, /, **arguments: Any) -> None:
        """The next answer calls a tool; what it says about the result is the answer after that."""
        self.answers(tools=[(name, arguments)])

    def fails(self, status: int = 500, *, delay: float = 0.0) -> None:
        """The next answer is an error."""
        self.answers(status=status, delay=delay)

    def breaks_off(self, text: str) -> None:
        """The next answer stops in the middle: after this text the connection is lost."""
        self.answers(text=text, breaks_off=True)

    def answers(self, **answer: Any) -> None:
        """The next answer, with everything that a `ScriptedAnswer` has."""
        self._answers.append(ScriptedAnswer(**answer))

    def whenever(self, pattern: str, **answer: Any) -> None:
        """Answer so, once the others are used up, to every request whose last message has this pattern."""
        self._rules.append(_Rule(re.compile(pattern, re.IGNORECASE), ScriptedAnswer(**answer)))

    def replays(self, file: Path, *, real: str = "", key: str = "") -> None:
        """Answer as recorded in a file; what is not in it is asked of the ``real`` endpoint, and recorded.

        Without ``real`` that is an error: a test that is repeated asks what it asked before.
        """
        self._tape = _Tape(file, real, key)

    # --- the endpoint ----------------------------------------------------------------------------

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """``POST /chat/completions``"""
        body = await request.read()
        asked = msgspec.json.decode(body)
        self.requests.append(asked)
        if self._tape is not None:
            return await self._tape.play(request, asked, body)
        said = str((asked.get("messages") or [{}])[-1].get("content") or "")
        answer = self._next(said)
        if answer is None:
            self.unanswered.append(said)
            told = f"the test has no answer of the model to: {said}"
            return web.json_response({"error": {"message": told}}, status=501)
        await asyncio.sleep(answer.delay)
        if answer.status >= 400:
            told = answer.text or "a fault of the test"
            return web.json_response({"error": {"message": told}}, status=answer.status)
        if not asked.get("stream"):
            return web.json_response(_whole(answer))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for delta in _deltas(answer):
            await response.write(_chunk(delta))
        if answer.breaks_off:
            if request.transport is not None:
                request.transport.abort()
            return response
        await response.write(_chunk({}, "tool_calls" if answer.tools else "stop") + b"data: [DONE]\n\n")
        return response

    async def models(self, request: web.Request) -> web.Response:
        """``GET /models``"""
        return web.json_response({"object": "list", "data": [{"id": "scripted", "object": "model"}]})

    def _next(self, said: str) -> ScriptedAnswer | None:
        if self._answers:
            return self._answers.pop(0)
        return next((rule.answer for rule in self._rules if rule.pattern.search(said)), None)


@asynccontextmanager
async def serve_model(model: ScriptedModel) -> AsyncIterator[None]:
    """Serve it on loopback while the block runs."""
    app = web.Application(client_max_size=MAX_REQUEST, handler_args={"handler_cancellation": True})
    app.add_routes([web.post("/v1/chat/completions", model.complete), web.get("/v1/models", model.models)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        model.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield
    finally:
        await runner.cleanup()


def _deltas(answer: ScriptedAnswer) -> list[dict[str, Any]]:
    """The answer word by word, then its tools."""
    deltas: list[dict[str, Any]] = [
        {"content": word} for word in re.findall(r"\s*\S+\s*$|\s*\S+", answer.text)
    ]
    return [
        *deltas,
        *({"tool_calls": [{"index": at, **call}]} for at, call in enumerate(_tool_calls(answer))),
    ]


def _tool_calls(answer: ScriptedAnswer) -> list[dict[str, Any]]:
    return [
        {"id": f"call_{at}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for at, (name, given) in enumerate(answer.tools)
    ]


def _chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + msgspec.json.encode({"object": "chat.completion.chunk", "choices": [choice]}) + b"\n\n"


def _whole(answer: ScriptedAnswer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
    if answer.tools:
        message["tool_calls"] = _tool_calls(answer)
    finish = "tool_calls" if answer.tools else "stop"
    return {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
    }


# --- record and replay ----------------------------------------------------------------------------


class _Tape:
    """Answers in a file, by what was asked: one JSON object, whose values can be read and reviewed."""

    def __init__(self, file: Path, real: str, key: str) -> None:
        self._file = file
        self._real = real.rstrip("/")
        self._key = key
        self._answers: dict[str, Mapping[str, str]] = (
            json.loads(file.read_text("utf-8")) if file.exists() else {}
        )

    async def play(self, request: web.Request, asked: dict[str, Any], body: bytes) -> web.StreamResponse:
        name = hashlib.sha256(msgspec.json.encode(_essence(asked), order="sorted")).hexdigest()[:16]
        if name not in self._answers and not self._real:
            told = f"{self._file} has no answer to this request: record it again"
            return web.json_response({"error": {"message": told}}, status=501)
        if name not in self._answers:
            self._answers[name] = await self._ask(asked, body)
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps(self._answers, indent=1, ensure_ascii=False) + "\n", "utf-8")
        found = self._answers[name]
        return web.Response(
            text=found["body"], status=int(found["status"]), headers={"Content-Type": found["type"]}
        )

    async def _ask(self, asked: dict[str, Any], body: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{self._real}/chat/completions", data=body, headers=headers) as response,
        ):
            said = str((asked.get("messages") or [{}])[-1].get("content") or "")
            return {
                "asked": said[:200],
                "status": str(response.status),
                "type": response.headers.get("Content-Type", "application/json"),
                "body": await response.text(),
            }


def _essence(asked: dict[str, Any]) -> dict[str, Any]:
    """What an answer depends on."""
    return {name: asked.get(name) for name in ("model", "messages", "tools", "temperature")}
