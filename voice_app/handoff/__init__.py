"""The way to a person and back: who is rung, where a handoff stands, and what comes next."""

from voice_app.calls import MISSES, Handoff
from voice_app.calls import HandoffState as State
from voice_app.calls import HandoffStep as Step
from voice_app.handoff.targets import Target, TargetError, choose, from_addresses, from_file

__all__ = [
    "MISSES",
    "Handoff",
    "State",
    "Step",
    "Target",
    "TargetError",
    "choose",
    "from_addresses",
    "from_file",
]
