"""A thread with an event loop of its own: what runs there goes on while another loop is held up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import Any, Final, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")

_STOPPING_SECONDS: Final = 2.0
"""How long ``stop`` waits for the thread."""


class LoopThread(Executor):
    """An executor of coroutine functions. They take turns on one event loop, from ``start`` to ``stop``.

    It is an executor so that a loop whose coroutine waits for it knows that a thread is at work.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._loop = asyncio.new_event_loop()
        # A daemon: a disk that hangs must not keep the process.
        self._thread = threading.Thread(target=self._run, args=(self._loop,), name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread once all that was submitted is over, and wait for that a moment."""
        if self._loop is not None and self._thread is not None:
            asyncio.run_coroutine_threadsafe(_end(), self._loop)
            self._thread.join(_STOPPING_SECONDS)

    def submit(  # type: ignore[override]
        self, work: Callable[_P, Coroutine[Any, Any, _T]], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> Future[_T]:
        """Have the thread's loop run a coroutine; any thread may ask.

        Raises:
            RuntimeError: it was not started, or it was stopped.
        """
        if self._loop is None:
            raise RuntimeError(f"the thread {self._name} was not started")
        return asyncio.run_coroutine_threadsafe(work(*args, **kwargs), self._loop)

    async def run(self, work: Callable[..., Coroutine[Any, Any, _T]], *args: object) -> _T:
        """The result of a coroutine that the thread's loop runs, waited for on the caller's."""
        # Wrapped: event loops refuse to give a coroutine function to an executor, which is none like this.
        done: asyncio.Future[Any] = asyncio.get_running_loop().run_in_executor(self, lambda: work(*args))
        result: _T = await done
        return result

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Have the thread's loop call something; any thread may ask. Nothing happens once it was stopped."""
        if self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(callback)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.run_forever()
        finally:
            loop.close()


async def _end() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others)
    asyncio.get_running_loop().stop()
