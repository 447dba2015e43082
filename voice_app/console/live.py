"""The calls that go on: ``/console/``, and what its module asks for as they change.

A row's words and clocks follow the feed by themselves. Whatever else changes about a call has the module ask
for its row again, of many calls at once and no more than once a second: servers have calls to serve.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import uuid_utils
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from voice_app.console.health import status
from voice_app.console.one_call import LiveCall, live_call, live_calls
from voice_app.console.pages import Pages
from voice_app.console.visitors import Visitor
from voice_app.runtime import Services
from voice_app.settings import Role
from voice_app.webhooks import CALL_SID

MAX_ROWS: Final = 100
"""Calls that are asked for at once."""


def live_routes(pages: Pages, services: Services) -> list[BaseRoute]:
    """Under ``/console``."""

    async def page(request: Request, visitor: Visitor) -> Response:
        after = str(uuid_utils.uuid7())  # before the list is read: nothing is missed
        targets = (services.targets, *services.targets_of_numbers.values())
        context = _tiles(services) | {
            "after": after,
            "calls": await live_calls(services.journal),
            "targets": list(dict.fromkeys(item.label for of in targets for item in of)),
        }
        return pages.show(request, visitor, "live.html", **context)

    async def rows(request: Request, visitor: Visitor) -> Response:
        asked = request.query_params.get("calls", "").split(",")[:MAX_ROWS]
        found = [call for sid in asked if (call := await _live(services, sid)) is not None]
        return pages.show(request, visitor, "live-rows.html", **_tiles(services), calls=found)

    return [pages.route("/", Role.WATCH, page), pages.route("/live", Role.WATCH, rows)]


async def _live(services: Services, call_sid: str) -> LiveCall | None:
    if not re.fullmatch(CALL_SID, call_sid) or (record := await services.journal.call(call_sid)) is None:
        return None
    if record.closed_at is not None:
        return None
    found = live_call(record, await services.journal.events(call_sid))
    return None if found.state == "over" else found


def _tiles(services: Services) -> dict[str, Any]:
    """How many servers are in which state."""
    here = status(services)
    states: Sequence[str] = [here.state, *(server.state for server in here.others)]
    return {"server": here, "servers": Counter(states)}
