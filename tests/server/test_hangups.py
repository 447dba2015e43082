"""SIGHUP: the guard looks again, also where the signal came while the server was starting."""

from __future__ import annotations

import asyncio
import signal
import threading

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
