"""``/api/…``: a supervisor follows the calls, pulls a live one to a person, or ends it.

Who may is told by `voice_app.console.access`.

``GET /api/feed`` tells what happens on the calls, as it happens, as server-sent events. Each is one entry of
the journal: ``{"id", "at", "call_sid", "event"}``. ``?call=CA…`` follows one call.
"""

from __future__ import annotations

import asyncio
import json
from asyncio import FIRST_COMPLETED
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from voice_app.agents import EndCall, Transfer
from voice_app.calls import CallState, HandoffState
from voice_app.console.access import Access, Visitor, api_error
from voice_app.journal import Entry, JournalError
from voice_app.journal.events import Closed
from voice_app.runtime import Services
from voice_app.runtime.call_transfer import MAX_REASON, MAX_SUMMARY, CallTransfer
from voice_app.settings import Role
from voice_app.twilio import ApiError
from voice_app.webhooks import CALL_SID, read_body

MAX_BODY: Final = 16 * 1024
"""Bytes."""
_STATUSES: Final[dict[int, int]] = {404: 404, 400: 409}
"""What we answer where Twilio refuses: it does not know the call, or the call is over by now (21220)."""
HEARTBEAT_SECONDS: Final = 15.0
"""A line is sent at least this often, so that a proxy keeps the connection."""


def api_routes(services: Services, access: Access) -> list[BaseRoute]:
    async def handoff(request: Request, visitor: Visitor) -> Response:
        body = await _body(request)
        if body is None:
            return api_error(400, "the body is no JSON object with `reason` and `summary`")
        reason, summary = body.get("reason", "supervisor"), body.get("summary", "")
        if not isinstance(reason, str) or not isinstance(summary, str):
            return api_error(400, "`reason` and `summary` are texts")
        return await _leave(services, request, Transfer(reason[:MAX_REASON], summary[:MAX_SUMMARY]))

    async def end(request: Request, visitor: Visitor) -> Response:
        return await _leave(services, request, EndCall("supervisor"))

    async def follow(request: Request, visitor: Visitor) -> Response:
        return await _feed(request, services, visitor)

    return [
        Route("/api/feed", access.api(Role.WATCH, follow), methods=["GET"]),
        Route("/api/calls/{call_sid}/handoff", access.api(Role.ACT, handoff), methods=["POST"]),
        Route("/api/calls/{call_sid}/end", access.api(Role.ACT, end), methods=["POST"]),
    ]


async def _leave(services: Services, request: Request, action: Transfer | EndCall) -> Response:
    """Let the agent say its last words where it has the call; else tell Twilio to take the call away."""
    call_sid = request.path_params["call_sid"]
    if CALL_SID.fullmatch(call_sid) is None:
        return api_error(404, "that is no CallSid")
    connection = services.registry.sessions.get(call_sid)
    if connection is None or not connection.leave(action):
        try:
            state = CallState.of(await services.journal.events(call_sid))
            if (refusal := await _refusal(services, call_sid, state)) is not None:
                return refusal
            await _take_away(services, call_sid, state, action)
        except JournalError as error:
            return api_error(503, f"the journal cannot be read, so try again: {error}")
        except ApiError as error:
            return api_error(_STATUSES.get(error.status or 0, 502), str(error))
    return JSONResponse({"call_sid": call_sid, "accepted": True}, 202)


async def _refusal(services: Services, call_sid: str, state: CallState) -> Response | None:
    """Why nothing can be done about a call: it is none of ours, or over. Raises `ApiError`."""
    if not state.opened:
        return api_error(404, f"no call {call_sid} is known here")
    if state.events(Closed) or (await services.calls.fetch(call_sid)).over:
        return api_error(409, f"the call {call_sid} is over")
    return None


async def _take_away(services: Services, call_sid: str, state: CallState, action: Transfer | EndCall) -> None:
    """Raises `ApiError`."""
    if isinstance(action, EndCall):
        await services.calls.complete(call_sid)
        return
    transfer = CallTransfer(services, call_sid, state)
    await transfer.begin(action)
    if transfer.handoff.state is HandoffState.REQUESTED:  # else a person is being rung already
        await transfer.redirect()


async def _feed(request: Request, services: Services, visitor: Visitor) -> Response:
    """Follow the calls until the client has enough, or the server stops."""
    lines = _lines(services, request.query_params.get("call", ""))
    return StreamingResponse(lines, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _lines(services: Services, call_sid: str) -> AsyncIterator[bytes]:
    end = asyncio.create_task(services.stopping.wait())
    coming: asyncio.Task[Entry] | None = None
    alarm = asyncio.create_task(services.watch.changed())
    try:
        with services.journal.feed() as entries:
            yield b": connected\n\n"
            if services.watch.alarm:
                yield _alarm(services.watch.alarm)
            while not end.done():
                coming = coming or asyncio.create_task(entries.get())
                waiting = {coming, end, alarm}
                await asyncio.wait(waiting, timeout=HEARTBEAT_SECONDS, return_when=FIRST_COMPLETED)
                if alarm.done():
                    alarm = asyncio.create_task(services.watch.changed())
                    yield _alarm(services.watch.alarm)
                    continue
                if not coming.done():
                    yield b": still here\n\n"
                    continue
                entry, coming = coming.result(), None
                if call_sid in ("", entry.call_sid):
                    yield _line(entry)
    finally:
        end.cancel()
        alarm.cancel()
        if coming is not None:
            coming.cancel()


def _alarm(text: str) -> bytes:
    """The guard's alarm as an event of its own kind; empty: it is over."""
    return b"event: alarm\ndata: " + msgspec.json.encode({"alarm": text}) + b"\n\n"


def _line(entry: Entry) -> bytes:
    told = {"id": entry.id, "at": entry.at, "call_sid": entry.call_sid, "event": entry.event}
    return b"data: " + msgspec.json.encode(told) + b"\n\n"


async def _body(request: Request) -> dict[str, Any] | None:
    """The JSON object of a request, empty if there is no body; None for anything else."""
    data = await read_body(request, MAX_BODY)
    if data is None:
        return None
    if not data:
        return {}
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None
