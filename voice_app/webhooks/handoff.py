"""``/handoff/…``: how it went with the person who was rung, and what they and the caller hear."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from starlette.responses import Response

from voice_app.handoff import Handoff, State, Step
from voice_app.journal.events import Voicemail
from voice_app.webhooks.desk import NOTHING, OVER, Desk, twiml
from voice_app.webhooks.signature import Form
from voice_app.webhooks.way import Way, go_on, room

_MISSED: Final = {
    "busy": Step.BUSY,
    "no-answer": Step.NO_ANSWER,
    "canceled": Step.FAILED,
    "failed": Step.FAILED,
}
HANG_UP: Final = '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Hangup/></Response>\n'
JOIN: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Dial>'
    '<Conference beep="false" endConferenceOnExit="true">{}</Conference></Dial></Response>\n'
)
LONGEST_SUMMARY: Final = 600
"""Characters of a summary that are read aloud to a person: a caller is waiting."""


async def dialed(desk: Desk, form: Form) -> Response:
    """The action of ``<Dial>`` and ``<Enqueue>``: how it went with this attempt."""
    way = await Way.of(desk, form)
    if (state := form.get("CallStatus", "")) in OVER:
        way.abandon()
        desk.over(form["CallSid"], state, once=f"closed:{form['CallSid']}")
        return twiml(NOTHING)
    if str(way.handoff.attempt) == form.path.get("attempt"):
        way.step(_outcome(form, way.handoff))
    return way.document()


def _outcome(form: Form, handoff: Handoff) -> Step:
    """What became of an attempt. Answering is not enough: a voicemail box does that, too."""
    if "QueueResult" in form:
        bridged = form["QueueResult"] in ("bridged", "redirected-from-bridged")
        return Step.FINISHED if bridged else Step.NO_ANSWER
    status = form.get("DialCallStatus", "")
    if status in ("completed", "answered"):
        if handoff.state is State.TALKING:
            return Step.FINISHED
        return Step.DECLINED
    return _MISSED.get(status, Step.FAILED)


async def pulled(desk: Desk, form: Form) -> Response:
    """A supervisor has sent the call here."""
    return (await Way.of(desk, form)).document()


async def whisper(desk: Desk, form: Form) -> Response:
    """What the person hears before the caller is connected. Asked on the person's leg."""
    call_sid, attempt = form.path["call"], form.path["attempt"]
    way = await Way.of(desk, form, call_sid)
    if way.handoff.state is not State.RINGING or str(way.handoff.attempt) != attempt:
        return twiml(HANG_UP)
    context = way.context("whisper", f"/handoff/screened/{call_sid}/{attempt}")
    reason = way.handoff.reason
    return twiml(
        desk.templates.render(
            "whisper.xml",
            replace(
                context,
                caller=_spoken_caller(way),
                reason_line=f"It is about: {reason}." if reason else "",
                summary=way.handoff.summary[:LONGEST_SUMMARY],
            ),
        )
    )


async def screened(desk: Desk, form: Form) -> Response:
    """The person pressed a key: 1 takes the call."""
    way = await Way.of(desk, form, form.path["call"])
    right = str(way.handoff.attempt) == form.path["attempt"]
    if form.get("Digits") == "1" and right and way.handoff.state in (State.RINGING, State.TALKING):
        way.step(Step.ACCEPTED)
        if way.handoff.target.startswith("conference:"):
            return twiml(JOIN.format(room(form.path["call"])))
        return twiml(NOTHING)
    return twiml(HANG_UP)


async def invited(desk: Desk, form: Form) -> Response:
    """The person's leg into the conference is over: if they never came in, the caller goes on."""
    call_sid = form.path["call"]
    way = await Way.of(desk, form, call_sid)
    if str(way.handoff.attempt) == form.path["attempt"] and way.handoff.state is State.RINGING:
        way.step(_MISSED.get(form.get("CallStatus", ""), Step.DECLINED))
        desk.beside(go_on(desk, call_sid))
    return Response(status_code=204)


async def wait(desk: Desk, form: Form) -> Response:
    """What a caller in a queue hears."""
    position = form.get("QueuePosition", "")
    context = desk.context(form, "wait")
    number = int(position) if position.isdecimal() else 0
    return twiml(desk.templates.render("queue_wait.xml", replace(context, queue_position=number)))


async def recorded(desk: Desk, form: Form) -> Response:
    """The action of ``<Record>``: the caller has left a message, or hung up."""
    way = await Way.of(desk, form)
    _keep_recording(desk, form)
    way.step(Step.RECORDED)
    if (state := form.get("CallStatus", "")) in OVER:
        desk.over(form["CallSid"], state, once=f"closed:{form['CallSid']}")
        return twiml(NOTHING)
    return desk.serve("goodbye.xml", way.context("message"), way.entries)


async def recording(desk: Desk, form: Form) -> Response:
    """The recording can be fetched, or what was said in it is known."""
    _keep_recording(desk, form)
    return Response(status_code=204)


def _keep_recording(desk: Desk, form: Form) -> None:
    sid = form.get("RecordingSid", "")
    if re.fullmatch(r"RE[0-9a-fA-F]{32}", sid):
        seconds = form.get("RecordingDuration", "")
        desk.journal.write(
            form["CallSid"],
            Voicemail(
                sid,
                form.get("RecordingUrl", "")[:500],
                float(seconds) if seconds.isdecimal() else None,
                form.get("TranscriptionText", "")[:5000],
            ),
        )


def _spoken_caller(way: Way) -> str:
    """A number digit by digit, so that it is not read as millions."""
    caller = way.context("").caller
    return " ".join(caller.removeprefix("+")) if re.fullmatch(r"\+\d+", caller) else caller[:80]
