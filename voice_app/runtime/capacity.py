"""How many calls this process has, how late its event loop is, and whether it takes new calls.

A process that has as many calls as it may (``VOICE_APP_MAX_CALLS``), or is late with its work
(``VOICE_APP_MAX_LAG_MS``), is *full*: new callers go elsewhere, so that those who are talking are served as
well as ever. What belongs to a call that was taken is always accepted: its socket, its resumption, and what
people do with it; so is a call back, which is placed only while there is room. A process that is told to stop
is *draining* until its calls are over, and *closing* once it gives those that are left away.
Servers that share a journal tell each other their state every two seconds (`Peers`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, StrEnum
from importlib.metadata import version
from statistics import median
from typing import Final

from voice_app.journal import Journal, JournalError, Server, ServerLoad
from voice_app.relay.connection import Connection
from voice_app.telemetry import metrics

DELAY_SAMPLE_SECONDS: Final = 0.2
DELAY_SAMPLES: Final = 7
"""The delay is the median of this many samples: one long stall does not count, a second of trouble does."""
_VERSION: Final = version("voice-app")
LONGEST_OF_SAMPLES: Final = 300
"""The longest stall is that of this many samples, a minute: metrics are read more rarely than twice in it."""


class ExpectedNext(Enum):
    """What Twilio does next on a call. The value is how many seconds that may take."""

    SOCKET = 5.0
    """It opens the agent's socket, as soon as it has the document."""
    ACTION = 4.0
    """It asks what follows the session, about a second after its end."""
    CALLED_BACK = 60.0
    """Somebody whom we ring answers, and it asks for the document."""
    CHOICE = 30.0
    """It tells which key the caller has pressed, after the message that all lines are busy."""
    PEOPLE = 14_400.0
    """It reports on the people who have the caller: at most after as long as a call may last."""
    STATUS = 3.0
    """It tells the status callback, if there is one, that the call is over: about a second later."""


class CallRegistry:
    """Which calls this process has, and what is expected next on each.

    A call is with the agent while its socket is open. Between two sockets, and while people have the caller,
    only Twilio's next request shows that the call still exists: until that comes, or is overdue, the call
    counts. Behind a balancer the request may go to another server, and is overdue here.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.sessions: dict[str, Connection] = {}
        """The sessions whose socket is open, by CallSid."""
        self._clock = clock
        self._expected: dict[str, ExpectedNext] = {}
        self._due: dict[ExpectedNext, dict[str, float]] = {what: {} for what in ExpectedNext}
        """Until when; of each kind the first that is due comes first, as they all take the same time."""

    def expect(self, call_sid: str, what: ExpectedNext) -> None:
        """This is expected on the call now, and nothing else."""
        self.call_ended(call_sid)
        self._expected[call_sid] = what
        self._due[what][call_sid] = self._clock() + what.value

    def connected(self, call_sid: str, connection: Connection) -> None:
        """The call's socket is open; one that it had before is not the call's any more."""
        self.sessions[call_sid] = connection
        self.call_ended(call_sid)

    def disconnected(self, call_sid: str, connection: Connection) -> None:
        """A socket of the call is closed; Twilio may have asked what follows before."""
        if self.sessions.get(call_sid) is not connection:
            return
        del self.sessions[call_sid]
        if call_sid not in self._expected:
            self.expect(call_sid, ExpectedNext.ACTION)

    def call_ended(self, call_sid: str) -> None:
        """Nothing is expected on this call any more."""
        if (what := self._expected.pop(call_sid, None)) is not None:
            del self._due[what][call_sid]

    @property
    def connecting(self) -> int:
        """How many calls' sockets are about to be opened, those of people whom we ring included."""
        return self._count(ExpectedNext.SOCKET, ExpectedNext.CALLED_BACK)

    @property
    def with_agent(self) -> int:
        """How many calls the agent has, or is about to have."""
        return len(self.sessions) + self.connecting

    @property
    def open(self) -> int:
        """How many calls need this process now: their socket is open, about to be, or was just closed."""
        return len(self.sessions) + self._count(ExpectedNext.SOCKET, ExpectedNext.ACTION)

    @property
    def ending(self) -> int:
        """How many calls are over, and Twilio is about to tell it."""
        return self._count(ExpectedNext.STATUS)

    @property
    def parked(self) -> int:
        """How many calls are with people, with a message, or over, until any server answers what follows."""
        return self._count(ExpectedNext.PEOPLE, ExpectedNext.CHOICE, ExpectedNext.STATUS)

    def _count(self, *kinds: ExpectedNext) -> int:
        """How many calls wait for one of these; it is asked with every new call, however many there are."""
        now = self._clock()
        for due in self._due.values():
            while due and due[first := next(iter(due))] <= now:
                self.call_ended(first)
        return sum(len(self._due[what].keys() - self.sessions.keys()) for what in kinds)


