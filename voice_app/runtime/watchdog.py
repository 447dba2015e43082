"""Watches the event loop from a thread of its own, and names the function that blocks it.

Everything on the server shares one event loop: an agent that sleeps, computes or waits for a socket the plain
way holds up every call at once, and each of them hears a pause. While the loop is held up nothing that
runs on it could tell.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import sysconfig
import threading
import time
from types import FrameType
from typing import Final

from voice_app.telemetry import metrics

BLOCK_SECONDS: Final = 0.25
"""A step of the loop that takes longer than this is heard as a pause."""
_LOOK_SECONDS: Final = 0.05
"""How often the loop is asked for a sign of life."""
_LIBRARIES: Final = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib"))

log = logging.getLogger(__name__)


class LoopWatchdog:
    """Looks after the running event loop, from `start` to `stop`."""

    def __init__(self, seconds: float = BLOCK_SECONDS) -> None:
        self._seconds = seconds
        self._stopped = threading.Event()
        self._alive = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch the event loop that runs in this thread."""
        self._thread = threading.Thread(
            target=self._watch,
            args=(asyncio.get_running_loop(), threading.get_ident()),
            name="loop watchdog",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()

    def _watch(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        while not self._stopped.wait(_LOOK_SECONDS):
            asked = time.monotonic()
            self._alive.clear()
            try:
                loop.call_soon_threadsafe(self._alive.set)
            except RuntimeError:  # the loop is closed
                return
            if not self._alive.wait(self._seconds):
                self._report(asked, thread)

    def _report(self, since: float, thread: int) -> None:
        """The loop is held up: say by what, and how long once it goes on."""
        frame = sys._current_frames().get(thread)
        where = "something" if frame is None else describe(frame)
        del frame  # it would keep alive whatever its function holds
        metrics.LOOP_BLOCKS.inc()
        log.warning("the event loop, and with it every call, is blocked: %s", where)
        while not self._alive.wait(self._seconds):
            if self._stopped.is_set():
                return
        seconds = time.monotonic() - since
        metrics.LOOP_BLOCKED_SECONDS.inc(seconds)
        log.warning(
            "the event loop was blocked for %.1f s: %s. What blocks belongs into a thread: make the agent a "
            "plain generator and set VOICE_APP_AGENT_THREAD=true, or await asyncio.to_thread(…)",
            seconds,
            where,
        )


def describe(frame: FrameType) -> str:
    """Where a thread is: the innermost function that is nobody's library, and what it waits in."""
    innermost = frame
    found: FrameType | None = frame
    while found is not None and _is_library(found):
        found = found.f_back
    if found is None or found is innermost:
        return _place(innermost)
    return f"{_place(found)}, in {_place(innermost)}"


def _is_library(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    return file.startswith(("<", *_LIBRARIES)) or "site-packages" in file


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})"
