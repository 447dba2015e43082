"""A double of Conversation Orchestrator, in memory and over HTTP."""

from voice_app.sandbox.twilio.account import Account, Behaviour, new_id
from voice_app.sandbox.twilio.app import double
from voice_app.sandbox.twilio.faults import Fault
from voice_app.sandbox.twilio.instructions import Placement
from voice_app.sandbox.twilio.intelligence import add_intelligence
from voice_app.sandbox.twilio.numbers import add_number
from voice_app.sandbox.twilio.operators import SENTIMENT, SUMMARY
from voice_app.sandbox.twilio.webhook_sender import Delivery, Postman
from voice_app.sandbox.twilio.transcriber import (
    RELAY_ENGINE,
    LocalTranscriber,
    RemoteTranscriber,
    Side,
    Transcriber,
)
from voice_app.sandbox.twilio.middleware import DOOR

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
    "add_intelligence",
    "add_number",
    "double",
    "new_id",
]
