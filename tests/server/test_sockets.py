"""The server's WebSockets, over TCP."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from websockets.protocol import State

from support.waiting import until
from voice_app.relay.connection import DIRECT_SOCKET
from voice_app.server import socket_protocol
from voice_app.server.socket_protocol import SocketProtocol

HANDSHAKE = (
    "GET /relay/1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def test_a_peer_that_reads_nothing_is_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_protocol, "SECONDS_TO_TAKE_THE_REST", 0.05)
    stuck = asyncio.Event()

    async def app(scope: object, receive: object, send: object) -> None:
        await send({"type": "websocket.accept"})  # type: ignore[operator]
        try:
            async with asyncio.timeout(1):
                while True:
                    await send({"type": "websocket.send", "text": "x" * 1_000_000})  # type: ignore[operator]
        except TimeoutError:
            stuck.set()

    async with connected(app) as (server, reader, writer):
        writer.write(HANDSHAKE.encode())
        await reader.readline()  # and nothing more: the transport stops to read by itself
        await stuck.wait()
        await until(lambda: not server.server_state.connections, "the end of the connection")


async def test_a_server_stops_while_a_peer_closes_its_socket_and_has_not_read_what_was_sent() -> None:
    sockets: list[SocketProtocol] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        sockets.append(scope["extensions"][DIRECT_SOCKET])
        sockets[0].write_texts(["x" * 10_000_000])
        await receive()

    async with connected(app) as (server, reader, writer):
        writer.write(HANDSHAKE.encode())
        await reader.readline()
        writer.write(b"\x88\x82\0\0\0\0\x03\xe8")
        await until(lambda: sockets and sockets[0].conn.state is State.CLOSING, "the close frame")
        assert server.server_state.connections == {sockets[0]}
    assert server.server_state.connections == set()


async def test_a_socket_that_is_refused_with_an_answer_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        await send({"type": "websocket.http.response.start", "status": 503, "headers": []})  # type: ignore[operator]
        await send({"type": "websocket.http.response.body", "body": b""})  # type: ignore[operator]

    async with connected(app) as (_, reader, writer):
        writer.write(HANDSHAKE.encode())
        assert b" 503 " in await reader.readline()
        await reader.read()
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


async def test_what_comes_before_the_socket_is_accepted_is_read_though_it_has_not_come_whole() -> None:
    asked = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        asked.set()
        buffer = scope["extensions"][DIRECT_SOCKET].conn.reader.buffer
        await until(lambda: buffer, "the beginning of a frame")
        await send({"type": "websocket.accept"})
        for _ in range(2):
            await send({"type": "websocket.send", "text": (await receive())["text"].upper()})

    text = b"\x81\x85\0\0\0\0hello"  # with a mask that changes nothing
    async with connected(app) as (_, reader, writer):
        writer.write(HANDSHAKE.encode())
        await asked.wait()
        writer.write(text + text[:8])
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text[8:])
        assert await reader.readexactly(14) == b"\x81\x05HELLO\x81\x05HELLO"


async def test_a_socket_that_is_open_has_all_its_attributes_in_slots_and_nothing_of_the_handshake() -> None:
    sockets: list[SocketProtocol] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        sockets.append(scope["extensions"][DIRECT_SOCKET])
        await receive()

    async with connected(app) as (_, reader, writer):
        writer.write(HANDSHAKE.encode())
        await reader.readuntil(b"\r\n\r\n")
        await until(lambda: sockets, "the socket")
        [socket_] = sockets
        assert vars(socket_) == {}
        parsing: Any = socket_.conn.parser
        assert "request" not in parsing.gi_frame.f_locals
        assert not hasattr(socket_, "request")


@asynccontextmanager
async def connected(
    app: Any,
) -> AsyncIterator[tuple[uvicorn.Server, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A server of this application, and a connection to it."""
    config = uvicorn.Config(app, ws=SocketProtocol, lifespan="off", log_config=None, ws_ping_interval=None)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    listener = socket.create_server(("127.0.0.1", 0))
    await server.startup([listener])
    reader, writer = await asyncio.open_connection(*listener.getsockname(), limit=1024)
    try:
        yield server, reader, writer
    finally:
        writer.close()
        await server.shutdown([listener])
