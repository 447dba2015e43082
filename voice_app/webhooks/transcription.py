"""``POST /transcription``: what is said between the caller and a person, as ``<Transcription>`` hears it.

Source: reference ``conversationrelay.md`` §5. Events may arrive late, twice, or not at all; each carries its
place in its track (``SequenceId``), and the journal's reader puts them in order.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from starlette.responses import Response

from voice_app import telemetry
from voice_app.journal import Entry
from voice_app.journal.events import Failed, Transcribed, Transcription
from voice_app.webhooks.desk import Desk
from voice_app.webhooks.signature import Form

log = logging.getLogger(__name__)


async def transcription(desk: Desk, form: Form) -> Response:
    """Keep what a transcription tells."""
    call_sid, sid = form["CallSid"], form.get("TranscriptionSid", "")
    match form.get("TranscriptionEvent", "").removeprefix("transcription-"):
        case "content":
            text = _text(form.get("TranscriptionData", ""))
            if text:
                desk.journal.write(
                    call_sid,
                    Transcribed(
                        sid,
                        _number(form.get("SequenceId", "")),
                        "person" if form.get("Track") == "outbound_track" else "caller",
                        text[:5000],
                        final=form.get("Final", "true") == "true",
                    ),
                )
        case "started":
            if other := _running(await desk.entries(call_sid)) - {sid}:
                _alarm(desk, call_sid, f"{sid} began while {', '.join(sorted(other))} was running")
            engine = form.get("TranscriptionEngine", "")
            desk.journal.write(call_sid, Transcription(sid, "started", engine))
        case "stopped":
            desk.journal.write(call_sid, Transcription(sid, "stopped"))
        case "error":
            detail = f"{form.get('TranscriptionErrorCode', '')} {form.get('TranscriptionError', '')}".strip()
            log.warning("call %s: the transcription failed: %s", call_sid, detail[:200])
            desk.journal.write(call_sid, Transcription(sid, "error", detail=detail[:500]))
        case other:
            desk.journal.write(call_sid, Transcription(sid, other[:40] or "unknown"))
    return Response(status_code=204)


def _running(entries: Sequence[Entry]) -> set[str]:
    """The transcriptions that have begun and not ended."""
    running: set[str] = set()
    for entry in entries:
        if isinstance(event := entry.event, Transcription):
            if event.state == "started":
                running.add(event.transcription_sid)
            elif event.state in ("stopped", "error"):
                running.discard(event.transcription_sid)
    return running


def _alarm(desk: Desk, call_sid: str, what: str) -> None:
    """STT202: two engines listen to one call, and both are billed."""
    log.error("STT202 Call %s is listened to by two engines: %s", call_sid, what)
    desk.journal.write(call_sid, Failed("STT202", what))
    telemetry.CALL_ALARMS.labels("STT202").inc()


def _text(data: str) -> str:
    try:
        text = json.loads(data).get("transcript", "")
    except (ValueError, AttributeError, RecursionError):
        return ""
    return text.strip() if isinstance(text, str) else ""


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 16 else 0
