"""Where a line lives while a test runs: a thread of its own, with a loop on virtual time.

So a test may be a coroutine on whatever loop it likes, and its own waiting is never taken for a pause on the
phone.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

from voice_app.testing.virtual_time import VirtualLoop

T = TypeVar("T")


class LineThread:
    """A thread with a `VirtualLoop`, while the block runs."""

    def __enter__(self) -> Self:
        self.loop = VirtualLoop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="voice-app line", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(_no_tasks())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something there, and wait for it here."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    @contextmanager
    def entered(self, manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """Be within an asynchronous block of that loop's; it is entered and left in one task."""
        ready: asyncio.Future[T] = asyncio.Future(loop=self.loop)
        over = asyncio.Event()

        async def hold() -> None:
            async with manager as value:
                ready.set_result(value)
                await over.wait()

        holding = asyncio.run_coroutine_threadsafe(hold(), self.loop)
        value = self.run(_first(ready, asyncio.wrap_future(holding, loop=self.loop)))
        try:
            yield value
        finally:
            self.loop.call_soon_threadsafe(over.set)
            holding.result()


async def _first(ready: asyncio.Future[T], holding: asyncio.Future[None]) -> T:
    """What the block gives; raises what keeps it from being entered."""
    both: set[asyncio.Future[Any]] = {ready, holding}
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    if not ready.done():
        holding.result()
    return ready.result()


async def _no_tasks() -> None:
    """Cancel what is left."""
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
