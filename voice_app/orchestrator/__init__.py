"""Clients of Conversation Orchestrator."""

from voice_app.orchestrator.calls import Calls
from voice_app.orchestrator.configurations import Configurations
from voice_app.orchestrator.conversations import Conversations
from voice_app.orchestrator.errors import ApiError, Trouble
from voice_app.orchestrator.http import Credentials, Patience, TwilioApi
from voice_app.orchestrator.intelligence import (
    Intelligence,
    IntelligenceConfiguration,
    Operator,
    OperatorResult,
)
from voice_app.orchestrator.memory import Memory
from voice_app.orchestrator.models import Communication, Configuration, Conversation, Participant

__all__ = [
    "ApiError",
    "Calls",
    "Communication",
    "Configuration",
    "Configurations",
    "Conversation",
    "Conversations",
    "Credentials",
    "Intelligence",
    "IntelligenceConfiguration",
    "Memory",
    "Operator",
    "OperatorResult",
    "Participant",
    "Patience",
    "Trouble",
    "TwilioApi",
]
