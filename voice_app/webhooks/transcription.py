"""``POST /transcription``: what is said between the caller and a person, as ``<Transcription>`` hears it.

Source: ``docs/protocol.md`` §5. Events may arrive late, twice, or not at all; each carries its
place in its track (``SequenceId``), and the journal's reader puts them in order.
"""

from __future__ import annotations

import json
import logging
from typing import Final

from starlette.responses import Response

from voice_app.journal.events import Event, Failed, Transcribed, Transcription
from voice_app.runtime import Services
from voice_app.telemetry import metrics
from voice_app.webhooks.request import CallRequest

MAX_TEXT: Final = 5000
MAX_DETAIL: Final = 500
MAX_KIND: Final = 40
"""Characters that are kept of what was said, of an error, and of an event of an unknown kind."""

log = logging.getLogger(__name__)


async def transcription(services: Services, request: CallRequest) -> Response:
    """Keep what a transcription reports."""
    call_sid, sid = request.call_sid, request.transcription_sid
    if (kind := request.transcription_event.removeprefix("transcription-")) == "started":
        state = await services.call_state(call_sid, request.parties)
        if other := state.engine.transcriptions - {sid}:
            _alarm(services, call_sid, f"{sid} began while {', '.join(sorted(other))} was running")
    elif kind == "error":
        log.warning("call %s: the transcription failed: %s", call_sid, _error(request)[:200])
    if (event := _event(kind, request)) is not None:
        services.journal.write(call_sid, event)
    return Response(status_code=204)


def _event(kind: str, request: CallRequest) -> Event | None:
    """What the journal keeps of the request; None if that is nothing."""
    sid = request.transcription_sid
    match kind:
        case "content":
            speaker = "person" if request.track == "outbound_track" else "caller"
            text = _text(request.transcription_data)[:MAX_TEXT]
            return Transcribed(sid, request.sequence_id, speaker, text, final=request.final) if text else None
        case "started":
            return Transcription(sid, "started", request.transcription_engine)
        case "error":
            return Transcription(sid, "error", detail=_error(request)[:MAX_DETAIL])
        case _:
            return Transcription(sid, kind[:MAX_KIND] or "unknown")


def _alarm(services: Services, call_sid: str, what: str) -> None:
    """STT202: two engines listen to one call, and both are billed."""
    log.error("STT202 Call %s is listened to by two engines: %s", call_sid, what)
    services.journal.write(call_sid, Failed("STT202", what))
    metrics.CALL_ALARMS.labels("STT202").inc()


def _error(request: CallRequest) -> str:
    """Twilio's code and message. Sources disagree about their names: ``docs/protocol.md`` §9, row 22."""
    code = request.transcription_error_code or request.error_code
    return f"{code} {request.transcription_error or request.error_message}".strip()


def _text(data: str) -> str:
    try:
        text = json.loads(data).get("transcript", "")
    except (ValueError, AttributeError, RecursionError):
        return ""
    return text.strip() if isinstance(text, str) else ""
