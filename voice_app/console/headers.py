"""What a request tells of where it comes from, and what each answer tells a browser."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_app.settings import SANDBOX_DOMAIN
from voice_app.webhooks import read_body

MAX_FORM: Final = 64 * 1024
"""Bytes."""
SAFE: Final = frozenset({"GET", "HEAD"})
"""Methods that change nothing."""
SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_OF_PROXIES: Final = (
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
)
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1", SANDBOX_DOMAIN})


def api_error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """What a program is told that cannot have what it asks for."""
    return JSONResponse({"error": message}, status, headers=headers)


def is_near(request: Request) -> bool:
    """Whether a private address asks, and no proxy or tunnel that does so for others."""
    if request.client is None or any(name in request.headers for name in _OF_PROXIES):
        return False
    try:
        return ip_address(request.client.host).is_private
    except ValueError:
        return False


def same_origin(request: HTTPConnection) -> bool:
    """Whether a page of ours sent this, or no page at all. Browsers say so and no page can change it."""
    if (site := request.headers.get("sec-fetch-site")) is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or (urlsplit(origin).hostname or "") == host_of(request)


async def form_of(request: Request) -> Mapping[str, str]:
    """The fields of a form; none if it is no form, or a large one. May be asked for again."""
    found: Mapping[str, str] | None = getattr(request.state, "form", None)
    if found is None:
        found = {}
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            body = await read_body(request.receive, request.headers, MAX_FORM) or b""
            found = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
        request.state.form = found
    return found


def is_loopback(request: HTTPConnection) -> bool:
    """Whether the browser calls us by a name of its own machine."""
    return host_of(request) in _LOOPBACK


def host_of(request: HTTPConnection) -> str:
    """The name that we are asked under, without a port; empty where there is none."""
    try:
        return (urlsplit(f"//{request.headers.get('host', '')}").hostname or "").lower()
    except ValueError:
        return ""


class SecurityHeaders:
    """ASGI middleware: every answer of the console has `SECURITY_HEADERS`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, sent)
