"""A new call that this server does not take: another server, people, or a line and the offer to call back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from starlette.responses import Response

from voice_app import telemetry
from voice_app.handoff import choose
from voice_app.journal.events import CallbackWanted, TurnedAway
from voice_app.twilio.addresses import phone_of
from voice_app.webhooks.admission import State
from voice_app.webhooks.desk import CALLBACK, VOICE, Desk
from voice_app.webhooks.signature import Form
from voice_app.webhooks.way import BUSY, Way

_SUMMARY: Final = "No automated assistant was free."


async def turn_away(desk: Desk, form: Form) -> Response | None:
    """The answer to a new call that cannot be taken now; None if it can."""
    why = desk.admission.state
    if why is State.READY:
        return None
    context = desk.context(form, "busy")
    line = desk.line(context.number)
    if why is State.FULL and (line.answer == "people" or form.get("Direction", "inbound") != "inbound"):
        return None  # needs no agent, or is a call back that was placed while there was room
    if (redirect := desk.elsewhere(VOICE, form)) is not None:
        return _noted(desk, form, why, "server", redirect)
    now = datetime.now(UTC)
    if why is State.FULL and line.busy == "people" and choose(desk.targets, context.number, BUSY, now):
        return _noted(desk, form, why, "people", await (await Way.of(desk, form)).begin(BUSY, _SUMMARY))
    offered = why is State.FULL and _may_call_back(desk, form)
    return _noted(desk, form, why, "message", _message(desk, form, offered=offered))


async def callback(desk: Desk, form: Form) -> Response:
    """The caller has pressed a key: 1 asks for a call back."""
    possible = _may_call_back(desk, form)
    if form.get("Digits") != "1" or not possible:
        return _message(desk, form, offered=possible)
    context = desk.context(form, "callback")
    wanted = CallbackWanted(context.caller, context.number)
    desk.journal.write(context.call_sid, wanted, once=f"callback-wanted:{context.call_sid}")
    if desk.followups is not None:
        desk.followups.call_back(context.call_sid)
    return desk.serve("goodbye.xml", context)


def _message(desk: Desk, form: Form, *, offered: bool) -> Response:
    """``busy.xml``, with the offer to call back or without."""
    url = desk.settings.origin + CALLBACK if offered else ""
    return desk.serve("busy.xml", replace(desk.context(form, "busy"), callback_url=url))


def _may_call_back(desk: Desk, form: Form) -> bool:
    """Whether there is somebody to call back, and an agent that would."""
    context = desk.context(form, "busy")
    return (
        desk.followups is not None
        and desk.line(context.number).answer == "agent"
        and form.get("Direction", "inbound") == "inbound"
        and phone_of(context.caller) is not None
    )


def _noted(desk: Desk, form: Form, why: State, to: str, answer: Response) -> Response:
    telemetry.TURNED_AWAY.labels(why.value, to).inc()
    desk.journal.write(form["CallSid"], TurnedAway(why.value, to))
    return answer
