from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from support.model import ScriptedModel

pytest_plugins = ["support.postgres"]


@pytest.fixture
async def model() -> AsyncIterator[ScriptedModel]:
    scripted = ScriptedModel()
    app = web.Application(handler_args={"handler_cancellation": True})
    app.router.add_post("/v1/chat/completions", scripted.handle)
    app.router.add_get("/v1/models", scripted.models)
    async with TestServer(app) as server:
        scripted.base_url = str(server.make_url("/v1"))
        yield scripted
