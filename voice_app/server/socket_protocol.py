"""uvicorn's WebSocket as the relay wants it: texts take a short way, and who stops reading is let go."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, cast

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import apply_mask  # type: ignore[attr-defined]  # in C, where there is a wheel
from websockets.http11 import Request
from websockets.protocol import State
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


class SocketProtocol(WebSocketsSansIOProtocol):
    """A `voice_app.relay.connection.DirectSocket`: it writes texts where they arise and hands them over where
    they are read. In ASGI each has a dictionary, a queue and a task's turn, a fifth of what a turn costs.

    Everything else stays uvicorn's and websockets': the handshake, limits, pings, the closing, and messages
    of an application that does not know of the short way.
    """

    on_text: Callable[[str], None] | None = None

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.handshake_initiated and not self.handshake_complete:
            cast(dict[str, Any], self.scope["extensions"])[DIRECT_SOCKET] = self

    def start_keepalive(self) -> None:
        """The socket is open: what is left of the handshake, 3 KiB, is of no use any more."""
        super().start_keepalive()
        del self.request, self.response

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
        """A whole message has come: hand it over, or queue it as ASGI has it."""
        if self.on_text is None or self.close_sent or self.curr_msg_data_type != "text":
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

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True  # it was refused with an answer: to uvicorn it looks forgotten

    async def run_asgi(self) -> None:
        await super().run_asgi()
        if not self.disconnected:
            self.loop.call_later(SECONDS_TO_TAKE_THE_REST, self._let_go)

    def _let_go(self) -> None:
        """To close a connection waits until everything was written, and that would be never."""
        if not self.disconnected:
            self.transport.abort()


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
