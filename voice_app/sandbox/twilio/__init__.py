"""A double of Conversation Orchestrator, in memory and over HTTP."""

from voice_app.sandbox.twilio.account import SENTIMENT, SUMMARY, Account, Behaviour
from voice_app.sandbox.twilio.app import double
from voice_app.sandbox.twilio.errors import Fault
from voice_app.sandbox.twilio.middleware import DOOR
from voice_app.sandbox.twilio.records import Placement, new_id
from voice_app.sandbox.twilio.transcriber import (
    RELAY_ENGINE,
    LocalTranscriber,
    RemoteTranscriber,
    Side,
    Transcriber,
)
from voice_app.sandbox.twilio.webhook_sender import Delivery, Postman

__all__ = [
    "DOOR",
    "RELAY_ENGINE",
    "SENTIMENT",
    "SUMMARY",
    "Account",
    "Behaviour",
    "Delivery",
    "Fault",
    "LocalTranscriber",
    "Placement",
    "Postman",
    "RemoteTranscriber",
    "Side",
    "Transcriber",
    "double",
    "new_id",
]
