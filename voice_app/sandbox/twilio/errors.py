"""How the double refuses a request: both shapes that Twilio's errors are seen in, and faults on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

ErrorShape = Literal["A", "B"]
"""A: ``code, message, more_info, status``. B: ``code, httpStatusCode, message, userError, params``."""


class RefusedRequestError(Exception):
    """A request that Twilio would refuse."""

    def __init__(
        self,
        status: int,
        code: int,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers
        self.params = params

    def response(self, shape: ErrorShape) -> JSONResponse:
        if shape == "A":
            body: dict[str, Any] = {
                "code": self.code,
                "message": self.message,
                "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
                "status": self.status,
            }
        else:
            body = {
                "code": self.code,
                "httpStatusCode": self.status,
                "message": self.message,
                "userError": self.status < 500,
                "params": dict(self.params or {}),
            }
        return JSONResponse(body, self.status, self.headers)


def invalid(message: str, **params: Any) -> RefusedRequestError:
    """400, as for everything that does not fit the schema."""
    return RefusedRequestError(400, 20001, message, params=params)


def not_found(what: str) -> RefusedRequestError:
    return RefusedRequestError(404, 20404, f"The requested resource {what} was not found")


def conflict(message: str, existing: str) -> RefusedRequestError:
    """409 with the id of what stands in the way."""
    return RefusedRequestError(409, 20409, message, headers={"X-Conflicting-Resource-Id": existing})


_CODES = {401: 20003, 403: 20003, 404: 20404, 409: 20409, 429: 20429, 500: 20500, 503: 20503}


class Fault(msgspec.Struct, forbid_unknown_fields=True):
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
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    """Of the answer, e.g. ``Retry-After``."""
    times: int | None = 1
    """How many requests it hits; None means all."""

    def matches(self, request: Request) -> bool:
        return self.method in (None, request.method) and fnmatchcase(request.url.path, self.path)

    async def strike(self, shape: ErrorShape) -> Response | None:
        """The answer instead of the real one; None if the request may pass."""
        try:
            await asyncio.sleep(self.delay)
        except asyncio.CancelledError:
            # The server stops. This task is its own, and an answer ends it; else uvicorn logs a traceback.
            return RefusedRequestError(503, 20503, "The double is stopping").response(shape)
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
        return RefusedRequestError(self.status, code, "A fault that was asked for", headers=headers).response(
            shape
        )


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
