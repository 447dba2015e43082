"""A circuit breaker for reads: a database that fails or hangs holds nobody up for long."""

from __future__ import annotations

import asyncio
import logging
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


class ReadCircuitBreaker:
    """Runs queries in threads of their own, so that none waits for a long write.

    A query that fails or takes too long opens the circuit: further queries fail at once, until a task that
    probes the database in the background gets an answer.

    Args:
        threads: where queries run.
        probe: a cheap query that tells whether the database is back.
    """

    def __init__(self, threads: Executor, probe: Callable[[], object]) -> None:
        self._threads = threads
        self._probe = probe
        self._down: JournalError | None = None
        self._recovery: asyncio.Task[None] | None = None

    async def ask(self, query: Callable[[*_Args], _T], *args: *_Args, within: float) -> _T:
        """The database's answer, ``within`` seconds at most.

        Raises:
            JournalError: it cannot be read, or does not answer in time.
        """
        if self._down is not None:
            raise JournalError(str(self._down)) from self._down
        asked = asyncio.get_running_loop().run_in_executor(self._threads, query, *args)
        try:
            async with asyncio.timeout(within):
                return await asked
        except TimeoutError:
            error = JournalError(
                f"The journal's database did not answer within {within:g} s. Check that it is well."
            )
        except JournalError as raised:
            error = raised
        if self._down is None:
            self._down = error
            log.error("journal: %s Calls of this server go on with what is in memory.", error)
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
