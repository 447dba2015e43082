"""The door that every Twilio webhook comes through: limits, signature, account, and never silence."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from voice_app import telemetry
from voice_app.webhooks.desk import LAST_RESORT, OVER, Desk, twiml
from voice_app.webhooks.signature import Form, RefusedError

MAX_BODY = 256 * 1024
"""Bytes. Twilio's forms have a few kilobytes; handoff data is the largest part."""
SECONDS_TO_SETTLE = 0.25
"""How long an answer waits until other servers can read what it follows from."""
CALL_SID = re.compile(r"CA[0-9a-fA-F]{32}")

Handler = Callable[[Desk, Form], Awaitable[Response]]

log = logging.getLogger(__name__)


def call_route(path: str, handler: Handler, desk: Desk) -> Route:
    """A route on which Twilio asks about a call. The handler gets a form with a valid ``CallSid``.

    If it fails, the caller still hears a polite sentence: the failure goes to our log.
    """

    async def endpoint(request: Request) -> Response:
        try:
            form = await _form(request, desk)
        except RefusedError as error:
            log.warning("refused %s %s: %s", request.method, path, error)
            telemetry.REFUSED.labels("request").inc()
            return PlainTextResponse("Forbidden", 403)
        if form is None:
            return PlainTextResponse("Payload too large", 413)
        if CALL_SID.fullmatch(form.get("CallSid", "")) is None:
            return PlainTextResponse("CallSid is missing or malformed", 400)
        form.path = request.path_params
        if form.get("CallStatus") in OVER:
            desk.roster.over(form["CallSid"])
        try:
            response = await handler(desk, form)
        except Exception:
            log.exception("call %s: %s failed", form["CallSid"], path)
            response = twiml(LAST_RESORT)
        if desk.journal.shared:
            # Twilio may put its next question, which follows from this answer, to another server.
            await desk.journal.settle(SECONDS_TO_SETTLE)
        return response

    return Route(path, endpoint, methods=["GET", "POST"])


async def _form(request: Request, desk: Desk) -> Form | None:
    """The signed fields of a request, or `None` if its body is too large. Raises `RefusedError`."""
    body = await body_of(request)
    if body is None:
        return None
    form = desk.signatures.check_request(request.method, target(request), request.headers, body)
    account = form.get("AccountSid")
    if account is not None and account != desk.settings.account_sid:
        raise RefusedError("it is about another account (AccountSid)")
    return form


async def body_of(request: Request) -> bytes | None:
    """The body as it came, or `None` if it is too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    return bytes(body)


def target(connection: Request) -> str:
    """The raw path and query, byte for byte as they stood in the request line."""
    return raw_target(connection.scope["raw_path"], connection.scope["query_string"])


def raw_target(path: bytes, query: bytes) -> str:
    return (path + b"?" + query if query else path).decode("latin-1")