class LoopDelay:
    """How much later than asked for a timer of the running event loop fires: callers hear it as a pause."""

    def __init__(self) -> None:
        self._late: deque[float] = deque([0.0] * DELAY_SAMPLES, DELAY_SAMPLES)
        self._last_minute: deque[float] = deque(maxlen=LONGEST_OF_SAMPLES)

    @property
    def seconds(self) -> float:
        """How late the loop is as a rule: what decides whether new calls are taken."""
        return median(self._late)

    @property
    def longest_seconds(self) -> float:
        """The longest stall of the last minute: a single one is heard, though it turns nobody away."""
        return max(self._last_minute, default=0.0)

    def add(self, late: float) -> None:
        """A timer fired this many seconds late."""
        late = max(late, 0.0)
        self._late.append(late)
        self._last_minute.append(late)
        metrics.LOOP_DELAY.observe(late)
        metrics.LAG.set(self.seconds)
        metrics.LONGEST_LAG.set(self.longest_seconds)

    async def sample(self) -> None:
        """Take the next sample; it is due ``DELAY_SAMPLE_SECONDS`` from now."""
        loop = asyncio.get_running_loop()
        due = loop.time() + DELAY_SAMPLE_SECONDS
        await asyncio.sleep(DELAY_SAMPLE_SECONDS)
        self.add(loop.time() - due)


class ServingState(StrEnum):
    """Whether a server takes new calls."""

    READY = "ready"
    FULL = "full"
    REFUSING = "refusing"
    """Speech-to-text would be billed twice."""
    DRAINING = "draining"


class Admission:
    """The gate for new calls. ``max_calls`` and ``max_lag_ms``: 0 is no limit.

    ``refusal`` tells why new calls must not come at all, while there is such a reason.
    """

    def __init__(
        self,
        registry: CallRegistry,
        *,
        max_calls: int = 0,
        max_lag_ms: int = 0,
        refusal: Callable[[], str] = str,
    ) -> None:
        self.delay = LoopDelay()
        self.closing = False
        """The calls that are left are given away now."""
        self.changed = asyncio.Event()
        """The state has changed. Its one reader clears it."""
        self._registry = registry
        self._refusal = refusal
        self._max_calls = max_calls
        self._max_lag = max_lag_ms / 1000
        self._draining = False
        self._published = ServingState.READY

    @property
    def draining(self) -> bool:
        """The server was told to stop."""
        return self._draining

    @property
    def state(self) -> ServingState:
        if self._draining:
            return ServingState.DRAINING
        if self._refusal():
            return ServingState.REFUSING
        return ServingState.FULL if self._why_full() else ServingState.READY

    @property
    def reason(self) -> str:
        """Why no new calls are taken, for people; empty while they are."""
        return "draining" if self._draining else self._refusal() or self._why_full()

    @property
    def load(self) -> ServerLoad:
        """What this server has to do."""
        return ServerLoad(
            version=_VERSION,
            reason=self.reason,
            calls=self._registry.with_agent,
            parked=self._registry.parked,
            max_calls=self._max_calls,
            lag_ms=self.delay.seconds * 1000,
            longest_lag_ms=self.delay.longest_seconds * 1000,
        )

    def reserve(self, key: str) -> bool:
        """Take a free line for a call back that is about to be placed; False if there is none."""
        if self.state is not ServingState.READY:
            return False
        self._registry.expect(key, ExpectedNext.CALLED_BACK)
        return True

    def placed(self, key: str, call_sid: str) -> None:
        """The line that was taken is that of this call."""
        self._registry.call_ended(key)
        self._registry.expect(call_sid, ExpectedNext.CALLED_BACK)

    def drain(self) -> None:
        """Take no new calls from now on."""
        self._draining = True
        self._publish()

    def close(self) -> None:
        """Give away the calls that are left."""
        self.drain()
        self.closing = True

    async def watch(self) -> None:
        """Sample the loop's delay, and publish each change of the state, until cancelled."""
        while True:
            self._publish()
            await self.delay.sample()

    def _why_full(self) -> str:
        if self._max_calls and self._registry.with_agent >= self._max_calls:
            return f"it has {self._max_calls} calls, as many as it may (VOICE_APP_MAX_CALLS)"
        if self._max_lag and self.delay.seconds > self._max_lag:
            return f"it is {self.delay.seconds * 1000:.0f} ms late with its work (VOICE_APP_MAX_LAG_MS)"
        return ""

    def _publish(self) -> None:
        metrics.TAKING_CALLS.set(self.state is ServingState.READY)
        if self._published is not self.state:
            self._published = self.state
            self.changed.set()


