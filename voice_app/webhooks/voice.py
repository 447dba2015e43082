"""``POST /voice``: a call comes in, what shall happen? And ``/voice/fallback``, for when that failed."""

from __future__ import annotations

from starlette.responses import Response

from voice_app import telemetry
from voice_app.journal.events import Failed, Opened
from voice_app.webhooks.busy import turn_away
from voice_app.webhooks.desk import Desk, twiml
from voice_app.webhooks.signature import Form
from voice_app.webhooks.way import Way


async def answer(desk: Desk, form: Form) -> Response:
    """Connect the caller with the agent, if this server takes new calls."""
    opened = Opened(form.get("From", ""), form.get("To", ""), form.get("Direction", "inbound"))
    desk.journal.write(form["CallSid"], opened)
    if (turned_away := await turn_away(desk, form)) is not None:
        return turned_away
    telemetry.CALLS.inc()
    context = desk.context(form, "answer")
    if desk.line(context.number).answer == "people":
        return await (await Way.of(desk, form)).begin("people first", "")
    if desk.recalls is not None:
        desk.recalls.begin(context.call_sid, context.caller)
    return desk.serve(desk.line(context.number).template, context)


async def fallback(desk: Desk, form: Form) -> Response:
    """Twilio could not reach ``/voice`` or did not understand it: apologise and hang up."""
    what = f"{form.get('ErrorCode', '')} {form.get('ErrorUrl', '')}".strip()
    desk.journal.write(form["CallSid"], Failed("webhook", what[:500]))
    return twiml(desk.fallback)
