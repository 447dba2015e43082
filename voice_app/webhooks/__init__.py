"""What Twilio asks over HTTP and on the socket; one module per question."""

from voice_app.webhooks.desk import Desk
from voice_app.webhooks.routes import routes
from voice_app.webhooks.signature import Signatures

__all__ = ["Desk", "Signatures", "routes"]
