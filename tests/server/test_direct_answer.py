"""An answer that is there as a whole is written at once; what takes uvicorn's steps is left to it."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import Mock

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from uvicorn.server import ServerState

from support.waiting import until
from voice_app.server.http_protocol import HttpProtocol
from voice_app.webhooks.routing import DIRECT_ANSWER

QUESTION = b"POST /voice HTTP/1.1\r\nHost: x\r\n%sContent-Length: 0\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-type: text/plain; charset=utf-8\r\n\r\nhello"


class Connection:
    """A connection to an application that answers at once if it may, and else as ASGI has it."""

    def __init__(self) -> None:
        self.direct: list[bool] = []
        """Of each request, whether it was answered at once."""
        config = uvicorn.Config(
            self._app, interface="asgi3", log_config=None, server_header=False, date_header=False
        )
        config.load()
        self.protocol = HttpProtocol(config, ServerState(), {})
        self.transport = Mock(asyncio.Transport)
        self.transport.is_closing.return_value = False
        self.transport.get_extra_info.return_value = None
        self.protocol.connection_made(self.transport)

    @property
    def written(self) -> list[bytes]:
        """What was written, piece by piece."""
        return [call.args[0] for call in self.transport.write.mock_calls]

    async def ask(self, *questions: bytes) -> None:
        """Send requests in one piece, and wait for the answers."""
        self.protocol.data_received(b"".join(questions))
        while tasks := self.protocol.tasks:
            await asyncio.wait(tasks)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/slow":
            await asyncio.sleep(0)
        response = PlainTextResponse("hello")
        write = scope.get("extensions", {}).get(DIRECT_ANSWER)
        self.direct.append(write is not None and write(response))
        if not self.direct[-1]:
            await response(scope, receive, send)


@pytest.fixture
async def connection() -> Any:
    made = Connection()
    yield made
    made.protocol.connection_lost(None)


async def test_head_and_body_leave_together(connection: Connection) -> None:
    await connection.ask(QUESTION % b"")
    assert connection.written == [ANSWER]


async def test_a_connection_is_kept_for_the_next_question(connection: Connection) -> None:
    for _ in range(3):
        await connection.ask(QUESTION % b"")
    assert connection.written == [ANSWER] * 3
    assert not connection.transport.close.called


async def test_questions_one_behind_the_other_are_answered_in_order(connection: Connection) -> None:
    await connection.ask(*[QUESTION % b""] * 3)
    assert b"".join(connection.written) == ANSWER * 3
    assert connection.direct == [False, False, True]


async def test_a_last_question_ends_the_connection(connection: Connection) -> None:
    await connection.ask(QUESTION % b"Connection: close\r\n")
    assert b"connection: close" in b"".join(connection.written)
    assert connection.direct == [False]
    connection.transport.close.assert_called()


async def test_who_reads_no_answers_is_waited_for(connection: Connection) -> None:
    connection.protocol.pause_writing()
    answering = asyncio.ensure_future(connection.ask(QUESTION % b""))
    await until(lambda: bool(connection.direct), "the application")
    assert connection.written == []
    connection.protocol.resume_writing()
    await answering
    assert b"".join(connection.written) == ANSWER


async def test_nobody_is_answered_who_has_gone(connection: Connection) -> None:
    asking = asyncio.ensure_future(connection.ask(QUESTION.replace(b"/voice", b"/slow") % b""))
    await asyncio.sleep(0)
    connection.protocol.connection_lost(ConnectionResetError())
    await asking
    assert connection.direct == [False]
    assert connection.written == []
