"""Calls of the sandbox's phone that the REST API redirects and ends, through the double, with the SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from support.twiml_server import ACCOUNT, ORIGIN, TOKEN, TwimlServer, relay, twiml_server
from voice_app.sandbox.twilio import SandboxAccount, double_app
from voice_app.sandbox.twilio.app import serve

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
DOCUMENTS = {"/voice": relay(), "/elsewhere": "<Say>A person takes over.</Say>"}


class Redirected(TwilioHttpClient):  # type: ignore[misc]  # the SDK has no type information
    """The SDK's own client, with every product at the double's address."""

    def __init__(self, base_url: str) -> None:
        super().__init__(timeout=10)
        self._base_url = base_url

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Response:
        return super().request(
            method, url.replace("https://api.twilio.com", f"{self._base_url}/api"), *args, **kwargs
        )


class Api:
    """What the SDK makes of a call, in a thread."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._client = Client(ACCOUNT, TOKEN, http_client=Redirected(base_url))

    async def update(self, call_sid: str, **fields: str) -> Any:
        return await asyncio.to_thread(self._client.calls(call_sid).update, **fields)

    async def fetch(self, call_sid: str) -> Any:
        return await asyncio.to_thread(self._client.calls(call_sid).fetch)

    async def delete(self, call_sid: str) -> Any:
        return await asyncio.to_thread(self._client.calls(call_sid).delete)


@asynccontextmanager
async def line() -> AsyncIterator[tuple[TwimlServer, Api]]:
    """A server to phone, and the double that its calls can be changed through."""
    async with (
        serve(double_app(SandboxAccount(ACCOUNT, TOKEN))) as base_url,
        twiml_server(DOCUMENTS, twilio_base_url=base_url) as server,
    ):
        yield server, Api(base_url)


async def test_a_live_call_is_sent_to_another_document() -> None:
    async with line() as (server, api), server.call() as call:
        await call.reply()
        made = await api.update(call.sid, url=f"{ORIGIN}/elsewhere")
        assert (made.sid, made.status) == (call.sid, "in-progress")
        assert (await call.reply()).text == "A person takes over."
    assert call.problems == []


async def test_a_live_call_is_given_other_twiml() -> None:
    async with line() as (server, api), server.call() as call:
        await call.reply()
        await api.update(call.sid, twiml="<Response><Say>Plans have changed.</Say></Response>")
        assert (await call.reply()).text == "Plans have changed."


async def test_the_record_of_a_call_is_erased_once_the_call_is_over() -> None:
    async with line() as (server, api):
        async with server.call() as call:
            await call.reply()
            with pytest.raises(TwilioRestException) as raised:
                await api.delete(call.sid)
            assert (raised.value.status, raised.value.code) == (409, 20009)
        assert await api.delete(call.sid)
        with pytest.raises(TwilioRestException) as raised:
            await api.fetch(call.sid)
        assert raised.value.status == 404


async def test_a_live_call_is_ended() -> None:
    async with line() as (server, api), server.call() as call:
        await call.reply()
        assert (await api.update(call.sid, status="completed")).status == "completed"
        await call.over.wait()
    assert server.form("/ended")["CallStatus"] == "completed"


async def test_only_the_call_that_is_meant_is_redirected() -> None:
    async with line() as (server, api), server.call() as one, server.call() as other:
        await one.reply()
        await other.reply()
        await api.update(other.sid, url=f"{ORIGIN}/elsewhere")
        assert (await other.reply()).text == "A person takes over."
        assert one.session is not None


async def test_a_call_that_is_over_cannot_be_redirected() -> None:
    async with line() as (server, api):
        async with server.call() as call:
            await call.reply()
        with pytest.raises(TwilioRestException) as caught:
            await api.update(call.sid, url=f"{ORIGIN}/elsewhere")
    assert (caught.value.status, caught.value.code) == (400, 21220)


async def test_a_call_that_never_was_is_not_found() -> None:
    async with line() as (_, api):
        with pytest.raises(TwilioRestException) as caught:
            await api.update("CA" + "0" * 32, status="completed")
    assert caught.value.status == 404


async def test_a_call_can_be_read() -> None:
    async with line() as (server, api), server.call() as call:
        await call.reply()
        found = await api.fetch(call.sid)
        assert (found.status, found.to) == ("in-progress", server.phone.number)


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"Url": f"{ORIGIN}/elsewhere", "Status": "completed"},
        {"Url": "/elsewhere"},
        {"Status": "paused"},
        {"Url": f"{ORIGIN}/elsewhere", "Method": "PUT"},
        {"Twiml": "x" * 4001},
    ],
)
async def test_what_twilio_would_refuse_is_refused(form: dict[str, str]) -> None:
    async with line() as (server, api), server.call() as call, aiohttp.ClientSession() as http:
        await call.reply()
        url = f"{api.base_url}/api/2010-04-01/Accounts/{ACCOUNT}/Calls/{call.sid}.json"
        authorization = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, TOKEN)}
        async with http.post(url, data=form or b"", headers=authorization | FORM) as response:
            assert response.status == 400
        async with http.post(url, json=form, headers=authorization) as response:
            assert response.status == 415
        assert call.session is not None


async def test_a_phone_finds_a_double_again_that_was_gone() -> None:
    account = SandboxAccount(ACCOUNT, TOKEN)
    async with serve(double_app(account)) as base_url:
        port = int(base_url.rpartition(":")[2])
    async with twiml_server(DOCUMENTS, twilio_base_url=base_url) as server:
        async with serve(double_app(account), port=port), server.call() as call:
            await call.reply()
            await Api(base_url).update(call.sid, status="completed")
            await call.over.wait()
        assert call.problems == []
