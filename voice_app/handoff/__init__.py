"""The way to a person and back: who is rung, in which order, and what comes next."""

from voice_app.handoff.flow import (
    AGENT_FAILED,
    BUSY,
    NextStep,
    ReturnToAgent,
    RingTarget,
    SayGoodbye,
    TakeMessage,
    next_step,
)
from voice_app.handoff.targets import Target, TargetError, choose, from_addresses, from_file

__all__ = [
    "AGENT_FAILED",
    "BUSY",
    "NextStep",
    "ReturnToAgent",
    "RingTarget",
    "SayGoodbye",
    "TakeMessage",
    "Target",
    "TargetError",
    "choose",
    "from_addresses",
    "from_file",
    "next_step",
]
