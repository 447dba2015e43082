"""What Twilio asks over HTTP and on the socket; one module per question."""

from voice_app.twilio.identifiers import CALL_SID
from voice_app.webhooks.routes import webhook_routes
from voice_app.webhooks.routing import DirectRoutes, read_body

__all__ = ["CALL_SID", "DirectRoutes", "read_body", "webhook_routes"]
