"""A circuit breaker for reads: a database that fails or hangs holds nobody up for long."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import Final, TypeVar, TypeVarTuple

from voice_app.journal.database import JournalError

_Args = TypeVarTuple("_Args")
_T = TypeVar("_T")

log = logging.getLogger(__name__)

_PROBE_SECONDS: Final = 1.0
"""The pause between two probes."""
_QUEUE_SECONDS: Final = 5.0
"""How long a query may wait for a thread."""
_LOOKS: Final = 5
"""How often it is looked whether a query has begun, in the time that it may take."""


class ReadCircuitBreaker:
    """Runs queries in threads of their own, so that none waits for a long write.

    A query that fails or takes too long opens the circuit: further queries fail at once, until a task that
    probes the database in the background gets an answer.

    Args:
        threads: where queries run.
        probe: a cheap query that tells whether the database is back.
        meanwhile: what that means until then, as a sentence for the log.
    """

    def __init__(self, threads: Executor, probe: Callable[[], object], meanwhile: str) -> None:
        self._threads = threads
        self._probe = probe
        self._meanwhile = meanwhile
        self._down: JournalError | None = None
        self._recovery: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether queries fail at once, because one has failed."""
        return self._down is not None

    async def ask(self, query: Callable[[*_Args], _T], *args: *_Args, within: float) -> _T:
        """The database's answer, ``within`` seconds of when it was asked at most.

        Before that a query may wait for others of ours, which says nothing about the database: hundreds of
        calls may come at once from a server that stops.

        Raises:
            JournalError: it cannot be read, or does not answer in time.
        """
        if self._down is not None:
            raise JournalError(str(self._down)) from self._down
        begun, step, ran, queued = threading.Event(), within / _LOOKS, 0.0, 0.0
        asked = asyncio.get_running_loop().run_in_executor(self._threads, _run, begun, query, *args)
        try:
            # Steps are counted, not a clock: an answer counts that came while the event loop was held up.
            while not (asked.done() or self.is_open) and ran < within and queued < _QUEUE_SECONDS:
                running = begun.is_set()
                await asyncio.wait([asked], timeout=step)
                ran, queued = (ran + step, queued) if running else (ran, queued + step)
            if asked.done():
                return asked.result()
        except JournalError as raised:
            error = raised
        else:
            error = JournalError(
                f"The journal's database did not answer within {within:g} s. Check that it is well."
            )
        finally:
            asked.cancel()
        if self._down is None:
            self._down = error
            log.error("journal: %s %s", error, self._meanwhile)
            self._recovery = asyncio.create_task(self._recover(), name="journal-recovery")
        raise error

    async def aclose(self) -> None:
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.wait([self._recovery])

    async def _recover(self) -> None:
        loop = asyncio.get_running_loop()
        while self._down is not None:
            await asyncio.sleep(_PROBE_SECONDS)
            with suppress(JournalError):
                await loop.run_in_executor(self._threads, self._probe)
                self._down = None
        log.warning("journal: the database can be read again")


def _run(begun: threading.Event, query: Callable[[*_Args], _T], *args: *_Args) -> _T:
    begun.set()
    return query(*args)
