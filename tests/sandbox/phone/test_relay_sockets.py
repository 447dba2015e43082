"""How the phone takes the end of a relay's socket."""

from __future__ import annotations

import asyncio

from support.twiml_server import relay, twiml_server
from voice_app.sandbox.phone import PhoneEvent


async def test_a_socket_that_ends_without_a_close_frame_is_reported() -> None:
    documents = {"/voice": relay(), "/ended": "<Say>Goodbye.</Say>"}
    async with twiml_server(documents) as server, server.call() as call:
        assert (await call.reply()).text == "Hello!"
        await call.say("crash")
        assert (await call.reply()).text == "Goodbye."
    assert call.problems == ["the server's socket ended without a close frame: it has crashed"]
    assert server.form("/ended")["ErrorCode"] == "64105"


async def test_a_socket_that_the_phone_breaks_off_itself_is_not() -> None:
    documents = {"/voice": relay(), "/ended": "<Say>Goodbye.</Say>"}
    async with twiml_server(documents) as server, server.call() as call:
        await call.reply()
        await call.drop()
        assert (await call.reply()).text == "Goodbye."
    assert call.problems == []


async def test_who_waits_for_the_server_is_told_when_the_line_breaks() -> None:
    documents = {"/voice": relay(), "/ended": "<Say>Goodbye.</Say>"}
    async with twiml_server(documents) as server, server.call() as call:
        await call.reply()
        session = call.session
        assert session is not None
        assert await session.acknowledged()
        session.drop(unnoticed=True)  # nothing is read of the socket any more, and it is never closed
        async with asyncio.timeout(10):
            assert not await session.acknowledged()


async def test_a_line_that_breaks_is_told_before_all_that_was_said_is_written() -> None:
    documents = {"/voice": relay(), "/ended": "<Say>Goodbye.</Say>"}
    listening: list[bool] = []

    def watch(event: PhoneEvent) -> None:
        if event.kind == "broken":
            listening.extend(engine.stopped is None for engine in call.engines)

    async with twiml_server(documents) as server, server.call(watch=watch) as call:
        await call.reply()
        await call.drop()
        assert (await call.reply()).text == "Goodbye."
    assert listening == [True]