HEARTBEAT_SECONDS: Final = 2.0
MAX_SILENCE_SECONDS: Final = 10.0
"""A server that has said nothing for this long is gone."""
SIGN_OFF_SECONDS: Final = 1.0
SECONDS_TO_TELL: Final = 1.0
"""How long the other servers may take to hear of a change that somebody waits for."""

log = logging.getLogger(__name__)


class Peers:
    """Publishes the state of this server, also at once when it changes, and knows that of the others."""

    def __init__(self, journal: Journal, admission: Admission) -> None:
        self._journal = journal
        self._admission = admission
        self._others: list[Server] = []
        self._seen_at = float("-inf")
        self._failing = False

    @property
    def others(self) -> list[Server]:
        """All the other servers, as far as they were heard of lately."""
        fresh = time.monotonic() - self._seen_at <= MAX_SILENCE_SECONDS
        return self._others if fresh else []

    @property
    def alone(self) -> bool:
        """Whether there was no other server when that could be asked last, however long ago that is."""
        return not self._others and self._seen_at > float("-inf")

    @property
    def states(self) -> list[str]:
        """Their states."""
        return [server.state for server in self.others]

    @property
    def ready(self) -> list[Server]:
        """The other servers that take new calls."""
        return [server for server in self.successors if server.state == ServingState.READY]

    @property
    def successors(self) -> list[Server]:
        """The other servers that go on with calls of ours: all but those that stop."""
        if time.monotonic() - self._seen_at > MAX_SILENCE_SECONDS:
            return []
        return [server for server in self._others if server.state != ServingState.DRAINING]

    async def tell(self, what: str) -> None:
        """Return once the others can know, and are known. ``what`` is for the log, if that takes too long."""
        try:
            async with asyncio.timeout(SECONDS_TO_TELL):
                await self.update()
        except TimeoutError:
            log.warning("the other servers could not be told in time that this one %s", what)

    async def run(self) -> None:
        """Publish until cancelled; nothing is done where no other server can be."""
        changed = self._admission.changed
        while self._journal.shared:
            changed.clear()
            await self.update()
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await changed.wait()

    async def update(self) -> None:
        """Publish the state now, and read those of the others."""
        if not self._journal.shared:
            return
        try:
            await self._journal.beat(self._admission.state.value, self._admission.load)
            self._others = await self._journal.servers(MAX_SILENCE_SECONDS)
        except JournalError as error:
            if not self._failing:
                log.warning("the states of the other servers cannot be read: %s", error)
            self._failing = True
        else:
            self._seen_at = time.monotonic()
            self._failing = False

    async def sign_off(self) -> None:
        """This server is gone."""
        if not self._journal.shared:
            return
        with suppress(JournalError, TimeoutError):
            async with asyncio.timeout(SIGN_OFF_SECONDS):
                await self._journal.sign_off()
