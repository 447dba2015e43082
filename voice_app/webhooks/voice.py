"""``POST /voice``: a call comes in, what shall happen? And ``/voice/fallback``, for when that failed."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from voice_app import telemetry
from voice_app.journal.events import Failed, Opened, Served
from voice_app.webhooks.busy import turn_away
from voice_app.webhooks.desk import Desk, twiml
from voice_app.webhooks.resume import resume
from voice_app.webhooks.signature import Form
from voice_app.webhooks.way import Way

NO_ANSWER: Final = "112"
"""How Twilio's codes begin where no answer came. Source: reference ``conversationrelay.md`` §3.2."""
MAX_FALLBACKS: Final = 2
"""So often a call goes on from here; then something is wrong that we cannot see."""


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
    """Another answer of ours did not help Twilio.

    If none came, a server has died and its balancer did not ask another one: the call goes on from the
    journal. One that Twilio could not use would be no better the second time: apologise and hang up.
    """
    call_sid, code = form["CallSid"], form.get("ErrorCode", "")
    entries = await desk.entries(call_sid)
    desk.journal.write(call_sid, Failed("webhook", f"{code} {form.get('ErrorUrl', '')}".strip()[:500]))
    before = sum(isinstance(entry.event, Failed) and entry.event.what == "webhook" for entry in entries)
    if not code.startswith(NO_ANSWER) or before >= MAX_FALLBACKS:
        return twiml(desk.fallback)
    if any(isinstance(entry.event, Served) for entry in entries):
        return await resume(desk, form)
    return await answer(desk, form)
