"""What Twilio asks over HTTP and on the socket; one module per question."""

from voice_app.webhooks.desk import INTELLIGENCE_RESULTS, ORCHESTRATOR_EVENTS, Desk
from voice_app.webhooks.directory import Directory
from voice_app.webhooks.lookout import Lookout
from voice_app.webhooks.recall import Recalls
from voice_app.webhooks.routes import routes
from voice_app.webhooks.signature import Signatures

__all__ = [
    "INTELLIGENCE_RESULTS",
    "ORCHESTRATOR_EVENTS",
    "Desk",
    "Directory",
    "Lookout",
    "Recalls",
    "Signatures",
    "routes",
]
