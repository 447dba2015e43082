"""An event loop on which nobody waits for a clock: where all are waiting for time to pass, it passes at once.

A call of two minutes with an agent in the same process takes as long as its work. Time is skipped only
within `VirtualLoop.hurrying`, and only while nothing real is waited for: no packet on its way (everything on
loopback has arrived by the time a loop is idle), no work in a thread, no connection to somebody outside the
process, a real model for one. It is skipped in small steps, some hundred times as fast as real time passes,
so that what is a little late on a busy machine stays a little late.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime
from typing import Any, Final, TypeAlias, TypeVar

T = TypeVar("T")
_Ends: TypeAlias = tuple[tuple[str, int], tuple[str, int]]
"""The addresses of a connection: that of this end, and that of the other."""

STEP_SECONDS: Final = 0.1
"""So much time is skipped at once, and twice as much each time that nothing has happened meanwhile."""
MAX_STEP_SECONDS: Final = 60.0
GRACE_SECONDS: Final = 0.0002
"""Real seconds before each step, for what is on its way to this process."""
REAL_SECONDS: Final = 0.005
"""So often it is looked whether what is real is over."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its clock, which is `time.monotonic` in its thread while it runs, may run ahead of the real one."""

    def __init__(self) -> None:
        self.skipped = 0.0
        """Seconds by which it is ahead."""
        self._hurrying = 0
        self._in_threads = 0
        self._threads: set[int] = set()
        """Those that do what is counted there."""
        self._time_of_day: tuple[Any, Any] | None = None
        """What has set it, and what moves it."""
        super().__init__(_SkippingSelector(self._may_skip, self._skip))

    def run_forever(self) -> None:
        with _clock_of_this_thread(self):
            super().run_forever()

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """As ever; what goes on in a thread is waited for in real time."""
        future: asyncio.Future[T] = super().run_in_executor(executor, self._in_thread, func, *args)
        self._in_threads += 1
        future.add_done_callback(self._returned)
        return future

    @contextlib.contextmanager
    def hurrying(self) -> Iterator[None]:
        """Time may be skipped while the block runs."""
        self._hurrying += 1
        try:
            yield
        finally:
            self._hurrying -= 1

    @contextlib.contextmanager
    def at_leisure(self) -> Iterator[None]:
        """Within such a block, time is real again while this one runs."""
        self._hurrying -= 1
        try:
            yield
        finally:
            self._hurrying += 1

    def set_time_of_day(self, moment: datetime) -> None:
        """Have it be another time, in all of the process; it passes as the loop's does. Needs time-machine.

        Raises `ModuleNotFoundError`.
        """
        import time_machine

        self.reset_time_of_day()
        travel = time_machine.travel(moment, tick=True)
        self._time_of_day = travel, travel.start()

    def reset_time_of_day(self) -> None:
        """Have it be the time that it is."""
        if self._time_of_day is not None:
            self._time_of_day[0].stop()
            self._time_of_day = None

    def close(self) -> None:
        self.reset_time_of_day()
        super().close()

    def sleep_in_thread(self, seconds: float) -> None:
        """Sleep in another thread, so many seconds of this loop: it waits for no thread that sleeps."""
        counted = threading.get_ident() in self._threads

        async def nap() -> None:
            self._in_threads -= counted
            try:
                await asyncio.sleep(seconds)
            finally:
                self._in_threads += counted

        asyncio.run_coroutine_threadsafe(nap(), self).result()

    async def perform(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something on this loop in a hurry, and give its result to whoever waits, on whatever loop."""

        async def hurried() -> T:
            with self.hurrying():
                return await work

        if asyncio.get_running_loop() is self:
            return await hurried()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(hurried(), self))

    def _in_thread(self, func: Callable[..., T], *args: Any) -> T:
        thread = threading.get_ident()
        self._threads.add(thread)
        try:
            return func(*args)
        finally:
            self._threads.discard(thread)

    def _returned(self, future: asyncio.Future[Any]) -> None:
        self._in_threads -= 1

    def _may_skip(self) -> bool:
        return self._hurrying > 0 and not self._in_threads

    def _skip(self, seconds: float) -> None:
        self.skipped += seconds
        if self._time_of_day is not None:
            self._time_of_day[1].shift(seconds)


class _SkippingSelector(selectors.DefaultSelector):
    """Waits for time by skipping it, where that is allowed and no stranger is connected."""

    def __init__(self, may_skip: Callable[[], bool], skip: Callable[[float], None]) -> None:
        super().__init__()
        self._may_skip = may_skip
        self._skip = skip
        self._step = STEP_SECONDS
        self._unknown: set[int] = set()
        """Descriptors of which it is not known yet where they lead."""
        self._ends: dict[int, _Ends] = {}
        """Those that are connections."""
        self._seen: set[_Ends] = set()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = super().register(fileobj, events, data)
        self._unknown.add(key.fd)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        key = super().unregister(fileobj)
        self._unknown.discard(key.fd)
        self._ends.pop(key.fd, None)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0 or not self._may_skip():
            return super().select(timeout)
        if ready := super().select(0):
            self._step = STEP_SECONDS
            return ready
        if self._has_strangers():
            return super().select(min(timeout, REAL_SECONDS))
        return self._select_ahead(timeout)

    def _select_ahead(self, timeout: float) -> list[tuple[selectors.SelectorKey, int]]:
        """Skip until something has come, or all of the time is over."""
        while timeout > 0:
            time.sleep(GRACE_SECONDS)
            if ready := super().select(0):
                self._step = STEP_SECONDS
                return ready
            step = min(timeout, self._step)
            self._skip(step)
            timeout -= step
            self._step = STEP_SECONDS if timeout <= 0 else min(2 * self._step, MAX_STEP_SECONDS)
        return []

    def _has_strangers(self) -> bool:
        """Whether somebody outside this process is connected, or about to be."""
        for fd in tuple(self._unknown):
            self._look_at(fd)
        return bool(self._unknown) or any(ends[::-1] not in self._seen for ends in self._ends.values())

    def _look_at(self, fd: int) -> None:
        try:
            found = socket.socket(fileno=fd)
        except OSError:  # no socket
            self._unknown.discard(fd)
            return
        try:
            internet = found.family in (socket.AF_INET, socket.AF_INET6) and found.type == socket.SOCK_STREAM
            if internet and not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                self._ends[fd] = ends = (found.getsockname()[:2], found.getpeername()[:2])
                self._seen.add(ends)
            self._unknown.discard(fd)
        except OSError:
            pass  # not connected yet, or no longer
        finally:
            found.detach()


# --- the clock of a thread ------------------------------------------------------------------------

_loops: Final[dict[int, VirtualLoop]] = {}
"""Those that run, by their thread."""
_patched = threading.Lock()
_real_clock: Final = time.monotonic


def _clock() -> float:
    loop = _loops.get(threading.get_ident())
    return _real_clock() if loop is None else _real_clock() + loop.skipped


@contextlib.contextmanager
def _clock_of_this_thread(loop: VirtualLoop) -> Iterator[None]:
    """`time.monotonic` tells the loop's time in this thread while the block runs, and in others their own.

    Deadlines of asyncio, of the server and of the phone are all measured with it.
    """
    thread = threading.get_ident()
    with _patched:
        _loops[thread] = loop
        time.monotonic = _clock
    try:
        yield
    finally:
        with _patched:
            del _loops[thread]
            if not _loops:
                time.monotonic = _real_clock
