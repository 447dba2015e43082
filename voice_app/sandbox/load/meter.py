"""What a stretch of time costs a server, and us who put it under load."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter, process_time
from typing import Final

from voice_app.sandbox.load.target import ProcessError, ServerProcesses

SETTLE_SECONDS: Final = 0.5
"""Time before the CPU clock or the memory is read: what is written behind the calls belongs to them."""


class LoadMeter:
    """The processes of a server, read at the right moments.

    ``server`` is its processes, or why they cannot be measured; ``helpers`` are processes that share our
    core and work for the load, as the stub model does.
    """

    def __init__(
        self,
        server: ServerProcesses | ProcessError,
        *,
        helpers: ServerProcesses | None = None,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        self.server = server
        self.seconds = 0.0
        """Wall time of the last `measuring`."""
        self.cpu_seconds: float | None = None
        """CPU time of the server in it; `None` if it cannot be measured."""
        self.client_cpu_percent = 0.0
        """CPU time of the load in it, of one core."""
        self._helpers = helpers
        self._settle_seconds = settle_seconds

    @property
    def problem(self) -> str:
        """Why nothing is known of the server's processes; empty if all is."""
        return str(self.server) if isinstance(self.server, ProcessError) else ""

    async def resident_kib(self) -> float | None:
        """The server's resident memory, once it is at rest."""
        await asyncio.sleep(self._settle_seconds)
        return None if isinstance(self.server, ProcessError) else self.server.resident_kib()

    @asynccontextmanager
    async def measuring(self) -> AsyncIterator[None]:
        """Measure the block, without pauses of our own garbage collector in the figures.

        The server's CPU clock runs on for a moment, for what it does behind its answers.
        """
        await asyncio.sleep(self._settle_seconds)
        gc.collect()
        gc.disable()
        cpu_before = self._server_cpu_seconds()
        own_before, began = self._own_cpu_seconds(), perf_counter()
        try:
            yield
        finally:
            gc.enable()
        self.seconds = perf_counter() - began
        self.client_cpu_percent = 100 * (self._own_cpu_seconds() - own_before) / self.seconds
        await asyncio.sleep(self._settle_seconds)
        cpu = self._server_cpu_seconds()
        self.cpu_seconds = None if cpu is None or cpu_before is None else cpu - cpu_before

    def _server_cpu_seconds(self) -> float | None:
        return None if isinstance(self.server, ProcessError) else self.server.cpu_seconds()

    def _own_cpu_seconds(self) -> float:
        return process_time() + (self._helpers.cpu_seconds() if self._helpers is not None else 0.0)
