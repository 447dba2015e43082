"""uvicorn's HTTP with an end to what a client can send as a head, and to how long a request may take."""

from __future__ import annotations

import asyncio
import logging
from itertools import chain
from typing import Any, Final, cast

import httptools
from starlette.responses import Response
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from voice_app.telemetry import metrics
from voice_app.webhooks.routing import DIRECT_ANSWER

MAX_URL: Final = 16 * 1024
"""Bytes. A question by GET has its fields there; nothing of Twilio's comes near it."""
MAX_HEADERS: Final = 100
"""Lines."""
MAX_HEAD: Final = 32 * 1024
"""Bytes of the request line and all headers; uvicorn would take any number."""
REQUEST_SECONDS: Final = 10.0
"""How long a request, head and body, may take to come; the first from the connection on."""

log = logging.getLogger(__name__)


class HttpProtocol(HttpToolsProtocol):
    """Refuses what no client of ours sends before anything is done with it, and who never comes to an end.

    The head of a WebSocket's handshake is one of these heads, too. An answer that is there as a whole can be
    written at once (`DIRECT_ANSWER`): uvicorn writes its head first and then its body, two packets.
    """

    _due: asyncio.TimerHandle | None = None
    """When the rest of a request must have come; `None` between two requests, and once all is there."""
    _whole = True
    """Whether all has come of every request that has begun to."""
    _head: int | None = 0
    """Bytes of the head so far; `None` once it is whole."""
    _status = 400
    """What a request that breaks off is refused with."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # as uvicorn has it
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)
        if self.cycle is not None:
            self.cycle.scope.pop("extensions", None)  # it holds this protocol

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
        except httptools.HttpParserError:
            self._refuse(self._status)
        else:
            if self._head is not None:
                self._head += len(data)
                if self._head > MAX_HEAD:
                    self._refuse(431)
                    return
            if not self._whole and self._due is None:  # most come in one piece, and need no timer
                self._await_request()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0
        self._whole = False

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MAX_URL:
            self._status = 414
            raise ValueError

    def on_headers_complete(self) -> None:
        self._head = None
        if len(self.headers) > MAX_HEADERS or len(b"".join(chain(*self.headers))) > MAX_HEAD:
            self._status = 431
            raise ValueError
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._whole = True
        self._stop_waiting()
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        cast(dict[str, Any], cycle.scope)["extensions"] = {DIRECT_ANSWER: self.write_answer}
        super()._start_asgi_task(cycle, app)

    def write_answer(self, response: Response) -> bool:
        """Answer the request that is being answered; false where it takes uvicorn to do so: who sends one
        request behind another, reads none of the answers, or is to be disconnected.
        """
        cycle = self.cycle
        if self.pipeline or cycle.disconnected or not cycle.keep_alive or self.flow.write_paused:
            return False
        head = [STATUS_LINE[response.status_code]]
        for name, value in response.raw_headers:
            head += name, b": ", value, b"\r\n"
        self.transport.write(b"".join((*head, b"\r\n", response.body)))
        cycle.response_started = cycle.response_complete = True
        cycle.on_response()
        return True

    def _await_request(self) -> None:
        self._due = self.loop.call_later(REQUEST_SECONDS, self._too_late)

    def _stop_waiting(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _too_late(self) -> None:
        self._due = None
        self._refuse(408)

    def _refuse(self, status: int) -> None:
        """Close the connection; where nothing was answered yet, say why."""
        metrics.REFUSED.labels("malformed").inc()
        log.debug("refused a request with %d", status)
        self._stop_waiting()
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(STATUS_LINE[status] + b"connection: close\r\ncontent-length: 0\r\n\r\n")
        self.transport.close()
