"""A server between a Twilio phone number and an AI voice agent."""

from voice_app.agents.protocol import (
    Action,
    Agent,
    Break,
    Call,
    EndCall,
    Keys,
    Message,
    Piece,
    Play,
    Say,
    SendDigits,
    Ssml,
    SwitchLanguage,
    Transfer,
    Turn,
)

__all__ = [
    "Action",
    "Agent",
    "Break",
    "Call",
    "EndCall",
    "Keys",
    "Message",
    "Piece",
    "Play",
    "Say",
    "SendDigits",
    "Ssml",
    "SwitchLanguage",
    "Transfer",
    "Turn",
]
