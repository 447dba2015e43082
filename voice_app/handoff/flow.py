"""What a transfer does next: decided from what is known of the call, without doing any of it.

The decision says what the caller's line does (ring somebody, go back to the agent, take a message, end), and
which step of the table it takes. No step: Twilio asks again about what was decided before, or the call is
past deciding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

from voice_app.calls import CallState, HandoffState, HandoffStep
from voice_app.handoff.targets import Target, choose

BUSY: Final = "busy"
"""The reason of a call that goes to people because the server is full."""
AGENT_FAILED: Final = "agent-failed"
"""The reason of a call whose sessions broke off too often."""
WITHOUT_AGENT: Final = frozenset({AGENT_FAILED, BUSY})
"""For these reasons the caller does not come back to the agent."""
MAX_ROUNDS: Final = 2
"""How often people are rung for one call; after that a message is all that is left."""


@dataclass(slots=True, frozen=True)
class RingTarget:
    """The caller waits while this target is rung."""

    target: Target
    attempt: int
    """How many targets were rung since a person was asked for, this one included."""
    step: HandoffStep | None = HandoffStep.RANG


@dataclass(slots=True, frozen=True)
class ReturnToAgent:
    """The agent gets the caller back."""

    step: HandoffStep | None = HandoffStep.RETURNED


@dataclass(slots=True, frozen=True)
class TakeMessage:
    """The caller leaves a message."""

    step: HandoffStep | None = HandoffStep.VOICEMAIL


@dataclass(slots=True, frozen=True)
class SayGoodbye:
    """The call ends."""

    step: None = None


NextStep: TypeAlias = RingTarget | ReturnToAgent | TakeMessage | SayGoodbye


def next_step(
    state: CallState, targets: Sequence[Target], now: datetime, *, agent_takes_back: bool
) -> NextStep:
    """What the caller's line does now.

    Args:
        state: what is known of the call.
        targets: everybody who takes calls over, in order.
        now: an aware time; it counts where it is not known when a person was asked for.
        agent_takes_back: whether the number's callers come back to the agent where nobody answers
            (``VOICE_APP_HANDOFF_THEN=agent``).
    """
    handoff = state.handoff
    match handoff.state:
        case HandoffState.RINGING:
            if available := _available(state, targets, now):
                return RingTarget(available[min(handoff.attempt, len(available)) - 1], handoff.attempt, None)
            return SayGoodbye()
        case HandoffState.REQUESTED | HandoffState.MISSED:
            available = _available(state, targets, now)
            if handoff.rounds <= MAX_ROUNDS and handoff.attempt < len(available):
                return RingTarget(available[handoff.attempt], handoff.attempt + 1)
            if agent_takes_back and handoff.reason not in WITHOUT_AGENT and handoff.rounds <= 1:
                return ReturnToAgent()
            return TakeMessage()
        case HandoffState.WITH_AGENT:
            return ReturnToAgent(None)
        case HandoffState.RECORDING:
            return TakeMessage(None)
        case HandoffState.NONE | HandoffState.TALKING | HandoffState.OVER:
            return SayGoodbye()


def _available(state: CallState, targets: Sequence[Target], now: datetime) -> list[Target]:
    """Who is to be rung, in order: judged by when a person was asked for, so that the order stays."""
    requested_at = state.handoff_requested_at
    at = now if requested_at is None else datetime.fromtimestamp(requested_at, UTC)
    return choose(targets, state.parties.number, state.handoff.reason, at)
