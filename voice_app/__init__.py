"""A server between a Twilio phone number and an AI voice agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voice_app.agents import (
        Action,
        Address,
        Agent,
        Answer,
        AnswerKind,
        AskContext,
        AskEndedError,
        Become,
        Break,
        Call,
        Choice,
        Date,
        Digits,
        Email,
        EndCall,
        Keys,
        Message,
        Name,
        NoAnswerError,
        PhoneNumber,
        Piece,
        Play,
        Reject,
        Say,
        SendDigits,
        Ssml,
        SwitchLanguage,
        Transfer,
        Turn,
        YesNo,
        ask,
        ask_in_thread,
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
    "Keys",
    "Message",
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
    "YesNo",
    "ask",
    "ask_in_thread",
]


def __getattr__(name: str) -> Any:
    """The names for authors of agents, which a command line that has none need not import."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from voice_app import agents

    return getattr(agents, name)


def __dir__() -> list[str]:
    return __all__
