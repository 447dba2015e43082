"""What happens on the calls, as it happens: server-sent events, each one entry of the journal.

Each has the id of its entry. A client that comes back says which it had last (``Last-Event-ID``; browsers do
so by themselves) and gets what it has missed. Where several servers write, some of that may come twice, since
their clocks differ: the id tells. A client that reads too slowly is cut off, and goes on where it was.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import FIRST_COMPLETED
from collections.abc import AsyncIterator
from typing import Final
from uuid import UUID

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from voice_app.console.headers import api_error
from voice_app.console.visitors import Visitor
from voice_app.journal import Entry, JournalError
from voice_app.runtime import Services

HEARTBEAT_SECONDS: Final = 15.0
"""Something is sent at least this often, so that a proxy keeps the connection, and a page knows."""
OVERLAP_SECONDS: Final = 10.0
"""By so much the clocks of servers may differ."""
MAX_GAP_SECONDS: Final = 3600.0
"""Whoever was away for longer is told so, and should read its lists again."""
MAX_MISSED: Final = 10_000
"""Entries of a gap that are sent."""
_PAGE: Final = 500


async def feed(services: Services, request: Request, visitor: Visitor, call_sid: str = "") -> Response:
    """``GET /api/v1/feed``: everything, or with ``?call=`` what has happened on one call, and goes on."""
    call_sid = call_sid or request.query_params.get("call", "")
    # A browser cannot send the header with its first request: a page says where it ends by `after`.
    last = request.headers.get("last-event-id") or request.query_params.get("after", "")
    if last and _written_at(last) is None:
        return api_error(400, "Last-Event-ID, after: it should be the id of an event of this feed")
    try:
        if call_sid and not await services.journal.events(call_sid):
            return api_error(404, f"no call {call_sid} is known here")
    except JournalError as error:
        return api_error(503, f"the journal cannot be read, so try again: {error}")
    return _stream(_Following(services, visitor, call_sid, last).lines())


async def live_feed(services: Services, request: Request, visitor: Visitor) -> Response:
    """``GET /api/feed``: the same from now on, also of a call that is still to come."""
    call_sid = request.query_params.get("call", "")
    return _stream(_Following(services, visitor, call_sid, "", history=False).lines())


def _stream(lines: AsyncIterator[str]) -> Response:
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(lines, media_type="text/event-stream", headers=headers)


class _Following:
    """Follows the journal for one client."""

    def __init__(
        self, services: Services, visitor: Visitor, call_sid: str, last: str, *, history: bool = True
    ) -> None:
        self._services = services
        self._visitor = visitor
        self._call_sid = call_sid
        self._last = last
        self._history = history
        self._sent: set[str] = set()
        """What was sent of the past: it may come once more from the feed."""

    async def lines(self) -> AsyncIterator[str]:
        """Until the client has enough, or the server stops."""
        services = self._services
        end = asyncio.create_task(services.stopping.wait())
        alarm = asyncio.create_task(services.watch.changed())
        coming: asyncio.Task[Entry] | None = None
        try:
            with services.journal.feed() as entries:  # before the past is read: nothing falls in between
                yield ": connected\n\n"
                if services.watch.alarm:
                    yield _alarm(services.watch.alarm)
                async for line in self._past():
                    yield line
                while not end.done() and not (self._history and entries.lost):
                    coming = coming or asyncio.create_task(entries.get())
                    waiting = {coming, end, alarm}
                    await asyncio.wait(waiting, timeout=HEARTBEAT_SECONDS, return_when=FIRST_COMPLETED)
                    if alarm.done():
                        alarm = asyncio.create_task(services.watch.changed())
                        yield _alarm(services.watch.alarm)
                    elif not coming.done():
                        yield _BEAT
                    else:
                        entry, coming = coming.result(), None
                        if self._call_sid in ("", entry.call_sid) and entry.id not in self._sent:
                            yield self._line(entry)
        finally:
            end.cancel()
            alarm.cancel()
            if coming is not None:
                coming.cancel()

    async def _past(self) -> AsyncIterator[str]:
        """What the client has missed; of one call, all of it."""
        if not self._history or not (self._last or self._call_sid):
            return
        try:
            after = self._beginning()
            if self._call_sid:
                for entry in await self._services.journal.events(self._call_sid):
                    if entry.id > after:
                        yield self._again(entry)
            elif time.time() - (_written_at(self._last) or 0.0) > MAX_GAP_SECONDS:
                yield _GAP
            else:
                async for line in self._missed(after):
                    yield line
        except JournalError:
            yield _GAP

    async def _missed(self, after: str) -> AsyncIterator[str]:
        while page := await self._services.journal.since(after, _PAGE):
            for entry in page:
                yield self._again(entry)
            after = page[-1].id
            if len(self._sent) >= MAX_MISSED:
                yield _GAP
                return

    def _beginning(self) -> str:
        """The id after which to begin."""
        if not self._last or not self._services.journal.shared:
            return self._last
        milliseconds = max(0, int(((_written_at(self._last) or 0.0) - OVERLAP_SECONDS) * 1000))
        return f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}"

    def _again(self, entry: Entry) -> str:
        self._sent.add(entry.id)
        return self._line(entry)

    def _line(self, entry: Entry) -> str:
        told = {"id": entry.id, "at": entry.at, "call_sid": entry.call_sid, "event": entry.event}
        return f"id: {entry.id}\ndata: {self._visitor.shown(msgspec.json.encode(told).decode())}\n\n"


_BEAT: Final = "event: beat\ndata: {}\n\n"
"""Still here: whoever hears nothing for longer has lost us."""
_GAP: Final = 'event: gap\ndata: {"gap": true}\n\n'
"""More has happened than can be told: what was read of lists before has to be read again."""


def _alarm(text: str) -> str:
    """The guard's alarm as an event of its own kind; empty: it is over."""
    return f"event: alarm\ndata: {msgspec.json.encode({'alarm': text}).decode()}\n\n"


def _written_at(entry_id: str) -> float | None:
    """When an entry was written, in seconds since the epoch, as its id tells; `None` if it is no id."""
    try:
        found = UUID(entry_id)
    except ValueError:
        return None
    return (found.int >> 80) / 1000 if found.version == 7 else None
