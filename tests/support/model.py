"""A model's endpoint that sends what a test scripts, for faults that the mock server does not know."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web


@dataclass
class Answer:
    """One scripted answer: ``parts`` are written one by one, `None` waits until the client is gone."""

    parts: list[bytes | None]
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "text/event-stream"})


class ScriptedModel:
    """Answers requests in the order of `answers`, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.queries: list[str] = []
        self.warmed = 0
        self.connections: set[Any] = set()
        self.asked = asyncio.Event()
        self.left = asyncio.Event()
        """Set when a client went away in the middle of an answer."""
        self.base_url = ""

    def say(self, *texts: str, finish: str = "stop") -> None:
        """An ordinary answer."""
        self.events(*({"content": text} for text in texts), finish=finish)

    def call(self, *calls: tuple[str, str, str], text: str = "") -> None:
        """An answer that calls tools: id, name and arguments each."""
        deltas: list[dict[str, Any]] = [{"content": text}] if text else []
        for index, (id_, name, arguments) in enumerate(calls):
            function = {"name": name, "arguments": arguments}
            deltas.append({"tool_calls": [{"index": index, "id": id_, "function": function}]})
        self.events(*deltas, finish="tool_calls")

    def events(self, *deltas: dict[str, Any], finish: str | None = "stop", done: bool = True) -> None:
        chunks = [event({"choices": [{"delta": delta}]}) for delta in deltas]
        if finish is not None:
            chunks.append(event({"choices": [{"delta": {}, "finish_reason": finish}]}))
        if done:
            chunks.append(b"data: [DONE]\n\n")
        self.answers.append(Answer([*chunks]))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.connections.add(request.transport)
        self.requests.append(msgspec.json.decode(await request.read()))
        self.headers.append(dict(request.headers))
        self.queries.append(request.query_string)
        self.asked.set()
        answer = self.answers.pop(0)
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        await response.prepare(request)
        try:
            for part in answer.parts:
                if part is None:
                    await asyncio.Event().wait()
                else:
                    await response.write(part)
        except (asyncio.CancelledError, ConnectionError):
            self.left.set()
            raise
        return response

    async def moved(self, request: web.Request) -> web.Response:
        """Sends on to where the model is now."""
        return web.Response(status=307, headers={"Location": "/v1/chat/completions"})

    async def models(self, request: web.Request) -> web.Response:
        self.connections.add(request.transport)
        self.warmed += 1
        return web.json_response({"data": []})


def event(value: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"
