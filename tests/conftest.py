from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import pytest
import uvloop
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from support.model import ScriptedModel
from voice_app.followups import durable
from voice_app.server import serving

pytest_plugins = ["support.postgres", "voice_app.testing.plugin"]

LONG_TESTS: Final = Path(__file__).with_name("long_tests.txt")

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


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, on every worker: nobody waits for it at the end."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers == 1:
        return
    names = [item.nodeid.partition("[")[0] for item in items]
    places = {name: place for place, name in enumerate(LONG_TESTS.read_text("utf-8").split())}
    long = sorted((places[name], at) for at, name in enumerate(names) if name in places)
    others = (at for at, name in enumerate(names) if name not in places)
    order: list[int] = []
    for worker in range(workers):  # as `--dist worksteal` cuts the list
        part = (len(items) - len(order)) // (workers - worker)
        first = [at for _, at in long[worker::workers]]
        order += [*first, *islice(others, max(0, part - len(first)))]
    items[:] = [items[at] for at in order]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Thousands of tests stay in memory: the collector need not walk over them again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True, scope="session")
def _servers_are_impatient() -> Iterator[None]:
    """Nobody connects to a server of a test in its last moment, and DBOS looks at its queue often."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving, "LATE_SECONDS", 0.0)
        patch.setattr(durable, "POLL_S", 0.05)
        yield


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
