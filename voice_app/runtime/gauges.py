"""How the process stands, told to the metrics once a second: calls, descriptors, the collector's pauses."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import time
from collections import Counter, deque
from typing import Any, Final

from voice_app.runtime.capacity import CallRegistry, Peers, ServingState
from voice_app.telemetry import LogThrottle, metrics

SECONDS_BETWEEN: Final = 1.0
FEW_DESCRIPTORS: Final = 64
"""So many that are left are few: a call has one for its socket, and each request to a model needs one."""
MAX_PAUSES: Final = 1000
"""Pauses that are remembered until they are told."""


log = logging.getLogger(__name__)


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


class Descriptors:
    """How many more files and sockets the process can open. Without any, connections wait in silence."""

    def __init__(self) -> None:
        self._few = LogThrottle()

    def tell(self) -> None:
        """Give the metrics what is left, and the log a line when it is little."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        left = limit - _lowest_free(limit)
        metrics.DESCRIPTORS_LEFT.set(left)
        if left >= FEW_DESCRIPTORS:
            if self._few.end():
                log.warning("there are file descriptors again")
        elif self._few.is_due():
            log.error(
                "%d of %d file descriptors are left: connections of callers will wait in silence. Raise the "
                "limit (LimitNOFILE= of systemd, ulimit -n), or set VOICE_APP_MAX_CALLS lower",
                *(left, limit),
            )


def _lowest_free(limit: int) -> int:
    """The number that the next file would get: all below it are in use."""
    try:
        number = os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return limit
    os.close(number)
    return number


class ProcessGauges:
    """What metrics are told regularly: calls by where they are, other servers, the collector's pauses."""

    def __init__(self, registry: CallRegistry, peers: Peers, max_calls: int) -> None:
        self._registry = registry
        self._peers = peers
        self._max_calls = max_calls
        self._pauses = CollectorPauses()
        self._descriptors = Descriptors()

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
        self._descriptors.tell()
