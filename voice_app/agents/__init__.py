"""Agents: what they are, what they may yield and ask, and how they are run.

The agents themselves are modules of their own, which load what they need: `chat`, `receptionist`, `tools`.
What runs an agent brings asyncio, and is loaded when first asked for: `import voice_app` needs none of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from voice_app.agents.asking import (
    NoAnswerError,
    ask,
    ask_in_thread,
)
from voice_app.agents.kinds import (
    Address,
    AnswerKind,
    AskContext,
    Choice,
    Date,
    Digits,
    Email,
    Name,
    PhoneNumber,
    YesNo,
)
from voice_app.agents.protocol import (
    Action,
    Agent,
    Answer,
    AskEndedError,
    Become,
    Break,
    Call,
    EndCall,
    Expected,
    Floor,
    Keys,
    Log,
    Message,
    Piece,
    Play,
    Reject,
    Say,
    SendDigits,
    Ssml,
    SwitchLanguage,
    Transfer,
    Turn,
    TurnKind,
)
from voice_app.agents.text import (
    cleaned,
)

if TYPE_CHECKING:
    from voice_app.agents.failures import ModelError
    from voice_app.agents.runner import hook, is_cancelled, run

__all__ = [
    "Action",
    "Address",
    "Agent",
    "Answer",
    "AnswerKind",
    "AskContext",
    "AskEndedError",
    "Become",
    "Break",
    "Call",
    "Choice",
    "Date",
    "Digits",
    "Email",
    "EndCall",
    "Expected",
    "Floor",
    "Keys",
    "Log",
    "Message",
    "ModelError",
    "Name",
    "NoAnswerError",
    "PhoneNumber",
    "Piece",
    "Play",
    "Reject",
    "Say",
    "SendDigits",
    "Ssml",
    "SwitchLanguage",
    "Transfer",
    "Turn",
    "TurnKind",
    "YesNo",
    "ask",
    "ask_in_thread",
    "cleaned",
    "hook",
    "is_cancelled",
    "run",
]

_LOADED_LATER = {
    "ModelError": "voice_app.agents.failures",
    "hook": "voice_app.agents.runner",
    "is_cancelled": "voice_app.agents.runner",
    "run": "voice_app.agents.runner",
}


def __getattr__(name: str) -> Any:
    if name not in _LOADED_LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LOADED_LATER[name]), name)
