"""``POST /voice/relay-ended``, the action of ``<Connect>``: the session is over, what now?

Source: reference ``conversationrelay.md`` §3.1. Twilio repeats requests and delivers them out of order,
so the answer follows from what happened on the call, not from how often it was asked.
"""

from __future__ import annotations

import json

from starlette.responses import Response

from voice_app.journal import Entry
from voice_app.journal.events import SessionEnded
from voice_app.webhooks.desk import NOTHING, OVER, RESUME, Desk, twiml
from voice_app.webhooks.resume import take_up
from voice_app.webhooks.roster import Wait
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
    desk.journal.write(call_sid, ended)
    if (state := form.get("CallStatus")) in OVER:
        desk.over(call_sid, state, once=f"closed:{call_sid}")  # not every number has a status callback
        desk.roster.expect(call_sid, Wait.STATUS)
        return twiml(NOTHING)
    if ended.status == "completed":
        return twiml(NOTHING)
    if ended.status != "ended" and desk.draining and (redirect := desk.elsewhere(RESUME, form)) is not None:
        return redirect
    entries = await desk.entries(call_sid)
    if ended.status != "ended":
        return await take_up(desk, form, call_sid, entries)
    if not ended.handoff_data:
        return desk.serve("goodbye.xml", desk.context(form, "finished"), entries)
    way = Way(desk, form, call_sid, entries)
    if sum(_is_report(entry, ended.session_id) for entry in entries) > 1:
        return way.document()
    return await way.begin(*_wish(ended.handoff_data))


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


def _seconds(text: str) -> float | None:
    return float(text) if text.isdecimal() else None
