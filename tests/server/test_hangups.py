"""SIGHUP: the guard looks again, also where the signal came while the server was starting."""

from __future__ import annotations

import asyncio
import signal
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from support.waiting import until
from voice_app.runtime import BackgroundTasks
from voice_app.server import serving
from voice_app.server.serving import hear_hangups, hold_hangups


async def test_a_hangup_during_the_start_is_heard_after_it() -> None:
    loop, heard = asyncio.get_running_loop(), asyncio.Event()
    hold_hangups()
    try:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGHUP)  # ends who does not hold it
        assert signal.SIGHUP in signal.sigpending()
        loop.add_signal_handler(signal.SIGHUP, heard.set)
    finally:
        hear_hangups()
    async with asyncio.timeout(5):
        await heard.wait()
    loop.remove_signal_handler(signal.SIGHUP)
    assert signal.SIGHUP not in signal.sigpending()


async def test_many_hangups_are_one_look_after_the_one_that_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks, go_on = 0, asyncio.Event()

    async def look(services: object, *, supervised: bool) -> None:
        nonlocal looks
        looks += 1
        await go_on.wait()
        raise OSError("the folder is gone")  # and the next signal is heard all the same

    monkeypatch.setattr(serving, "_look_again", look)
    services: Any = SimpleNamespace(background=BackgroundTasks())
    serving._look_on_demand(services, supervised=False)
    try:
        signal.raise_signal(signal.SIGHUP)
        await until(lambda: looks == 1, "the first look")
        for _ in range(200):
            signal.raise_signal(signal.SIGHUP)
            await asyncio.sleep(0)
        assert looks == 1
        go_on.set()
        await until(lambda: looks == 2, "the second look")
        signal.raise_signal(signal.SIGHUP)
        await until(lambda: looks == 3, "another one")
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
        await services.background.aclose()
