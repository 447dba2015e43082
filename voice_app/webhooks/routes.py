"""The addresses that Twilio knows, and who answers them."""

from __future__ import annotations

import re

from starlette.routing import BaseRoute, Route, WebSocketRoute

from voice_app.runtime import Services, addresses
from voice_app.webhooks import events, session_ended, transfer, voice
from voice_app.webhooks.relay_socket import RelayEndpoint
from voice_app.webhooks.routing import DirectRoutes, SignedRoutes
from voice_app.webhooks.signature import WITH_DATA, Signatures
from voice_app.webhooks.transcription import transcription


def webhook_routes(services: Services) -> tuple[list[BaseRoute], DirectRoutes]:
    """Every route that Twilio asks, and what leads to them directly. Each checks that Twilio asks."""
    signatures = _signatures(services)
    signed = SignedRoutes(services, signatures)
    relay = RelayEndpoint(services, signatures)
    routes: list[Route | WebSocketRoute] = [
        signed.call(addresses.VOICE, voice.answer),
        signed.call(addresses.VOICE_CALLBACK, voice.callback),
        signed.call(addresses.VOICE_STATUS, voice.status),
        signed.call(addresses.VOICE_FALLBACK, voice.fallback),
        signed.call(addresses.RELAY_ENDED, session_ended.relay_ended, WITH_DATA),
        signed.call(addresses.RESUME, session_ended.resume),
        signed.call(addresses.DIALED, transfer.dialed),
        signed.call(addresses.PULLED, transfer.pulled),
        signed.call(addresses.WHISPER, transfer.whisper),
        signed.call(addresses.SCREENED, transfer.screened),
        signed.call(addresses.INVITED_ENDED, transfer.invited),
        signed.call(addresses.QUEUE_WAIT, transfer.wait),
        signed.call(addresses.RECORDED, transfer.recorded),
        signed.call(addresses.RECORDING, transfer.recording),
        signed.call(addresses.TRANSCRIPTION, transcription),
        signed.notice(
            addresses.ORCHESTRATOR_EVENTS,
            events.orchestrator_event,
            problem=events.event_problem,
            key=events.event_key,
        ),
        signed.notice(
            addresses.INTELLIGENCE_RESULTS,
            events.intelligence_results,
            problem=events.results_problem,
            key=events.results_key,
        ),
        signed.notice(
            addresses.TWILIO_DEBUGGER,
            events.debugger_event,
            problem=events.debugger_problem,
            key=events.debugger_key,
            read=events.debugger_form,
        ),
        WebSocketRoute(addresses.RELAY, relay),
    ]
    signed.direct_routes.sockets[addresses.RELAY.removesuffix("/{token}")] = relay
    return [_with_or_without_slash(route) for route in routes], signed.direct_routes


def _with_or_without_slash(route: Route | WebSocketRoute) -> BaseRoute:
    """Some people write ``/voice/`` into Twilio's Console, and it would not follow a redirect of a POST."""
    route.path_regex = re.compile(f"{route.path_regex.pattern.removesuffix('$')}/?$")
    return route


def _signatures(services: Services) -> Signatures:
    settings = services.settings
    shared_keys = {key: secret.get_secret_value() for key, secret in settings.webhook_shared_keys.items()}
    return Signatures(settings.origin, settings.socket_origin, settings.signing_tokens, shared_keys)
