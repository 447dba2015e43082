"""What blocks the event loop is named, with its seconds and its place."""

from __future__ import annotations

import re
import sys
import threading
from pathlib import Path

import pytest

from support.sandbox import sandbox
from support.waiting import until
from voice_app.runtime.watchdog import LoopWatchdog, describe
from voice_app.telemetry import metrics


def blocks() -> float:
    return metrics.METRICS.sample("voice_app_loop_blocks_total")


def blocked_seconds() -> float:
    return metrics.METRICS.sample("voice_app_loop_blocked_seconds_total")


async def test_an_agent_that_blocks_is_named_with_its_seconds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    count, seconds = blocks(), blocked_seconds()
    async with sandbox(tmp_path, agent="support.agents:sleeping") as server, server.call() as call:
        await call.reply()
        assert (await call.ask("Hello?")).text == "Let me think. Done."
        await until(lambda: "the event loop was blocked for" in caplog.text, "the report")
    found = re.search(r"was blocked for (\d\.\d) s: sleeping \((.*)/support/agents\.py:(\d+)\)", caplog.text)
    assert found is not None, caplog.text
    assert float(found[1]) >= 0.5
    line = Path(found[2], "support/agents.py").read_text("utf-8").splitlines()[int(found[3]) - 1]
    assert line.strip().startswith("time.sleep(")
    assert blocks() > count
    assert blocked_seconds() >= seconds + 0.5


async def test_it_ends_when_it_is_told_to() -> None:
    watchdog = LoopWatchdog()
    watchdog.start()
    thread = watchdog._thread
    watchdog.stop()
    await until(lambda: thread is not None and not thread.is_alive(), "the end of the thread")


class _Notes(threading.Thread):
    """A thread that describes whoever waits in a library for it."""

    described = ""

    def run(self) -> None:
        main = threading.main_thread().ident
        assert main is not None
        while "in Thread.join" not in self.described and "_wait_for_tstate_lock" not in self.described:
            self.described = describe(sys._current_frames()[main])


def test_a_wait_within_a_library_is_told_with_the_function_that_entered_it() -> None:
    notes = _Notes()
    notes.start()
    notes.join()
    assert re.match(
        r"test_a_wait_within_a_library_.*test_watchdog\.py:\d+\), in .*threading\.py:\d+\)$", notes.described
    )
