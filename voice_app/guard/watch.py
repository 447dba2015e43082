"""The check while calls run: on a timer and on demand.

A refusal that appears takes the server out of service for new calls (`Watch.refusals`), and never cuts a
call; it is over as soon as a later look finds nothing. A look that could not find out takes nothing back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from voice_app import telemetry
from voice_app.findings import Severity
from voice_app.guard.check import Report

log = logging.getLogger(__name__)


class Watch:
    """Looks again and again. ``seconds`` lie between two looks; 0 looks on demand only."""

    def __init__(self, look: Callable[[], Awaitable[Report]], *, seconds: float) -> None:
        self._look = look
        self._seconds = seconds
        self._wanted = asyncio.Event()
        self._known: frozenset[tuple[str, str]] = frozenset()
        self._doubted = False

    @property
    def refusals(self) -> list[str]:
        """The ids of the rules that refuse now."""
        return sorted({rule for rule, _ in self._known})

    def look(self) -> None:
        """Look now, instead of when it is time."""
        self._wanted.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await self._pause()
            try:
                self._take(await self._look())
            except Exception:
                # Whatever it is: the calls do not depend on it, and the next look may work.
                log.exception("the guard's check failed")

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._seconds or None):
                await self._wanted.wait()
        except TimeoutError:
            pass
        self._wanted.clear()

    def _take(self, report: Report) -> None:
        telemetry.GUARD_CHECKS.labels(report.verdict).inc()
        self._doubt(report)
        refusals = {(item.rule, item.where): item for item in report.refusals}
        now = frozenset(refusals) | (self._known if _in_doubt(report) else frozenset())
        for key in now - self._known:
            log.error(
                "the guard refuses new calls: %s %s: %s; see voice-app check", *key, refusals[key].message
            )
        if self._known and not now:
            log.warning("the guard refuses no more: %s", ", ".join(self.refusals))
        for rule in self.refusals:
            telemetry.GUARD_REFUSALS.labels(rule).set(0)
        self._known = now
        for rule in self.refusals:
            telemetry.GUARD_REFUSALS.labels(rule).set(1)

    def _doubt(self, report: Report) -> None:
        doubted = bool(report.snapshot.unread)
        if doubted and not self._doubted:
            for item in report.snapshot.unread:
                log.warning("the guard cannot read %s %s: %s", item.part, item.where, item.error.answer)
        self._doubted = doubted


def _in_doubt(report: Report) -> bool:
    """Whether something could not be read that may still be wrong, in either mode of the guard."""
    return any(item.rule == "STT106" and item.severity is not Severity.NOTE for item in report.findings)
