"""The way to a person and back, as a table.

    REQUESTED ──rang──▶ RINGING ──accepted──▶ TALKING ──finished──▶ OVER
        │                │    ▲
        │   busy, no answer,  │ rang (the next target)
        │   declined, failed  │
        │                ▼    │
        ├──────────▶ MISSED ──┘
        │                ├──returned──▶ WITH_AGENT ──requested──▶ REQUESTED
        │                └──voicemail─▶ RECORDING ──recorded───▶ OVER
        └── (nobody to ring: as from MISSED)          hung up, once requested ─▶ OVER

Where a handoff stands is not kept anywhere but in the journal: any machine that is asked about a call
folds its events (`Handoff.of`). A step that does not fit the state is a repeated or late callback, and
changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from voice_app.journal import Entry
from voice_app.journal.events import HandedOff


class State(StrEnum):
    NONE = "none"
    REQUESTED = "requested"
    RINGING = "ringing"
    MISSED = "missed"
    TALKING = "talking"
    WITH_AGENT = "with-agent"
    RECORDING = "recording"
    OVER = "over"


class Step(StrEnum):
    REQUESTED = "requested"
    RANG = "rang"
    ACCEPTED = "accepted"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    DECLINED = "declined"
    FAILED = "failed"
    FINISHED = "finished"
    RETURNED = "returned"
    VOICEMAIL = "voicemail"
    RECORDED = "recorded"
    HUNG_UP = "hung-up"


MISSES: Final = frozenset({Step.BUSY, Step.NO_ANSWER, Step.DECLINED, Step.FAILED})

TABLE: Final[dict[tuple[State, Step], State]] = {
    (State.NONE, Step.REQUESTED): State.REQUESTED,
    (State.REQUESTED, Step.RANG): State.RINGING,
    (State.REQUESTED, Step.RETURNED): State.WITH_AGENT,
    (State.REQUESTED, Step.VOICEMAIL): State.RECORDING,
    (State.RINGING, Step.ACCEPTED): State.TALKING,
    (State.RINGING, Step.BUSY): State.MISSED,
    (State.RINGING, Step.NO_ANSWER): State.MISSED,
    (State.RINGING, Step.DECLINED): State.MISSED,
    (State.RINGING, Step.FAILED): State.MISSED,
    (State.TALKING, Step.FAILED): State.MISSED,
    (State.TALKING, Step.FINISHED): State.OVER,
    (State.MISSED, Step.RANG): State.RINGING,
    (State.MISSED, Step.RETURNED): State.WITH_AGENT,
    (State.MISSED, Step.VOICEMAIL): State.RECORDING,
    (State.WITH_AGENT, Step.REQUESTED): State.REQUESTED,
    (State.RECORDING, Step.RECORDED): State.OVER,
    **{(state, Step.HUNG_UP): State.OVER for state in State if state not in (State.NONE, State.OVER)},
}


@dataclass(slots=True, frozen=True)
class Handoff:
    """Where the handoff of one call stands."""

    state: State = State.NONE
    attempt: int = 0
    """How many targets were rung since the handoff was requested."""
    rounds: int = 0
    """How often a handoff was requested on this call."""
    reason: str = ""
    summary: str = ""
    target: str = ""
    """Who is being rung, or was rung last."""

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Handoff:
        """Fold what happened on a call."""
        handoff = cls()
        for entry in entries:
            if isinstance(event := entry.event, HandedOff):
                handoff = handoff.after(event)
        return handoff

    def allows(self, step: Step) -> bool:
        return (self.state, step) in TABLE

    def after(self, event: HandedOff) -> Handoff:
        """Where it stands after this step; the same, if the step does not fit."""
        try:
            step = Step(event.step)
            state = TABLE[self.state, step]
        except (KeyError, ValueError):
            return self
        match step:
            case Step.REQUESTED:
                return replace(
                    self,
                    state=state,
                    attempt=0,
                    rounds=self.rounds + 1,
                    reason=event.reason,
                    summary=event.summary,
                    target="",
                )
            case Step.RANG:
                return replace(self, state=state, attempt=self.attempt + 1, target=event.target)
            case _:
                return replace(self, state=state)
