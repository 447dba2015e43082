"""The double of Twilio's REST API as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.types import ASGIApp

from voice_app.sandbox.twilio import (
    classic_api,
    configurations,
    control,
    conversations,
    intelligence,
    memory,
    monitor,
)
from voice_app.sandbox.twilio.account import SandboxAccount
from voice_app.sandbox.twilio.errors import RefusedRequestError
from voice_app.sandbox.twilio.middleware import CONTROL_PATH, AccountMiddleware, refused


def double_app(account: SandboxAccount) -> Starlette:
    """Serve an account: ``/{product}/…`` as Twilio has it, and the phone's own door under ``/_sandbox``."""
    app = Starlette(
        routes=[
            Mount("/conversations", routes=[*configurations.ROUTES, *conversations.ROUTES]),
            Mount("/memory", routes=memory.ROUTES),
            Mount("/intelligence", routes=intelligence.ROUTES),
            Mount("/api", routes=classic_api.ROUTES),
            Mount("/monitor", routes=monitor.ROUTES),
            Mount(CONTROL_PATH, routes=control.ROUTES),
        ],
        middleware=[Middleware(AccountMiddleware, account=account)],
        exception_handlers={RefusedRequestError: refused, HTTPException: refused},
    )
    app.state.account = account
    return app


KEEP_ALIVE_SECONDS: Final = 75
"""Longer than aiohttp keeps a connection (15 s): a request never meets one that is just being closed."""
_GRACE = 0.2
"""Seconds that a request in progress is given at the end."""


@contextlib.asynccontextmanager
async def serve(app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve while the block runs, and give the base URL. Port 0 takes a free one.

    No signal handlers and no ticking loop, so that it starts and stops within milliseconds.
    Raises `OSError` if the port is taken.
    """
    listener = socket.create_server((host, port))
    # The connections inherit it. asyncio leaves it off for sockets that were made without a protocol number,
    # and then an answer of two packets waits 40 ms for the client's delayed acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        ws="none",
        lifespan="off",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    try:
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        await _stop(server)


async def _stop(server: uvicorn.Server) -> None:
    for listening in server.servers:
        listening.close()
    for connection in list(server.server_state.connections):
        connection.shutdown()
    tasks = set(server.server_state.tasks)
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=_GRACE)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
    for listening in server.servers:
        await listening.wait_closed()
