"""Revisions of a call's report: what became known after one was sent makes another one, with a higher number.

All of it follows from the journal: which reports were sent, how far each of them told, and what was written
since. So any server can tell what is owed, and none sends a revision twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from voice_app.calls import CallState
from voice_app.journal import Entry, Journal
from voice_app.journal.events import (
    Alerted,
    Analysed,
    Closed,
    Concluded,
    Conversed,
    Event,
    FollowedUp,
    Priced,
    Stored,
    Supervised,
    Transcribed,
    UnknownEvent,
    Voicemail,
)

REPORT: Final = "report"
"""The task that sends a call's report; ``report#2`` sends its second revision."""
NOTHING_NEW: Final = "nothing new"
"""The outcome of a revision that need not be sent."""
NEWS: Final = (Alerted, Analysed, Closed, Concluded, Priced, Stored, Transcribed, Voicemail)
"""Events that may come after a report, and that its readers wait for."""


@dataclass(slots=True, frozen=True)
class Revisions:
    """How much of a call was reported."""

    sent: int
    """How many reports there were."""
    news: bool
    """Whether something came after the last one."""

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Self:
        """What the entries of a call, and of its conversations, tell."""
        sent, told_until = 0, ""
        for entry in entries:
            match entry.event:
                case FollowedUp(outcome=outcome, until=until) as event if is_report(event):
                    sent += outcome != NOTHING_NEW
                    told_until = max(told_until, until or entry.id)
                case _:
                    pass
        return cls(sent, any(entry.id > told_until and _is_news(entry.event) for entry in entries))

    @property
    def current(self) -> int:
        """The number of the report that would be made now."""
        return max(1, self.sent + self.news)

    @property
    def owed(self) -> str | None:
        """The step that is to send what came after the last report; None before the first one, too."""
        return f"{REPORT}#{self.sent + 1}" if self.sent and self.news else None


def is_report(event: FollowedUp) -> bool:
    """Whether this tells of a report that was sent, or given up."""
    return task_of(event.step) == REPORT


def _is_news(event: Event | UnknownEvent) -> bool:
    return isinstance(event, NEWS) or (isinstance(event, Supervised) and event.act == "report")


def task_of(step: str) -> str:
    """The name of the task that does a step: ``report`` of ``report#2``."""
    return step.partition("#")[0]


async def entries_of(journal: Journal, call_sid: str) -> list[Entry]:
    """All that was written of a call. Raises `JournalError`.

    What operators said may have been told of the conversation before it was known which call it is.
    """
    entries = list(await journal.events(call_sid))
    conversed = CallState.of(entries).events(Conversed)
    for conversation_id in dict.fromkeys(event.conversation_id for event in conversed):
        entries += await journal.events(conversation_id)
    return entries
