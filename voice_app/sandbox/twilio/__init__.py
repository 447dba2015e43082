"""A double of Conversation Orchestrator, in memory and over HTTP."""

from voice_app.sandbox.twilio.account import SENTIMENT, SUMMARY, Behaviour, SandboxAccount
from voice_app.sandbox.twilio.app import double_app
from voice_app.sandbox.twilio.errors import Fault
from voice_app.sandbox.twilio.middleware import CONTROL_PATH
from voice_app.sandbox.twilio.records import Instruction, Placement, new_id
from voice_app.sandbox.twilio.transcriber import (
    RELAY_ENGINE,
    CallStart,
    LocalTranscriber,
    RemoteTranscriber,
    Side,
    Transcriber,
)
from voice_app.sandbox.twilio.webhook_sender import SentWebhook, WebhookSender

__all__ = [
    "CONTROL_PATH",
    "RELAY_ENGINE",
    "SENTIMENT",
    "SUMMARY",
    "Behaviour",
    "CallStart",
    "Fault",
    "Instruction",
    "LocalTranscriber",
    "Placement",
    "RemoteTranscriber",
    "SandboxAccount",
    "SentWebhook",
    "Side",
    "Transcriber",
    "WebhookSender",
    "double_app",
    "new_id",
]
