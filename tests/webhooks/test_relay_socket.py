"""Who may open the socket, and what it survives."""

from __future__ import annotations

import asyncio
import gc
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import CoroutineType

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from support.sandbox import Sandbox, sandbox
from support.waiting import until
from voice_app.calls import CallState
from voice_app.relay.connection import Connection
from voice_app.relay.session import Session
from voice_app.sandbox.network import WebhookError
from voice_app.sandbox.phone import read
from voice_app.server.socket_protocol import SocketProtocol

CALL = "CA" + "7" * 32


async def relay_url(server: Sandbox, call_sid: str = CALL) -> str:
    """The address of a session, as the TwiML has it."""
    response = await server.post("/voice", CallSid=call_sid, From="+15550199999", To=server.phone.number)
    relay = read(await response.text()).verbs[0].child("ConversationRelay")
    assert relay is not None
    return relay.attributes["url"]


@asynccontextmanager
async def line(server: Sandbox, **changes: str) -> AsyncIterator[ClientConnection]:
    """An open socket after its setup."""
    async with await server.network.connect(await relay_url(server)) as socket:
        setup = {"type": "setup", "callSid": CALL, "accountSid": server.phone.account_sid, "sessionId": "VX1"}
        await socket.send(json.dumps({**setup, **changes}))
        yield socket


async def prompt(socket: ClientConnection, text: str) -> str:
    """Say something; returns the words of the answer."""
    await socket.send(json.dumps({"type": "prompt", "voicePrompt": text, "lang": "en-US", "last": True}))
    words = ""
    async for data in socket:
        frame = json.loads(data)
        words += frame["token"]
        if frame["last"]:
            break
    return words


async def closing(socket: ClientConnection) -> int:
    """The code with which the server closes the socket."""
    await socket.wait_closed()
    assert socket.close_code is not None
    return socket.close_code


async def test_a_signed_socket_with_its_ticket_is_accepted(tmp_path: Path) -> None:
    async with sandbox(tmp_path, agent="support.agents:echo") as server, line(server) as socket:
        assert (await prompt(socket, "Hello.")).startswith("You said: Hello.")


async def test_a_call_on_which_nobody_speaks_has_no_task_of_its_own_and_nothing_of_how_it_came(
    tmp_path: Path,
) -> None:
    async with sandbox(tmp_path, agent="support.agents:echo") as server, AsyncExitStack() as lines:
        before = _kinds()
        for number in range(3):
            call_sid = f"CA{number:032x}"
            socket = await server.network.connect(await relay_url(server, call_sid))
            await lines.enter_async_context(socket)
            setup = {"callSid": call_sid, "accountSid": server.phone.account_sid, "sessionId": f"VX{number}"}
            await socket.send(json.dumps({"type": "setup", **setup}))
            await prompt(socket, "Hello.")
        await until(lambda: not _tasks_of_relay(), "the end of the turns")
        kept = _kinds() - before
        assert kept[Connection] == kept[Session] == kept[SocketProtocol] == 3
        assert kept[CallState] == 0
        sockets = [found for found in gc.get_objects() if type(found) is SocketProtocol]
        assert [socket.scope["headers"] for socket in sockets] == [()] * 3


def _kinds() -> Counter[type]:
    """How many objects of each kind there are."""
    gc.collect()
    return Counter(map(type, gc.get_objects()))


def _tasks_of_relay() -> set[str]:
    """What tasks of the relay's own do: words are written by one, turns answered by others."""
    coroutines = (task.get_coro() for task in asyncio.all_tasks())
    begun = {found.__qualname__ for found in coroutines if isinstance(found, CoroutineType)}
    return {name for name in begun if name.startswith(f"{Connection.__name__}.")}


async def test_a_socket_without_a_signature_is_refused_as_an_upgrade(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with sandbox(tmp_path) as server:
        url = server.network.reachable(await relay_url(server))
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, proxy=None)
    assert refused.value.response.status_code == 403
    (record,) = [record for record in caplog.records if "socket" in record.getMessage()]
    assert record.exc_info is None
    assert url.rsplit("/", 1)[1] not in caplog.text


async def test_a_ticket_opens_one_socket(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server:
        url = await relay_url(server)
        async with await server.network.connect(url):
            with pytest.raises(WebhookError, match="403"):
                await server.network.connect(url)


async def test_a_forged_ticket_is_refused(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server:
        with pytest.raises(WebhookError, match="403"):
            await server.network.connect(f"{server.settings.socket_origin}/relay/forged")


@pytest.mark.parametrize("changes", [{"callSid": "CA" + "8" * 32}, {"accountSid": "AC" + "8" * 32}])
async def test_a_ticket_is_no_good_for_another_call_or_account(
    tmp_path: Path, changes: dict[str, str]
) -> None:
    async with sandbox(tmp_path) as server, line(server, **changes) as socket:
        assert json.loads(await socket.recv()) == {"type": "end"}


async def test_a_socket_that_does_not_begin_with_setup_is_closed(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server, await server.network.connect(await relay_url(server)) as socket:
        await socket.send('{"type":"prompt","voicePrompt":"Hello?","lang":"en-US","last":true}')
        assert await closing(socket) == 1008


async def test_a_socket_without_setup_is_closed_in_time(tmp_path: Path) -> None:
    async with (
        sandbox(tmp_path, setup_seconds=0.05) as server,
        await server.network.connect(await relay_url(server)) as socket,
    ):
        assert await closing(socket) == 1008


async def test_malformed_frames_are_survived_up_to_the_tenth_in_a_row(tmp_path: Path) -> None:
    async with sandbox(tmp_path, agent="support.agents:echo") as server, line(server) as socket:
        for _ in range(9):
            await socket.send("{")
        assert "Hello" in await prompt(socket, "Hello.")
        for _ in range(10):
            await socket.send("{")
        assert await closing(socket) == 1007


async def test_a_frame_over_64_kib_closes_the_socket(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server, line(server) as socket:
        await socket.send(json.dumps({"type": "prompt", "voicePrompt": "x" * 70_000, "last": True}))
        assert await closing(socket) == 1009


async def test_a_binary_frame_does_no_harm(tmp_path: Path) -> None:
    async with sandbox(tmp_path, agent="support.agents:echo") as server, line(server) as socket:
        await socket.send(b"\x00\xff")
        assert "Hello" in await prompt(socket, "Hello.")
