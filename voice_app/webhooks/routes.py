"""The addresses that Twilio knows, and who answers them."""

from __future__ import annotations

from starlette.routing import BaseRoute, WebSocketRoute

from voice_app.webhooks.busy import callback
from voice_app.webhooks.desk import (
    CALLBACK,
    INTELLIGENCE_RESULTS,
    ORCHESTRATOR_EVENTS,
    PULLED,
    RELAY_ENDED,
    RESUME,
    VOICE,
    Desk,
)
from voice_app.webhooks.handoff import dialed, invited, pulled, recorded, recording, screened, wait, whisper
from voice_app.webhooks.intelligence_results import check_results, intelligence_results, results_key
from voice_app.webhooks.notice import notice_route
from voice_app.webhooks.orchestrator_events import check_event, event_key, orchestrator_event
from voice_app.webhooks.relay import RelayEndpoint
from voice_app.webhooks.relay_ended import relay_ended
from voice_app.webhooks.resume import resume
from voice_app.webhooks.signed import call_route
from voice_app.webhooks.status import status
from voice_app.webhooks.transcription import transcription
from voice_app.webhooks.voice import answer, fallback


def routes(desk: Desk) -> list[BaseRoute]:
    return [
        call_route(VOICE, answer, desk),
        call_route(CALLBACK, callback, desk),
        call_route(RELAY_ENDED, relay_ended, desk),
        call_route(RESUME, resume, desk),
        call_route("/voice/status", status, desk),
        call_route("/voice/fallback", fallback, desk),
        notice_route(ORCHESTRATOR_EVENTS, orchestrator_event, desk, check=check_event, key=event_key),
        notice_route(INTELLIGENCE_RESULTS, intelligence_results, desk, check=check_results, key=results_key),
        call_route("/handoff/dialed/{attempt}", dialed, desk),
        call_route(PULLED, pulled, desk),
        call_route("/handoff/whisper/{call}/{attempt}", whisper, desk),
        call_route("/handoff/screened/{call}/{attempt}", screened, desk),
        call_route("/handoff/invited/{call}/{attempt}", invited, desk),
        call_route("/handoff/wait", wait, desk),
        call_route("/handoff/recorded", recorded, desk),
        call_route("/handoff/recording", recording, desk),
        call_route("/transcription", transcription, desk),
        WebSocketRoute("/relay/{token}", RelayEndpoint(desk)),
    ]
