"""The way to a person and back, as a table.

    REQUESTED ──rang──▶ RINGING ──accepted──▶ TALKING ──finished──▶ OVER
        │                │    ▲                  └──returned──▶ WITH_AGENT
        │   busy, no answer,  │ rang (the next target)
        │   declined, failed  │
        │                ▼    │
        ├──────────▶ MISSED ──┘
        │                ├──returned──▶ WITH_AGENT ──requested──▶ REQUESTED
        │                └──voicemail─▶ RECORDING ──recorded───▶ OVER
        └── (nobody to ring: as from MISSED)          hung up, once requested ─▶ OVER

Where a handoff stands is kept in the journal alone: any machine that is asked about a call folds its events
(`CallState.handoff`). A step that does not fit the state is a repeated or late callback, and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from voice_app.journal.events import HandedOff


class HandoffState(StrEnum):
    NONE = "none"
    REQUESTED = "requested"
    RINGING = "ringing"
    MISSED = "missed"
    TALKING = "talking"
    WITH_AGENT = "with-agent"
    RECORDING = "recording"
    OVER = "over"


class HandoffStep(StrEnum):
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


MISSES: Final = frozenset({HandoffStep.BUSY, HandoffStep.NO_ANSWER, HandoffStep.DECLINED, HandoffStep.FAILED})

TABLE: Final[dict[tuple[HandoffState, HandoffStep], HandoffState]] = {
    (HandoffState.NONE, HandoffStep.REQUESTED): HandoffState.REQUESTED,
    (HandoffState.REQUESTED, HandoffStep.RANG): HandoffState.RINGING,
    (HandoffState.REQUESTED, HandoffStep.RETURNED): HandoffState.WITH_AGENT,
    (HandoffState.REQUESTED, HandoffStep.VOICEMAIL): HandoffState.RECORDING,
    (HandoffState.RINGING, HandoffStep.ACCEPTED): HandoffState.TALKING,
    (HandoffState.RINGING, HandoffStep.BUSY): HandoffState.MISSED,
    (HandoffState.RINGING, HandoffStep.NO_ANSWER): HandoffState.MISSED,
    (HandoffState.RINGING, HandoffStep.DECLINED): HandoffState.MISSED,
    (HandoffState.RINGING, HandoffStep.FAILED): HandoffState.MISSED,
    (HandoffState.TALKING, HandoffStep.FAILED): HandoffState.MISSED,
    (HandoffState.TALKING, HandoffStep.RETURNED): HandoffState.WITH_AGENT,
    (HandoffState.TALKING, HandoffStep.FINISHED): HandoffState.OVER,
    (HandoffState.MISSED, HandoffStep.RANG): HandoffState.RINGING,
    (HandoffState.MISSED, HandoffStep.RETURNED): HandoffState.WITH_AGENT,
    (HandoffState.MISSED, HandoffStep.VOICEMAIL): HandoffState.RECORDING,
    (HandoffState.WITH_AGENT, HandoffStep.REQUESTED): HandoffState.REQUESTED,
    (HandoffState.RECORDING, HandoffStep.RECORDED): HandoffState.OVER,
    **{
        (state, HandoffStep.HUNG_UP): HandoffState.OVER
        for state in HandoffState
        if state not in (HandoffState.NONE, HandoffState.OVER)
    },
}


UNDER_WAY: Final = frozenset(
    {HandoffState.REQUESTED, HandoffState.RINGING, HandoffState.MISSED, HandoffState.TALKING}
)
"""Somebody is to take the call, or has taken it."""


@dataclass(slots=True, frozen=True)
class Handoff:
    """Where the handoff of one call stands."""

    state: HandoffState = HandoffState.NONE
    attempt: int = 0
    """How many targets were rung since the handoff was requested."""
    rounds: int = 0
    """How often a handoff was requested on this call."""
    reason: str = ""
    summary: str = ""
    target: str = ""
    """Who is being rung, or was rung last."""

    def allows(self, step: HandoffStep) -> bool:
        return (self.state, step) in TABLE

    def ringing(self, attempt: int) -> Handoff:
        """Where it stands while this attempt is made, of which nothing else is known."""
        return replace(self, state=HandoffState.RINGING, attempt=attempt, rounds=max(1, self.rounds))

    def given_back(self) -> Handoff:
        """Where it stands once the agent has the caller again, whatever is known of how that came about."""
        return replace(self, state=HandoffState.WITH_AGENT) if self.state in UNDER_WAY else self

    def after(self, event: HandedOff) -> Handoff:
        """Where it stands after this step; the same, if the step does not fit."""
        try:
            step = HandoffStep(event.step)
            state = TABLE[self.state, step]
        except (KeyError, ValueError):
            return self
        match step:
            case HandoffStep.REQUESTED:
                return replace(
                    self,
                    state=state,
                    attempt=0,
                    rounds=self.rounds + 1,
                    reason=event.reason,
                    summary=event.summary,
                    target="",
                )
            case HandoffStep.RANG:
                return replace(self, state=state, attempt=self.attempt + 1, target=event.target)
            case _:
                return replace(self, state=state)
