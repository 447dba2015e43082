"""What Twilio asks over HTTP and on the socket; one module per question."""

from voice_app.webhooks.routes import webhook_routes
from voice_app.webhooks.routing import CALL_SID, ShortWays, read_body

__all__ = ["CALL_SID", "ShortWays", "read_body", "webhook_routes"]
