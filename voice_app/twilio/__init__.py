"""Clients of Conversation Orchestrator."""

from voice_app.twilio.classic_api import Calls
from voice_app.twilio.configurations import Configurations
from voice_app.twilio.conversations import Conversations
from voice_app.twilio.errors import ApiError, Trouble
from voice_app.twilio.http import Credentials, Patience, TwilioApi, read_up_to
from voice_app.twilio.intelligence import (
    Intelligence,
    IntelligenceConfiguration,
    Operator,
    OperatorResult,
)
from voice_app.twilio.memory import MemoryClient
from voice_app.twilio.models import Communication, Configuration, Conversation, Participant

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
    "MemoryClient",
    "Operator",
    "OperatorResult",
    "Participant",
    "Patience",
    "Trouble",
    "TwilioApi",
    "read_up_to",
]
