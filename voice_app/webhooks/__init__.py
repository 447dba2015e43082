"""What Twilio asks over HTTP and on the socket; one module per question."""

from voice_app.webhooks.addresses import INTELLIGENCE_RESULTS, ORCHESTRATOR_EVENTS
from voice_app.webhooks.call_transfer import MAX_REASON, MAX_SUMMARY, CallTransfer
from voice_app.webhooks.routes import webhook_routes
from voice_app.webhooks.routing import CALL_SID, read_body

__all__ = [
    "CALL_SID",
    "INTELLIGENCE_RESULTS",
    "MAX_REASON",
    "MAX_SUMMARY",
    "ORCHESTRATOR_EVENTS",
    "CallTransfer",
    "read_body",
    "webhook_routes",
]
