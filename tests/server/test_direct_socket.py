"""The short way of texts between uvicorn and a session, through real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any
from unittest.mock import Mock, patch

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.server import ServerState
from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from support.waiting import until
from voice_app.relay.connection import DIRECT_SOCKET, DirectSocket
from voice_app.server.socket_protocol import SocketProtocol

Serve = Callable[[DirectSocket, Callable[[], Awaitable[Any]]], Awaitable[None]]


@asynccontextmanager
async def serving(work: Serve) -> AsyncIterator[ClientConnection]:
    """A client of a server that accepts a socket and then does this, with the socket and its ``receive``."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await work(scope["extensions"][DIRECT_SOCKET], receive)

    config = uvicorn.Config(
        app, port=0, ws=SocketProtocol, ws_per_message_deflate=False, lifespan="off", log_config=None
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    await until(lambda: server.started, "the server")
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        async with connect(f"ws://127.0.0.1:{port}", max_size=None, compression=None, proxy=None) as client:
            yield client
    finally:
        server.should_exit = True
        await running


async def _echo(socket: DirectSocket, receive: Callable[[], Awaitable[Any]]) -> None:
    socket.on_text = lambda text: socket.write_texts([text])
    await receive()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 60_000, 70_000])
async def test_a_text_of_any_size_arrives_whole(size: int) -> None:
    async with serving(_echo) as client:
        await client.send("ä" * size)
        assert await client.recv() == "ä" * size


async def test_a_text_in_fragments_is_handed_over_once_whole_and_in_its_place() -> None:
    async with serving(_echo) as client:
        await client.send(["Hel", "lo"])
        await client.send("there")
        assert [await client.recv(), await client.recv()] == ["Hello", "there"]


async def test_what_was_on_its_way_as_the_server_closed_is_handed_to_the_application() -> None:
    closed, texts = asyncio.Event(), list[str]()

    async def work(socket: Any, receive: Callable[[], Awaitable[Any]]) -> None:
        socket.on_text = texts.append
        await until(lambda: texts == ["Hello?"], "the first text")
        await socket.send({"type": "websocket.close", "code": 1012, "reason": ""})
        closed.set()

    async with serving(work) as client:
        client.transport.pause_reading()  # so that the close frame is on its way, too
        await client.send("Hello?")
        await closed.wait()
        await client.send("Are you there?")
        client.transport.resume_reading()
        await until(lambda: texts == ["Hello?", "Are you there?"], "the second text")


@given(st.data())
def test_it_makes_no_difference_how_what_comes_is_cut(data: st.DataObject) -> None:
    kinds = st.sampled_from(["text", "long text", "fragments", "ping"])
    wanted, frames = [], []
    for number, kind in enumerate(data.draw(st.lists(kinds, max_size=6))):
        # Without a mask these are the bytes C3 81 C3 81 …: from the second on, a text frame.
        text = "Á" * (100 if kind == "long text" else 45) + str(number)
        if kind == "fragments":
            frames += [
                Frame(Opcode.TEXT, text[:9].encode(), fin=False),
                Frame(Opcode.PING, b"between"),
                Frame(Opcode.CONT, text[9:].encode()),
            ]
        else:
            frames.append(Frame(Opcode.PING if kind == "ping" else Opcode.TEXT, text.encode()))
        wanted += [] if kind == "ping" else [text]
    stream = _serialized(*frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    assert asyncio.run(received_of(stream[a:b] for a, b in pairwise([0, *cuts, len(stream)]))) == wanted


async def test_a_text_within_the_fragments_of_another_is_not_taken() -> None:
    begun = _serialized(Frame(Opcode.TEXT, b"Hel", fin=False))
    assert await received_of([begun, _serialized(Frame(Opcode.TEXT, b"there"))]) == []


def _serialized(*frames: Frame) -> bytes:
    """These frames as a client sends them, with a mask that changes nothing."""
    with patch("websockets.frames.secrets.token_bytes", return_value=bytes(4)):
        return b"".join(frame.serialize(mask=True) for frame in frames)


async def received_of(chunks: Iterable[bytes]) -> list[str]:
    """The texts that are handed over when these bytes come, one chunk after the other."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        scope["extensions"][DIRECT_SOCKET].on_text = received.append
        await receive()

    received: list[str] = []
    config = uvicorn.Config(
        app, ws=SocketProtocol, ws_per_message_deflate=False, lifespan="off", log_config=None
    )
    protocol = SocketProtocol(config=config, server_state=ServerState(), app_state={})
    protocol.connection_made(Mock(spec=asyncio.Transport, **{"is_closing.return_value": False}))
    client = ClientProtocol(parse_uri("ws://localhost/"))
    client.send_request(client.connect())
    protocol.data_received(b"".join(client.data_to_send()))
    await until(lambda: protocol.on_text is not None, "the application")
    for chunk in chunks:
        protocol.data_received(chunk)
    protocol.connection_lost(None)
    await asyncio.gather(*protocol.tasks)
    return received


async def test_what_is_written_together_arrives_as_messages_of_their_own() -> None:
    async def three(socket: DirectSocket, receive: Callable[[], Awaitable[Any]]) -> None:
        socket.write_texts(["one", "two", "three"])
        await receive()

    async with serving(three) as client:
        assert [await client.recv() for _ in range(3)] == ["one", "two", "three"]


async def test_a_text_that_is_no_utf8_closes_the_socket() -> None:
    received: list[str] = []

    async def listen(socket: DirectSocket, receive: Callable[[], Awaitable[Any]]) -> None:
        socket.on_text = received.append
        assert (await receive())["code"] == 1007

    async with serving(listen) as client:
        await client.send(b"\xff\xfe", text=True)
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 1007
    assert received == []


async def test_bytes_and_what_nobody_takes_directly_come_as_messages() -> None:
    received: list[dict[str, Any]] = []

    async def listen(socket: DirectSocket, receive: Callable[[], Awaitable[Any]]) -> None:
        received.append(await receive())
        socket.on_text = lambda text: socket.write_texts([text])
        received.append(await receive())
        await receive()

    async with serving(listen) as client:
        await client.send("before")
        await until(lambda: received, "the first message")
        await client.send(b"bytes")
        await client.send("after")
        assert await client.recv() == "after"
    assert [message.get("text") or message["bytes"] for message in received] == ["before", b"bytes"]


async def test_a_socket_is_writable_until_the_other_side_stops_reading_and_when_it_reads_again() -> None:
    sent = 0
    stopped, goes_on = asyncio.Event(), asyncio.Event()

    async def flood(socket: DirectSocket, receive: Callable[[], Awaitable[Any]]) -> None:
        nonlocal sent
        while socket.is_writable:
            socket.write_texts(["x" * 60_000] * 10)
            sent += 10
            await asyncio.sleep(0)
        stopped.set()
        await until(lambda: socket.is_writable, "room")
        goes_on.set()
        await receive()
        assert not socket.is_writable

    async with serving(flood) as client:
        await stopped.wait()
        for _ in range(sent):
            assert await client.recv() == "x" * 60_000
        await goes_on.wait()
