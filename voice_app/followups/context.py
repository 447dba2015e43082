"""One call that is over, as a follow-up task sees it, and what an attempt at the task can come to."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from voice_app.calls import CallState
from voice_app.followups.revisions import REPORT, Revisions, entries_of, task_of
from voice_app.journal import CallRecord, Journal, JournalError
from voice_app.journal.events import FollowedUp
from voice_app.telemetry import attributes as names
from voice_app.telemetry import metrics, traces
from voice_app.telemetry.scope import about
from voice_app.twilio import ApiError, Trouble

BEGUN: Final = "begun"
"""The step with which the journal says what is going to be done; its detail has the tasks' names."""

_PASSING = frozenset(
    {
        Trouble.UNREACHABLE,
        Trouble.TIMEOUT,
        Trouble.RATE_LIMITED,
        Trouble.SERVER,
        Trouble.UNREADABLE,
        Trouble.UNAUTHENTICATED,
    }
)
"""What may be well the next time: the last two once somebody has put the network or the settings right."""
_NO_JOURNAL_S: Final = 10.0
"""The pause while the journal cannot be read."""
_SETTLE_S: Final = 5.0
_JITTER: Final = 0.2

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FollowupContext:
    """A call and everything that is known of it."""

    record: CallRecord
    state: CallState
    asked_at: float
    """When the follow-up was asked for, in seconds since the epoch."""
    attempt: int
    """0 is the first one."""

    @property
    def call_sid(self) -> str:
        return self.record.call_sid

    def configuration(self, default: str | None) -> str | None:
        """The configuration of the call; the default one if what was served on it is not known."""
        return self.state.configuration_id or (None if self.state.served else default)


@dataclass(frozen=True, slots=True)
class Finished:
    """There is nothing more to do."""

    outcome: str
    """One or two words for the journal and the metric."""
    detail: str = ""
    good: bool = True
    """Whether it is what was wanted."""
    until: str = ""
    """Of a report: the entry up to which it tells."""


@dataclass(frozen=True, slots=True)
class Retry:
    """It could not be done now."""

    why: str = ""
    """What went wrong; empty where nothing did, and it only is not time yet."""
    after_s: float | None = None
    """Seconds to wait, where somebody said so."""


Verdict: TypeAlias = Finished | Retry


class FollowupTask(Protocol):
    """Something to do after a call. Attempts are repeated, also after a crash in the middle of one."""

    @property
    def name(self) -> str:
        """How the journal calls it."""

    @property
    def patience_s(self) -> float:
        """For so long it is tried again."""

    @property
    def waits_s(self) -> tuple[float, float]:
        """The first and the longest pause between two attempts. In between each is twice the one before."""

    @property
    def kinds(self) -> frozenset[str] | None:
        """Only calls with an event of one of these kinds can need it; None: any call can."""

    def wanted(self, context: FollowupContext) -> bool:
        """Whether this call needs it."""

    async def attempt(self, context: FollowupContext) -> Verdict:
        """Do it, unless it has been done. May raise `ApiError` and `JournalError`."""


def refused(error: ApiError) -> Verdict:
    """What an error of Twilio's APIs means for a follow-up: whether it may be well the next time."""
    told = f"{error.trouble}" + (f" {error.status}" if error.status is not None else "")
    if error.trouble in _PASSING:
        return Retry(told, error.retry_after)
    return Finished("refused", told, good=False)


