"""A double of Conversation Orchestrator, in memory and over HTTP."""

from voice_app.sandbox.orchestrator.account import Account, Behaviour, new_id
from voice_app.sandbox.orchestrator.double import double
from voice_app.sandbox.orchestrator.faults import Fault
from voice_app.sandbox.orchestrator.transcriber import LocalTranscriber, RemoteTranscriber, Side, Transcriber

__all__ = [
    "Account",
    "Behaviour",
    "Fault",
    "LocalTranscriber",
    "RemoteTranscriber",
    "Side",
    "Transcriber",
    "double",
    "new_id",
]
