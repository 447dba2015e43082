"""``POST /voice/status``, the number's status callback: the call has changed its state."""

from __future__ import annotations

from starlette.responses import Response

from voice_app.webhooks.desk import OVER, Desk
from voice_app.webhooks.signature import Form
from voice_app.webhooks.way import Way


async def status(desk: Desk, form: Form) -> Response:
    """Close the record of a call that is over. Repeated or early reports do no harm."""
    state = form.get("CallStatus", "")
    if state in OVER:
        seconds = form.get("CallDuration", "")
        duration = float(seconds) if seconds.isdecimal() else None
        desk.over(form["CallSid"], state, duration)
        (await Way.of(desk, form)).abandon()
    return Response(status_code=204)
