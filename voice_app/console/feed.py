"""``GET /api/feed``: what happens on the calls, as it happens, as server-sent events.

Each event is one entry of the journal: ``{"id", "at", "call_sid", "event"}``. ``?call=CA…`` follows one call.
"""

from __future__ import annotations

import asyncio
from asyncio import FIRST_COMPLETED
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from voice_app.journal import Entry, Journal

HEARTBEAT_SECONDS: Final = 15.0
"""A line is sent at least this often, so that a proxy keeps the connection."""


async def feed(request: Request, journal: Journal, stopping: asyncio.Event) -> Response:
    """Follow the calls until the client has enough, or the server is ``stopping``."""
    lines = _lines(journal, request.query_params.get("call", ""), stopping)
    return StreamingResponse(lines, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _lines(journal: Journal, call_sid: str, stopping: asyncio.Event) -> AsyncIterator[bytes]:
    end = asyncio.create_task(stopping.wait())
    coming: asyncio.Task[Entry] | None = None
    try:
        with journal.feed() as entries:
            yield b": connected\n\n"
            while not end.done():
                coming = coming or asyncio.create_task(entries.get())
                await asyncio.wait({coming, end}, timeout=HEARTBEAT_SECONDS, return_when=FIRST_COMPLETED)
                if not coming.done():
                    yield b": still here\n\n"
                    continue
                entry, coming = coming.result(), None
                if call_sid in ("", entry.call_sid):
                    yield _line(entry)
    finally:
        end.cancel()
        if coming is not None:
            coming.cancel()


def _line(entry: Entry) -> bytes:
    told = {"id": entry.id, "at": entry.at, "call_sid": entry.call_sid, "event": entry.event}
    return b"data: " + msgspec.json.encode(told) + b"\n\n"
