"""The sandbox's phone in the browser: ``/console/phone``, and the socket that its call goes over.

A socket, and not requests: the call is placed by the process that has it, and ends when the page does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from voice_app.console.access import Access
from voice_app.console.headers import same_origin
from voice_app.console.pages import Pages
from voice_app.console.visitors import AccessRefusedError, Visitor
from voice_app.runtime import Services
from voice_app.settings import Role

PhoneLine: TypeAlias = Callable[
    [str, AsyncIterator[str], Callable[[dict[str, Any]], Awaitable[None]]], Awaitable[None]
]
"""Places one call to the server at a base URL, as the texts that come in tell it, and tells what happens."""

REFUSED: Final = 1008
"""The close code for who may not."""


def phone_routes(pages: Pages, services: Services, access: Access, line: PhoneLine) -> list[BaseRoute]:
    """Under ``/console``."""

    async def page(request: Request, visitor: Visitor) -> Response:
        numbers = dict.fromkeys([services.settings.phone_number or "", *services.lines])
        return pages.show(request, visitor, "phone.html", numbers=[number for number in numbers if number])

    async def call(socket: WebSocket) -> None:
        if not _may(access, socket):
            await socket.close(REFUSED)
            return
        await socket.accept()
        host, port = socket.scope["server"]
        base_url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        talking = asyncio.ensure_future(line(base_url, socket.iter_text(), socket.send_json))
        stopping = asyncio.create_task(services.stopping.wait())
        try:
            await asyncio.wait({talking, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if talking.done():
                talking.result()
                await socket.close()
        except (WebSocketDisconnect, RuntimeError):
            pass  # the page is gone in the middle of a message
        finally:
            stopping.cancel()
            talking.cancel()
            await asyncio.gather(talking, stopping, return_exceptions=True)

    return [pages.route("/phone", Role.ACT, page), WebSocketRoute("/phone/call", call)]


def _may(access: Access, socket: WebSocket) -> bool:
    try:
        visitor = access.visitors.of(socket)
    except AccessRefusedError:
        return False
    return visitor is not None and visitor.may(Role.ACT) and same_origin(socket)
