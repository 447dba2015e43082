"""The speech-to-text engines of one call, and every moment at which two of them listened."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Engine:
    """An engine that listens, or listened, to the call. Times are of the monotonic clock."""

    name: str
    """The TwiML that started it, and its id."""
    started: float = field(default_factory=time.monotonic)
    stopped: float | None = None


@dataclass(slots=True, frozen=True)
class Overlap:
    """Two engines listened to one call: speech-to-text was billed twice from ``at`` on."""

    first: str
    second: str
    at: float


class Engines:
    """The timeline of a call's engines. ``problem`` is told of each overlap (STT104)."""

    def __init__(self, problem: Callable[[str], None]) -> None:
        self.timeline: list[Engine] = []
        """Every engine of the call, in the order in which they started."""
        self.overlaps: list[Overlap] = []
        self._problem = problem

    def start(self, name: str) -> Engine:
        engine = Engine(name)
        for other in self.running:
            self.overlaps.append(Overlap(other.name, name, engine.started))
            self._problem(f"STT104: {name} starts while {other.name} is listening: both are billed")
        self.timeline.append(engine)
        return engine

    def stop(self, engine: Engine) -> None:
        if engine.stopped is None:
            engine.stopped = time.monotonic()

    @property
    def running(self) -> list[Engine]:
        return [engine for engine in self.timeline if engine.stopped is None]

    @contextmanager
    def listening(self, name: str) -> Iterator[None]:
        """An engine that listens while the block runs."""
        engine = self.start(name)
        try:
            yield
        finally:
            self.stop(engine)
