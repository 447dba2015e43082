"""The addresses that Twilio knows, and who answers them."""

from __future__ import annotations

from starlette.routing import BaseRoute, WebSocketRoute

from voice_app.webhooks.desk import RELAY_ENDED, Desk
from voice_app.webhooks.relay import RelayEndpoint
from voice_app.webhooks.relay_ended import relay_ended
from voice_app.webhooks.signed import call_route
from voice_app.webhooks.status import status
from voice_app.webhooks.voice import answer, fallback


def routes(desk: Desk) -> list[BaseRoute]:
    return [
        call_route("/voice", answer, desk),
        call_route(RELAY_ENDED, relay_ended, desk),
        call_route("/voice/status", status, desk),
        call_route("/voice/fallback", fallback, desk),
        WebSocketRoute("/relay/{token}", RelayEndpoint(desk)),
    ]
