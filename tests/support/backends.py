"""Servers behind a balancer that do nothing but answer, refuse, or break as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer


@dataclass
class Backend:
    """Answers with an element of its name. A WebSocket gets the name, and an echo."""

    name: str
    asked: list[str] = field(default_factory=list)
    """Method and raw path with query of each request, as they came."""
    status: int = 200
    """What everything is answered with, an upgrade too."""
    breaks: bool = False
    """Close the connection instead of answering."""
    holds: asyncio.Event | None = None
    """Answers wait until it is set."""
    base: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.raw_path}")
        if self.holds is not None:
            await self.holds.wait()
        if self.breaks and request.transport is not None:
            request.transport.close()
        if self.status != 200:
            return web.Response(status=self.status)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._converse(request)
        return web.Response(text=f"<{self.name}/>", content_type="text/xml")

    async def _converse(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(self.name)
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                await socket.send_str(message.data)
        return socket


@asynccontextmanager
async def backend(name: str) -> AsyncIterator[Backend]:
    """Serve while the block runs."""
    ours = Backend(name)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", ours.handle)
    async with TestServer(application) as server:
        ours.base = f"http://127.0.0.1:{server.port}"
        yield ours
