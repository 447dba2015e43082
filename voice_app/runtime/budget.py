"""What the calls cost: of each at its end, of a day, and an alarm when that is more than the budget.

Every server of a fleet reads what all of them have written, so each knows the whole sum and raises the alarm.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import date, datetime
from typing import Final

import msgspec

from voice_app.calls import CallState, PriceList, cost_of
from voice_app.journal import Journal, JournalError
from voice_app.journal.events import Costed
from voice_app.telemetry import metrics

LOOK_SECONDS: Final = 30.0
"""Between two looks."""
OVERLAP_SECONDS: Final = 300.0
"""So late an entry of another server may be seen."""

log = logging.getLogger(__name__)


class DayCost(msgspec.Struct):
    """What the calls cost that ended on one day."""

    calls: int = 0
    amount: float = 0.0
    second_engine: float = 0.0
    """What a second speech-to-text would have cost beside the one that there was."""


async def note_cost(
    journal: Journal, prices: PriceList, call_sid: str, state: CallState | None = None
) -> None:
    """Write down what a call that is over has cost, as far as it is known. Never raises `JournalError`.

    ``state``: what is known of it, if that was read just now.
    """
    try:
        state = state or CallState.of(await journal.events(call_sid))
    except JournalError as error:
        log.warning("call %s: what it cost is not written down: %s", call_sid, error)
        return
    cost, before = cost_of(state, prices), state.last(Costed)
    now = Costed(round(cost.total, 6), cost.currency, round(cost.second_engine, 6))
    if before is None:
        metrics.CALL_COST.labels(cost.currency).inc(cost.total)
    if now != before:
        journal.write(call_sid, now)


async def costs_by_day(journal: Journal, since: float, until: float, currency: str) -> dict[date, DayCost]:
    """What the calls cost that ended between two times (seconds since the epoch), by this machine's days.

    Raises:
        JournalError: the database cannot be read.
    """
    latest: dict[str, tuple[float, Costed]] = {}
    for entry in await journal.of_kind(Costed, since):
        if entry.at < until and isinstance(entry.event, Costed) and entry.event.currency == currency:
            first = latest.get(entry.call_sid)
            latest[entry.call_sid] = (entry.at if first is None else first[0], entry.event)
    days: defaultdict[date, DayCost] = defaultdict(DayCost)
    for at, cost in latest.values():
        day = days[datetime.fromtimestamp(at).astimezone().date()]
        day.calls += 1
        day.amount += cost.amount
        day.second_engine += cost.second_engine
    return dict(sorted(days.items()))


class DayBudget:
    """Watches what the day's calls cost. ``alarm`` is told what is wrong; empty: nothing any more."""

    def __init__(
        self,
        journal: Journal,
        limit: float,
        currency: str,
        alarm: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._journal = journal
        self._limit = limit
        self._currency = currency
        self._alarm = alarm
        self._clock = clock
        self._day: date | None = None
        self._seen = 0.0
        self._costs: dict[str, float] = {}
        self._over = False

    @property
    def spent(self) -> float:
        """What the calls that ended today have cost."""
        return math.fsum(self._costs.values())

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except JournalError as error:
                log.warning("what the day's calls cost cannot be read: %s", error)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Take in what was written since the last look. Raises `JournalError`."""
        now = datetime.fromtimestamp(self._clock()).astimezone()
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        if now.date() != self._day:
            self._day, self._seen, self._costs = now.date(), midnight, {}
        for entry in await self._journal.of_kind(Costed, max(midnight, self._seen - OVERLAP_SECONDS)):
            if isinstance(entry.event, Costed) and entry.event.currency == self._currency:
                self._costs[entry.call_sid] = entry.event.amount
            self._seen = max(self._seen, entry.at)
        self._tell()

    def _tell(self) -> None:
        spent, over = self.spent, self.spent > self._limit
        metrics.COST_TODAY.set(spent)
        metrics.BUDGET_EXCEEDED.set(int(over))
        if over == self._over:
            return
        self._over = over
        told = f"the calls of today have cost {spent:.2f} {self._currency}"
        if over:
            told += f", which is more than VOICE_APP_BUDGET_DAY={self._limit:g}"
            log.error("%s; calls go on", told)
        else:
            log.warning("a new day has its whole budget: %s", told)
        self._alarm(told if over else "")