class Work:
    """What can be done after a call."""

    def __init__(
        self,
        journal: Journal,
        tasks: Sequence[FollowupTask],
        finished: Callable[[str], None] = lambda call_sid: None,
    ) -> None:
        """``finished`` is told the call whenever one of its tasks is over."""
        self._journal = journal
        self._finished = finished
        self._tasks = {task.name: task for task in tasks}

    @property
    def kinds(self) -> frozenset[str] | None:
        """Only calls with an event of one of these kinds can need something; None: any call can."""
        kinds = [task.kinds for task in self._tasks.values()]
        known = [kind for kind in kinds if kind is not None]
        return None if len(known) < len(kinds) else frozenset().union(*known)

    @property
    def reports(self) -> bool:
        """Whether calls are reported."""
        return REPORT in self._tasks

    async def wanted(self, call_sid: str) -> list[str]:
        """The names of the tasks that a call needs now. Raises `JournalError`."""
        context = await self._context(call_sid, 0.0, 0)
        return [] if context is None else [task.name for task in self._tasks.values() if task.wanted(context)]

    async def revision(self, call_sid: str) -> str | None:
        """The step that is to report what came after a call's last report. Raises `JournalError`."""
        if not self.reports:
            return None
        return Revisions.of(await entries_of(self._journal, call_sid)).owed

    async def begin(self, call_sid: str) -> list[str]:
        """The same, and the journal says that it is going to be done."""
        names = await self.wanted(call_sid)
        await self._write(call_sid, FollowedUp(BEGUN, "", " ".join(names)))
        return names

    async def attempt(self, call_sid: str, name: str, asked_at: float, number: int) -> float | None:
        """Try it for the ``number``-th time, counted from 0. Seconds until the next attempt; None if done."""
        task = self._tasks.get(task_of(name))
        if task is None:  # it was asked for when the settings still said so
            await self._finish(call_sid, name, Finished("not wanted any more"))
            return None
        attributes: dict[str, traces.Attribute] = {names.FOLLOW_UP: task.name, names.ATTEMPT: number}
        try:
            with about(call_sid), traces.span(f"follow-up {task.name}", attributes) as span:
                context = await self._context(call_sid, asked_at, number)
                if context is None:
                    return None  # forgotten, and what is forgotten has no journal to write to
                verdict = await self._tried(task, context)
                span.set(names.OUTCOME, verdict.outcome if isinstance(verdict, Finished) else "again")
        except JournalError as error:
            log.warning("call %s: %s waits for the journal: %s", call_sid, name, error)
            return _NO_JOURNAL_S
        if isinstance(verdict, Retry) and time.time() - asked_at > task.patience_s:
            verdict = Finished("given up", verdict.why or "it was never time", good=False)
        if isinstance(verdict, Finished):
            await self._finish(call_sid, name, verdict)
            return None
        return _pause(task, context, verdict)

    async def _tried(self, task: FollowupTask, context: FollowupContext) -> Verdict:
        try:
            return await task.attempt(context)
        except JournalError:
            raise
        except ApiError as error:
            return refused(error)
        except Exception:
            log.exception("call %s: %s failed", context.call_sid, task.name)
            return Finished("failed", "see the log", good=False)

    async def _finish(self, call_sid: str, name: str, verdict: Finished) -> None:
        metrics.FOLLOW_UPS.labels(task_of(name), verdict.outcome).inc()
        if not verdict.good:
            log.error("call %s: %s: %s (%s)", call_sid, name, verdict.outcome, verdict.detail)
        await self._write(call_sid, FollowedUp(name, verdict.outcome, verdict.detail, verdict.until))
        self._finished(call_sid)

    async def _context(self, call_sid: str, asked_at: float, number: int) -> FollowupContext | None:
        record = await self._journal.call(call_sid)
        if record is None:
            return None
        return FollowupContext(record, CallState.of(await self._journal.events(call_sid)), asked_at, number)

    async def _write(self, call_sid: str, event: FollowedUp) -> None:
        """Write it once, also if this is tried again after a crash, and before the step counts as done."""
        self._journal.write(call_sid, event, once=f"follow-up:{call_sid}:{event.step}")
        await self._journal.settle(_SETTLE_S)


def _pause(task: FollowupTask, context: FollowupContext, verdict: Retry) -> float:
    """Seconds until the next attempt."""
    if verdict.why:
        metrics.FOLLOW_UP_RETRIES.labels(task.name).inc()
        log.warning("call %s: %s has to wait: %s", context.call_sid, task.name, verdict.why)
    if verdict.after_s is not None:
        return verdict.after_s
    shortest, longest = task.waits_s
    wait: float = min(shortest * 2 ** min(context.attempt, 30), longest)
    return wait * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - so that not all come back at once
