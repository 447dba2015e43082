"""Agents: what they are, what they may yield and ask, and how they are run.

The agents themselves are modules of their own, which load what they need: `chat`, `receptionist`, `tools`.
"""

from voice_app.agents.asking import (
    NoAnswerError,
    ask,
    ask_in_thread,
)
from voice_app.agents.failures import (
    ModelError,
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
from voice_app.agents.runner import (
    hook,
    is_cancelled,
    pieces,
)
from voice_app.agents.text import (
    cleaned,
)

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
    "pieces",
]
