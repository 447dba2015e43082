from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from support.model import ScriptedModel

pytest_plugins = ["support.postgres", "voice_app.testing.plugin"]

# How long an example takes says something about the machine, not about the code.
hypothesis_settings.register_profile(
    "voice-app",
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
hypothesis_settings.load_profile("voice-app")


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests run on the event loop that the server runs on."""
    return {"uvloop": uvloop.new_event_loop}


def pytest_collection_finish() -> None:
    """Thousands of tests wait in memory: the collector need not walk over them again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
async def model() -> AsyncIterator[ScriptedModel]:
    scripted = ScriptedModel()
    app = web.Application(handler_args={"handler_cancellation": True})
    app.router.add_post("/v1/chat/completions", scripted.handle)
    app.router.add_post("/moved/chat/completions", scripted.moved)
    app.router.add_get("/v1/models", scripted.models)
    async with TestServer(app) as server:
        scripted.base_url = str(server.make_url("/v1"))
        yield scripted
