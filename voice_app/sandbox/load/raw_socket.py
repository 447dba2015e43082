"""A bare ConversationRelay socket for load: nothing between its user and the bytes.

One object a socket, no tasks, no queues: ``on_frame`` is called while the bytes are read, with the moment
at which they arrived. `Phone` is the one that behaves like a caller; this one is for hundreds at once.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import cast
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidURI
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

OPEN_SECONDS = 15.0
"""How long a socket may take to open; Twilio gives up about then."""


class RawSocketError(Exception):
    """The socket could not be opened, or is gone. The text says why."""


class RawSocket(asyncio.Protocol):
    """One WebSocket. Use `open_socket` to make one."""

    def __init__(self, protocol: ClientProtocol, headers: Mapping[str, str]) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Why the socket is gone, once it is."""
        self.on_frame: Callable[[bytes, float], None] = _nobody
        """Called with each text message and the moment (`time.perf_counter`) its bytes came."""
        self._protocol = protocol
        self._headers = headers
        self._transport: asyncio.Transport
        self._pongs: list[asyncio.Future[None]] = []
        self._begun = b""
        """What has come of a message that is sent in pieces."""

    def send(self, frame: bytes) -> None:
        """Send one text message. Nothing happens once the socket is gone."""
        if not self.lost.done():
            self._protocol.send_text(frame)
            self._flush()

    def ping(self) -> asyncio.Future[None]:
        """Done when the server has answered a ping: everything it wrote before that answer has come in.

        Raises `RawSocketError` if the socket is lost before.
        """
        pong: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.lost.done():
            pong.set_exception(RawSocketError(self.lost.result()))
            return pong
        self._pongs.append(pong)
        self._protocol.send_ping(b"")
        self._flush()
        return pong

    async def close(self) -> None:
        """Close the socket as Twilio does when the caller hangs up."""
        if not self.lost.done():
            self._protocol.send_close(1000, "Closing websocket session")
            self._flush()
            await asyncio.wait([self.lost], timeout=OPEN_SECONDS)
        self._transport.abort()

    # --- asyncio.Protocol ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        request = self._protocol.connect()
        for name, value in self._headers.items():
            request.headers[name] = value
        self._protocol.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        at = perf_counter()  # not the loop's clock: uvloop's has milliseconds only
        protocol = self._protocol
        protocol.receive_data(data)
        for event in protocol.events_received():
            if isinstance(event, Response):
                self._answered()
            elif isinstance(event, Frame):
                self._received(event, at)
        self._flush()
        if protocol.close_expected():
            self._transport.close()

    def eof_received(self) -> None:
        self._protocol.receive_eof()

    def connection_lost(self, error: Exception | None) -> None:
        why = str(error or "the server closed the connection")
        if self._protocol.close_rcvd is not None:
            why = f"the server closed the socket: {self._protocol.close_rcvd}"
        if not self.lost.done():
            self.lost.set_result(why)
        for waiting in (self.opened, *self._pongs):
            if not waiting.done():
                waiting.set_exception(RawSocketError(why))
                waiting.exception()  # seen: nobody needs to be waiting for it

    # --- inside ----------------------------------------------------------------------------------

    def _answered(self) -> None:
        """The server has answered the handshake."""
        if self.opened.done():
            return
        if (refusal := self._protocol.handshake_exc) is None:
            self.opened.set_result(None)
        else:
            self.opened.set_exception(RawSocketError(f"the server refused the WebSocket: {refusal}"))

    def _received(self, frame: Frame, at: float) -> None:
        if frame.opcode is Opcode.TEXT or frame.opcode is Opcode.CONT:
            data, self._begun = self._begun + frame.data, b""
            if frame.fin:
                self.on_frame(data, at)
            else:
                self._begun = data
        elif frame.opcode is Opcode.PONG and self._pongs:
            pong = self._pongs.pop(0)
            if not pong.done():
                pong.set_result(None)

    def _flush(self) -> None:
        if data := b"".join(self._protocol.data_to_send()):
            self._transport.write(data)


def _nobody(data: bytes, at: float) -> None:
    """Until somebody listens."""


async def open_socket(url: str, headers: Mapping[str, str]) -> RawSocket:
    """Open a socket (``ws://`` or ``wss://``), signature among the headers. Raises `RawSocketError`."""
    parts = urlsplit(url)
    secure = parts.scheme == "wss"
    try:
        protocol = ClientProtocol(parse_uri(url), max_size=None)
        async with asyncio.timeout(OPEN_SECONDS):
            _, line = await asyncio.get_running_loop().create_connection(
                lambda: RawSocket(protocol, headers),
                parts.hostname or "",
                parts.port or (443 if secure else 80),
                ssl=ssl.create_default_context() if secure else None,
            )
            await line.opened
    except TimeoutError:
        raise RawSocketError(f"the socket at {parts.netloc} did not open within {OPEN_SECONDS:g} s") from None
    except (OSError, InvalidURI) as error:
        raise RawSocketError(f"the socket at {parts.netloc} could not be opened: {error}") from None
    return line
