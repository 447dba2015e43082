"""What can go wrong on purpose."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from voice_app.sandbox.twilio.errors import RefusedError, Shape

_CODES = {401: 20003, 403: 20003, 404: 20404, 409: 20409, 429: 20429, 500: 20500, 503: 20503}


@dataclass(slots=True)
class Fault:
    """One way to fail, for the requests that it matches."""

    path: str = "*"
    """Shell pattern of the path, product included, e.g. ``/conversations/v2/Conversations*``."""
    method: str | None = None
    """None matches every method."""
    status: int | None = None
    """None lets the request through, once the delay is over."""
    code: int | None = None
    """Twilio's error code; None takes the usual one of the status."""
    html: bool = False
    """Answer with a page instead of JSON, as a proxy does."""
    body: str | None = None
    """Answer with exactly this, as JSON by its type only."""
    delay: float = 0.0
    """Seconds before the answer."""
    headers: dict[str, str] = field(default_factory=dict)
    """Of the answer, e.g. ``Retry-After``."""
    times: int | None = 1
    """How many requests it hits; None means all."""

    def matches(self, request: Request) -> bool:
        return self.method in (None, request.method) and fnmatchcase(request.url.path, self.path)

    async def strike(self, shape: Shape) -> Response | None:
        """The answer instead of the real one; None if the request may pass."""
        try:
            await asyncio.sleep(self.delay)
        except asyncio.CancelledError:
            # The server stops. This task is its own, and an answer ends it; else uvicorn logs a traceback.
            return RefusedError(503, 20503, "The double is stopping").response(shape)
        headers = self.headers
        if self.html:
            page = "<!DOCTYPE html><html><body><h1>Bad gateway</h1></body></html>"
            return HTMLResponse(page, self.status or 200, headers)
        if self.body is not None:
            return Response(self.body, self.status or 200, headers, "application/json")
        if self.status is None:
            return None
        if self.status < 400:
            return JSONResponse({}, self.status, headers)
        code = self.code or _CODES.get(self.status, 20001)
        return RefusedError(self.status, code, "A fault that was asked for", headers=headers).response(shape)


@dataclass(slots=True)
class Faults:
    """The faults that are waiting. The first that matches a request hits it."""

    waiting: list[Fault] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        self.waiting.append(fault)

    def take(self, request: Request) -> Fault | None:
        for fault in self.waiting:
            if fault.matches(request):
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self.waiting.remove(fault)
                return fault
        return None
