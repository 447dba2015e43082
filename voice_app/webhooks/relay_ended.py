"""``POST /voice/relay-ended``, the action of ``<Connect>``: the session is over, what now?

Source: reference ``conversationrelay.md`` §3.1. Twilio repeats requests and delivers them out of order,
so the answer depends on the session that the request names, not on how often it was asked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from starlette.responses import Response

from voice_app import telemetry
from voice_app.journal import Entry
from voice_app.journal.events import Acted, Conversed, SessionEnded
from voice_app.webhooks.desk import NOTHING, OVER, Desk, twiml
from voice_app.webhooks.signature import Form
from voice_app.webhooks.way import Way


async def relay_ended(desk: Desk, form: Form) -> Response:
    """By ``SessionStatus``: the call is over, the agent ended it, or the line broke."""
    call_sid = form["CallSid"]
    ended = SessionEnded(
        form.get("SessionId", ""),
        form.get("SessionStatus", ""),
        _seconds(form.get("SessionDuration", "")),
        form.get("ErrorCode", ""),
        form.get("ErrorMessage", "")[:500],
        form.get("HandoffData", ""),
    )
    before = await desk.entries(call_sid)
    desk.journal.write(call_sid, ended)
    if form.get("CallStatus") in OVER or ended.status == "completed":
        return twiml(NOTHING)
    way = Way(desk, form, call_sid, before)
    if ended.status == "ended":
        if not ended.handoff_data:
            return desk.serve("goodbye.xml", desk.context(form, "finished"), before)
        if any(_is_report(entry, ended.session_id) for entry in before):
            return way.document()
        return await way.begin(*_wish(ended.handoff_data))
    if _breaks_before(before, ended.session_id) < desk.settings.max_resumes:
        telemetry.RESUMED.inc()
        tts, transcription = _languages(before)
        context = replace(
            desk.context(form, "resume", _conversation(before)),
            tts_language=tts,
            transcription_language=transcription,
        )
        return desk.serve("resume.xml", context, before)
    return await way.begin("agent-failed", "The connection to the automated assistant broke repeatedly.")


def _is_report(entry: Entry, session_id: str) -> bool:
    return isinstance(entry.event, SessionEnded) and entry.event.session_id == session_id


def _wish(handoff_data: str) -> tuple[str, str]:
    """Reason and summary out of the handoff data, which may be anything."""
    try:
        data = json.loads(handoff_data)
        reason, summary = data.get("reason"), data.get("summary")
    except (ValueError, AttributeError, RecursionError):
        return "", ""
    return (reason if isinstance(reason, str) else "")[:100], (summary if isinstance(summary, str) else "")[
        :2000
    ]


def _breaks_before(entries: Sequence[Entry], session_id: str) -> int:
    """How many other sessions of this call broke before this one was first reported."""
    broken: list[str] = []
    for entry in entries:
        event = entry.event
        if isinstance(event, SessionEnded) and event.status not in ("completed", "ended"):
            if event.session_id == session_id:
                break
            broken.append(event.session_id)
    return len(set(broken))


def _conversation(entries: Sequence[Entry]) -> str | None:
    found = [entry.event.conversation_id for entry in entries if isinstance(entry.event, Conversed)]
    return found[-1] if found else None


def _languages(entries: Sequence[Entry]) -> tuple[str | None, str | None]:
    """The languages of the voice and of the recognition that the agent has switched to, if it has."""
    tts = transcription = None
    for entry in entries:
        if isinstance(event := entry.event, Acted) and event.action == "switch-language":
            spoken, _, heard = event.detail.partition(" ")
            tts, transcription = spoken or tts, heard or transcription
    return tts, transcription


def _seconds(text: str) -> float | None:
    return float(text) if text.isdecimal() else None
