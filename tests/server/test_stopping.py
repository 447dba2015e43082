"""A server that stops: requests in progress are answered, unless they take too long."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from support.sandbox import sandbox


class SlowPage:
    """A page that is answered when somebody says so; here it is all that a server has."""

    def __init__(self) -> None:
        self.asked, self.go = asyncio.Event(), asyncio.Event()
        self.app = Starlette(routes=[Route("/slow", self._answer)])

    async def _answer(self, request: Request) -> PlainTextResponse:
        self.asked.set()
        await self.go.wait()
        return PlainTextResponse("slow")


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> SlowPage:
    slow = SlowPage()
    monkeypatch.setattr("voice_app.server.serving.build", lambda services: slow.app)
    return slow


async def asked_until_it_stops(http: aiohttp.ClientSession, url: str) -> None:
    while True:
        async with http.get(url) as answer:
            assert answer.status == 404


async def test_a_request_in_progress_is_answered(tmp_path: Path, page: SlowPage) -> None:
    async with AsyncExitStack() as stack, aiohttp.ClientSession() as http:
        server = await stack.enter_async_context(sandbox(tmp_path))
        asking = asyncio.create_task(http.get(f"{server.base_url}/slow"))
        await page.asked.wait()
        stopping = asyncio.create_task(stack.aclose())
        with pytest.raises(aiohttp.ClientConnectionError):
            await asked_until_it_stops(http, server.base_url)
        assert not stopping.done()
        page.go.set()
        async with await asking as answer:
            assert await answer.text() == "slow"
        await stopping


async def test_one_that_takes_too_long_is_cut_off(
    tmp_path: Path, page: SlowPage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("voice_app.server.serving.SECONDS_TO_STOP", 0.05)
    caplog.set_level(logging.ERROR, "voice_app.server")
    async with aiohttp.ClientSession() as http:
        async with sandbox(tmp_path) as server:
            asking = asyncio.create_task(http.get(f"{server.base_url}/slow"))
            await page.asked.wait()
        assert "requests in progress are cut off after 0.05 seconds" in caplog.text
        async with await asking as answer:
            assert answer.status == 500
