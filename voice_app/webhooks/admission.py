"""Whether this process takes new calls.

A process that has as many calls as it may (``VOICE_APP_MAX_CALLS``), or is late with its work
(``VOICE_APP_MAX_LAG_MS``), is *full*: new callers go elsewhere, so that those who are talking are served as
well as ever. What belongs to a call that was taken is always accepted: its socket, its resumption, and what
people do with it; so is a call back, which is placed only while there is room. A process that is told to stop
is *draining* until its calls are over, and *closing* once it gives those that are left away.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Final

from voice_app import telemetry
from voice_app.webhooks.lag import Lag
from voice_app.webhooks.roster import Roster


class State(StrEnum):
    READY = "ready"
    FULL = "full"
    DRAINING = "draining"


MAX_HOPS: Final = 8
"""So often a caller is sent on to another server; then they are told that all lines are busy."""
HOPS_AT_ONCE: Final = 3
"""After so many hops each waits a second: the others need time to notice, too."""


class Admission:
    """The gate for new calls. ``max_calls`` and ``max_lag_ms``: 0 is no limit."""

    def __init__(self, roster: Roster, *, max_calls: int = 0, max_lag_ms: int = 0) -> None:
        self.lag = Lag()
        self.closing = False
        """The calls that are left are given away now."""
        self.changed = asyncio.Event()
        """The state has changed. Whoever hears of it clears it."""
        self._roster = roster
        self._max_calls = max_calls
        self._max_lag = max_lag_ms / 1000
        self._draining = False
        self._told = State.READY

    @property
    def draining(self) -> bool:
        """The server was told to stop."""
        return self._draining

    @property
    def state(self) -> State:
        if self._draining:
            return State.DRAINING
        return State.FULL if self._why_full() else State.READY

    @property
    def reason(self) -> str:
        """Why no new calls are taken, for people; empty while they are."""
        return "draining" if self._draining else self._why_full()

    def drain(self) -> None:
        """Take no new calls from now on."""
        self._draining = True
        self._tell()

    def close(self) -> None:
        """Give away the calls that are left."""
        self.drain()
        self.closing = True

    async def watch(self) -> None:
        """Measure the lag for ever, and notice when the state changes."""
        while True:
            self._tell()
            await self.lag.look()

    def _why_full(self) -> str:
        if self._max_calls and self._roster.with_agent >= self._max_calls:
            return f"it has {self._max_calls} calls, as many as it may (VOICE_APP_MAX_CALLS)"
        if self._max_lag and self.lag.seconds > self._max_lag:
            return f"it is {self.lag.seconds * 1000:.0f} ms late with its work (VOICE_APP_MAX_LAG_MS)"
        return ""

    def _tell(self) -> None:
        telemetry.TAKING_CALLS.set(self.state is State.READY)
        if self._told is not self.state:
            self._told = self.state
            self.changed.set()
