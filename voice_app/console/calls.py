"""``/api/…``: a supervisor follows the calls, pulls a live one to a person, or ends it.

Closed unless ``VOICE_APP_API_TOKEN`` is set; then it takes that token as ``Authorization: Bearer …``.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from voice_app.agents.protocol import EndCall, Transfer
from voice_app.calls import CallState
from voice_app.console.feed import feed
from voice_app.handoff import Step
from voice_app.journal.events import HandedOff
from voice_app.twilio import ApiError
from voice_app.webhooks import Desk
from voice_app.webhooks.desk import PULLED
from voice_app.webhooks.signed import CALL_SID

MAX_BODY = 16 * 1024


def routes(desk: Desk) -> list[BaseRoute]:
    async def handoff(request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return _error(400, "the body is no JSON object with `reason` and `summary`")
        reason, summary = body.get("reason", "supervisor"), body.get("summary", "")
        if not isinstance(reason, str) or not isinstance(summary, str):
            return _error(400, "`reason` and `summary` are texts")
        return await _leave(desk, request, Transfer(reason[:100], summary[:2000]))

    async def end(request: Request) -> Response:
        return await _leave(desk, request, EndCall("supervisor"))

    async def follow(request: Request) -> Response:
        return await feed(request, desk.journal, desk.stopping)

    return [
        Route("/api/feed", _authorised(desk, follow), methods=["GET"]),
        Route("/api/calls/{call_sid}/handoff", _authorised(desk, handoff), methods=["POST"]),
        Route("/api/calls/{call_sid}/end", _authorised(desk, end), methods=["POST"]),
    ]


async def _leave(desk: Desk, request: Request, action: Transfer | EndCall) -> Response:
    """Let the agent finish its sentence where it has the call; else tell Twilio to take the call away."""
    call_sid = request.path_params["call_sid"]
    if CALL_SID.fullmatch(call_sid) is None:
        return _error(404, "that is no CallSid")
    connection = desk.sessions.get(call_sid)
    if connection is None or not connection.leave(action):
        try:
            await _take_away(desk, call_sid, action)
        except ApiError as error:
            return _error(404 if error.status in (400, 404) else 502, str(error))
    return JSONResponse({"call_sid": call_sid, "accepted": True}, 202)


async def _take_away(desk: Desk, call_sid: str, action: Transfer | EndCall) -> None:
    if isinstance(action, EndCall):
        await desk.calls.complete(call_sid)
        return
    requested = HandedOff("requested", action.reason, action.summary)
    if not CallState.of(await desk.entries(call_sid)).handoff.allows(Step.REQUESTED):
        return  # a person is being rung already
    desk.journal.write(call_sid, requested)
    await desk.calls.redirect(call_sid, desk.settings.origin + PULLED)


def _authorised(
    desk: Desk, handler: Callable[[Request], Awaitable[Response]]
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        token = desk.settings.api_token
        if token is None:
            return _error(403, "the API is closed: set VOICE_APP_API_TOKEN to open it")
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        wanted = token.get_secret_value().encode()
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), wanted):
            return _error(401, "the bearer token is missing or wrong")
        return await handler(request)

    return endpoint


async def _body(request: Request) -> dict[str, Any] | None:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY:
            return None
    if not data:
        return {}
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _error(status: int, message: str) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse({"error": message}, status, headers=headers)
