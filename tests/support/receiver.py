"""Somebody who takes call reports, checks their signatures, and may be in trouble."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


@dataclass(slots=True)
class Receiver:
    """What came in, in order. ``answers`` are the statuses to come; then all is well."""

    url: str = ""
    ids: list[str] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    content: dict[str, Any] | str | None = None
    """The JSON of every answer; a text goes as it is."""
    headers: dict[str, str] = field(default_factory=dict)
    """Of every answer."""
    before_answer: list[Callable[[], None]] = field(default_factory=list)
    """Called once each, when a report has come in and nothing is answered."""
    after_answer: list[Callable[[], None]] = field(default_factory=list)
    """Called once each, when the answer is on its way."""
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        check(request.headers, body)
        assert request.headers["Idempotency-Key"] == request.headers["webhook-id"]
        async with self._arrived:
            self.ids.append(request.headers["webhook-id"])
            self.reports.append(json.loads(body))
            self._arrived.notify_all()
        if self.before_answer:
            self.before_answer.pop(0)()
            raise ConnectionAbortedError("nothing is answered")
        status = self.answers.pop(0) if self.answers else 204
        text = (
            self.content
            if self.content is None or isinstance(self.content, str)
            else json.dumps(self.content)
        )
        response = web.Response(status=status, headers=self.headers, text=text)
        await response.prepare(request)
        await response.write_eof()
        if self.after_answer:
            self.after_answer.pop(0)()
        return response

    async def get(self, number: int) -> dict[str, Any]:
        """The ``number``-th report, counted from 1, as soon as it is there."""
        async with asyncio.timeout(30), self._arrived:
            await self._arrived.wait_for(lambda: len(self.reports) >= number)
        return self.reports[number - 1]


def check(headers: Any, body: bytes) -> None:
    """Check a signature as the specification of Standard Webhooks tells a receiver to."""
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(KEY, content, hashlib.sha256).digest()).decode()
    assert f"v1,{expected}" in headers["webhook-signature"].split()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application(client_max_size=32 * 1024 * 1024)
    app.router.add_post("/calls", receiver.handle)
    async with TestServer(app) as server:
        receiver.url = str(server.make_url("/calls"))
        yield receiver
