"""uvicorn's WebSocket as the relay wants it: texts take a short way, and who stops reading is let go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import apply_mask  # type: ignore[attr-defined]  # in C, where there is a wheel
from websockets.http11 import Request
from websockets.protocol import Protocol, State
from websockets.streams import StreamReader

from voice_app.relay.connection import DIRECT_SOCKET

_TEXT: Final = 0x81
"""The first byte of a text frame that is a whole message (RFC 6455, section 5.2)."""
_MASKED: Final = 0x80
"""In the second one: a client's frame. The rest of it is the size; 126 and 127 mean that it follows."""
_BETWEEN_FRAMES: Final = StreamReader.at_eof.__code__
"""What websockets' reader is in while it waits for a frame to begin."""

SECONDS_TO_TAKE_THE_REST: Final = 15.0
"""How long the peer of a WebSocket that is over may take to read what was written and to close."""

_WRITABLE: Final = asyncio.Event()
"""Of every socket that nothing stops from being written to: one for each would take 0.8 KiB."""
_WRITABLE.set()


class SocketProtocol(WebSocketsSansIOProtocol):
    """A `voice_app.relay.connection.DirectSocket`: it writes texts where they arise and hands them over where
    they are read. In ASGI each has a dictionary, a queue and a task's turn, a fifth of what a turn costs.

    Everything else stays uvicorn's and websockets': the handshake, limits, pings, the closing, and messages
    of an application that does not know of the short way.
    """

    # As many attributes without slots are a dictionary of 1.5 KiB. They are uvicorn's, but for the last one.
    __slots__ = (
        *("app", "app_state", "asgi_version", "client", "close_sent", "close_timeout", "close_timer"),
        *("config", "conn", "connections", "curr_msg_data_type", "default_headers", "disconnected", "frames"),
        *("handshake_complete", "handshake_initiated", "initial_response", "last_ping_rtt", "logger", "loop"),
        *("pending_ping_payload", "ping_interval", "ping_sent_at", "ping_timeout", "ping_timer"),
        *("pong_timer", "queue", "read_paused", "request", "response", "root_path", "scheme", "scope"),
        *("server", "tasks", "transport", "writable", "on_text"),
    )

    on_text: Callable[[str], None] | None

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.on_text = None
        self.queue = cast("asyncio.Queue[ASGIReceiveEvent]", _Inbox())
        self.writable = _WRITABLE

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.handshake_initiated and not self.handshake_complete:
            cast(dict[str, Any], self.scope["extensions"])[DIRECT_SOCKET] = self

    def start_keepalive(self) -> None:
        """The socket is open: what is left of the handshake, 4 KiB, is of no use any more."""
        super().start_keepalive()
        del self.request, self.response
        if self._is_between_messages and not self.conn.reader.buffer:
            self.conn.parser = Protocol.parse(self.conn)  # the one before has the request in it
            next(self.conn.parser)

    def pause_writing(self) -> None:
        self.writable = asyncio.Event()  # which `resume_writing` sets

    @property
    def is_writable(self) -> bool:
        return self.conn.state is State.OPEN and self.writable.is_set() and not self.transport.is_closing()

    def write_texts(self, texts: Iterable[str]) -> None:
        self.transport.write(b"".join([_text_frame(text.encode()) for text in texts]))

    def data_received(self, data: bytes) -> None:
        """Bytes have come. Whole texts take the short way; everything else is read by websockets."""
        at, size = 0, len(data)
        if self._is_between_messages:
            while at < size and (take := self.on_text) is not None and (found := _text_in(data, at)):
                text, at = found
                take(text)
        if at < size:
            super().data_received(data[at:] if at else data)

    @property
    def _is_between_messages(self) -> bool:
        """Whether the next byte begins a message: websockets is not in the middle of one, nor of a frame."""
        conn = self.conn
        if self.close_sent or conn.state is not State.OPEN or conn.current_size is not None:
            return False
        reading: Any = conn.parser
        while (inner := reading.gi_yieldfrom) is not None:
            reading = inner
        return reading.gi_code is _BETWEEN_FRAMES

    def send_receive_event_to_app(self) -> None:
        """A whole message has come: hand it over, or queue it as ASGI has it.

        Texts that were on their way as the socket was closed are handed over, too, to who still wants them.
        """
        if self.on_text is None or self.curr_msg_data_type != "text":
            super().send_receive_event_to_app()
            return
        data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        try:
            text = data.decode()
        except UnicodeDecodeError:
            super().send_receive_event_to_app()  # it closes the socket as the protocol wants it
            return
        self.frames = []
        self.on_text(text)

    def shutdown(self) -> None:
        """The server stops. A socket that its peer is closing is sent nothing more, as uvicorn would try to:
        that fails, and with it the end of the server.
        """
        if self.handshake_complete and not self.close_sent and self.conn.state is not State.OPEN:
            self.stop_keepalive()
            self.transport.close()
        else:
            super().shutdown()

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True  # it was refused with an answer: to uvicorn it looks forgotten

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        if not self.disconnected:
            self.loop.call_later(SECONDS_TO_TAKE_THE_REST, self._let_go)

    def _let_go(self) -> None:
        """To close a connection waits until everything was written, and that would be never."""
        if not self.disconnected:
            self.transport.abort()


class _Inbox:
    """What one task is to receive. `asyncio.Queue` is for many, and takes 3 KiB while nothing comes."""

    __slots__ = ("_messages", "_reader")

    def __init__(self) -> None:
        self._messages: list[ASGIReceiveEvent] = []
        self._reader: asyncio.Future[ASGIReceiveEvent] | None = None

    def empty(self) -> bool:
        return not self._messages

    def put_nowait(self, message: ASGIReceiveEvent) -> None:
        reader, self._reader = self._reader, None
        if reader is None or reader.done():
            self._messages.append(message)
        else:
            reader.set_result(message)

    def get(self) -> asyncio.Future[ASGIReceiveEvent]:
        reader = asyncio.get_running_loop().create_future()
        if self._messages:
            reader.set_result(self._messages.pop(0))
        else:
            self._reader = reader
        return reader


def _text_in(data: bytes, at: int) -> tuple[str, int] | None:
    """The text whose frame begins at a place of what was read, and where that frame ends.

    None where websockets has to look at it: at another kind of frame, at one that has not come whole, breaks
    the protocol, or is of 64 KiB and more.
    """
    begin = at + 6  # behind two bytes, and the four of the mask
    if begin > len(data) or data[at] != _TEXT or not _MASKED <= data[at + 1] <= _MASKED + 126:
        return None
    size = data[at + 1] - _MASKED
    if size == 126:
        size = int.from_bytes(data[at + 2 : at + 4])
        begin += 2
    end = begin + size
    if end > len(data):
        return None
    try:
        return apply_mask(data[begin:end], data[begin - 4 : begin]).decode(), end
    except UnicodeDecodeError:
        return None


def _text_frame(data: bytes) -> bytes:
    """A frame without a mask, as a server sends it."""
    size = len(data)
    if size < 126:
        return bytes((_TEXT, size)) + data
    if size < 1 << 16:
        return bytes((_TEXT, 126)) + size.to_bytes(2, "big") + data
    return bytes((_TEXT, 127)) + size.to_bytes(8, "big") + data
