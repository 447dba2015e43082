"""A double of Conversation Orchestrator, in memory and over HTTP."""

from voice_app.sandbox.orchestrator.account import Account, Behaviour, new_id
from voice_app.sandbox.orchestrator.double import double
from voice_app.sandbox.orchestrator.faults import Fault
from voice_app.sandbox.orchestrator.instructions import Placement
from voice_app.sandbox.orchestrator.intelligence import add_intelligence
from voice_app.sandbox.orchestrator.numbers import add_number
from voice_app.sandbox.orchestrator.operators import SENTIMENT, SUMMARY
from voice_app.sandbox.orchestrator.postman import Delivery, Postman
from voice_app.sandbox.orchestrator.transcriber import (
    RELAY_ENGINE,
    LocalTranscriber,
    RemoteTranscriber,
    Side,
    Transcriber,
)
from voice_app.sandbox.orchestrator.wire import DOOR

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
