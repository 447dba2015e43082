"""How the process stands, told to the metrics once a second, and the pauses of the garbage collector."""

from __future__ import annotations

import asyncio
import gc
import time
from collections import Counter, deque
from typing import Any, Final

from voice_app.runtime.capacity import CallRegistry, Peers, ServingState
from voice_app.telemetry import metrics

SECONDS_BETWEEN: Final = 1.0
MAX_PAUSES: Final = 1000
"""Pauses that are remembered until they are told."""


class CollectorPauses:
    """Takes the time of every garbage collection of this process, from `start` to `stop`.

    The collector can run anywhere, also while a metric is being changed and its lock is held. So a pause is
    only noted there, and told by `tell`.
    """

    def __init__(self) -> None:
        self._pauses: deque[tuple[int, float]] = deque(maxlen=MAX_PAUSES)
        self._began = 0.0

    def start(self) -> None:
        """Begin to listen."""
        gc.callbacks.append(self._hear)

    def stop(self) -> None:
        """Listen no more, and tell what is left."""
        if self._hear in gc.callbacks:
            gc.callbacks.remove(self._hear)
        self.tell()

    def tell(self) -> None:
        """Give the metrics what was noted."""
        while self._pauses:
            generation, seconds = self._pauses.popleft()
            metrics.COLLECTOR_PAUSE.labels(str(generation)).observe(seconds)

    def _hear(self, phase: str, info: dict[str, Any]) -> None:
        now = time.perf_counter()
        if phase == "start":
            self._began = now
        else:
            self._pauses.append((info["generation"], now - self._began))


class ProcessGauges:
    """What metrics are told regularly: calls by where they are, other servers, the collector's pauses."""

    def __init__(self, registry: CallRegistry, peers: Peers, max_calls: int) -> None:
        self._registry = registry
        self._peers = peers
        self._max_calls = max_calls
        self._pauses = CollectorPauses()

    async def run(self) -> None:
        """Tell until cancelled."""
        self._pauses.start()
        try:
            while True:
                self.tell()
                await asyncio.sleep(SECONDS_BETWEEN)
        finally:
            self._pauses.stop()

    def tell(self) -> None:
        """Tell how it stands now."""
        registry = self._registry
        for where, calls in (
            ("agent", len(registry.sessions)),
            ("connecting", registry.connecting),
            ("elsewhere", registry.parked),
        ):
            metrics.CAPACITY.labels(where).set(calls)
        metrics.MAX_CALLS.set(self._max_calls)
        states = Counter(self._peers.states)
        for state in ServingState:
            metrics.PEERS.labels(state.value).set(states[state.value])
        self._pauses.tell()
