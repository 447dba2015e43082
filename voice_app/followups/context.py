"""One call that is over, as a follow-up task sees it, and what an attempt at the task can come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from voice_app.calls import CallState
from voice_app.journal import CallRecord
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
