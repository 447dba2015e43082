"""The check while calls run: on a timer and on demand.

What proves that speech-to-text is billed twice raises an alarm, and where ``VOICE_APP_GUARD_RUNNING=refuse``
new calls go to people or ``busy.xml`` until a later look finds nothing. No call is ever cut, and the server
stays ready. A look that could not find out takes nothing back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from voice_app import telemetry
from voice_app.findings import Severity
from voice_app.guard.check import Report

FIRST_LOOK_SECONDS: Final = 5.0
"""How long a worker that was restarted waits for what the account says before it takes calls."""

log = logging.getLogger(__name__)


class Watch:
    """Looks again and again. ``seconds`` lie between two looks; 0 looks on demand only.

    ``refuse``: new calls are refused while speech-to-text is billed twice.
    """

    def __init__(
        self, look: Callable[[], Awaitable[Report]], *, seconds: float, refuse: bool = False
    ) -> None:
        self._look = look
        self._seconds = seconds
        self._refuse = refuse
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()
        self._known: frozenset[tuple[str, str]] = frozenset()
        self._doubted = False

    @property
    def refusals(self) -> list[str]:
        """The ids of the rules that prove it now."""
        return sorted({rule for rule, _ in self._known})

    @property
    def alarm(self) -> str:
        """What is wrong, for people; empty while nothing is."""
        if not self._known:
            return ""
        return f"speech-to-text is billed twice ({', '.join(self.refusals)}), see voice-app check"

    @property
    def refusing(self) -> bool:
        """Whether new calls are refused now."""
        return self._refuse and bool(self._known)

    async def changed(self) -> None:
        """Wait until the alarm is another one."""
        await self._changed.wait()

    async def look_first(self, seconds: float = FIRST_LOOK_SECONDS) -> None:
        """Look before the first call comes. What takes longer is left to `run`, which looks at once then."""
        try:
            async with asyncio.timeout(seconds):
                self._take(await self._look())
        except TimeoutError:
            log.warning("the guard did not find out within %g s, and looks on", seconds)
            self.look()

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
        appeared = now - self._known
        for key in appeared:
            log.error(
                "speech-to-text is billed twice, and %s: %s %s: %s; see voice-app check",
                "new calls go to people or busy.xml" if self._refuse else "calls go on",
                *key,
                refusals[key].message,
            )
        if self._known and not now:
            log.warning("speech-to-text is billed once again: %s is gone", ", ".join(self.refusals))
        for rule in self.refusals:
            telemetry.GUARD_REFUSALS.labels(rule).set(0)
        changed, self._known = now != self._known, now
        for rule in self.refusals:
            telemetry.GUARD_REFUSALS.labels(rule).set(1)
        if changed:
            self._changed.set()
            self._changed = asyncio.Event()

    def _doubt(self, report: Report) -> None:
        doubted = bool(report.snapshot.unread)
        if doubted and not self._doubted:
            for item in report.snapshot.unread:
                log.warning("the guard cannot read %s %s: %s", item.part, item.where, item.error.answer)
        self._doubted = doubted


def _in_doubt(report: Report) -> bool:
    """Whether something could not be read that may still be wrong, in either mode of the guard."""
    return any(item.rule == "STT106" and item.severity is not Severity.NOTE for item in report.findings)
