"""``/handoff/…``: how it went with the person who was rung, and what they and the caller hear."""

from __future__ import annotations

import logging
import re
from typing import Final

from msgspec.structs import replace
from starlette.responses import Response

from voice_app.calls import CallState, Handoff, HandoffState, HandoffStep
from voice_app.handoff.summary import sentences
from voice_app.journal.events import HandedOff, Voicemail
from voice_app.runtime import CallTransfer, Services
from voice_app.runtime.addresses import SCREENED
from voice_app.webhooks.documents import (
    conference_of,
    disclosure_due,
    serve_goodbye,
    serve_step,
    transfer_context,
)
from voice_app.webhooks.request import CallRequest
from voice_app.webhooks.responses import NOTHING, context_for, twiml

MISSED: Final = {
    "busy": HandoffStep.BUSY,
    "no-answer": HandoffStep.NO_ANSWER,
    "canceled": HandoffStep.FAILED,
    "failed": HandoffStep.FAILED,
}
"""What became of a person's leg, by Twilio's status of it."""
UNFINISHED: Final = frozenset({HandoffState.RINGING, HandoffState.TALKING})
"""Where an attempt is still to come to something."""
FAILED_QUEUES: Final = frozenset({"error", "system-error", "queue-full"})
"""What Twilio says of an ``<Enqueue>`` that could not be carried out."""
MAX_ERROR: Final = 500
"""Characters."""
HANG_UP: Final = '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Hangup/></Response>\n'
JOIN: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Dial>'
    '<Conference beep="false" endConferenceOnExit="true">{}</Conference></Dial></Response>\n'
)
MAX_SPOKEN_SUMMARY: Final = 600
"""Characters of a summary that are read aloud to a person: a caller is waiting."""
MAX_URL: Final = 500
MAX_MESSAGE: Final = 5000
"""Characters that are kept of what was said in a voicemail."""
MAX_STATUS: Final = 20
"""Characters that are kept of a status."""
RECORDING_SID: Final = re.compile(r"RE[0-9a-fA-F]{32}")

log = logging.getLogger(__name__)


async def dialed(services: Services, request: CallRequest) -> Response:
    """The action of ``<Dial>`` and ``<Enqueue>``: how it went with this attempt."""
    call_sid, state = request.call_sid, await _state(services, request)
    transfer = CallTransfer(services, call_sid, state)
    if request.ended:
        transfer.abandon()
        services.call_ended(call_sid, request.call_status, once=f"closed:{call_sid}", state=state)
        return twiml(NOTHING)
    if transfer.handoff.attempt == request.attempt:
        if transfer.handoff.state in UNFINISHED and (why := _failure(request)):
            transfer.report_failure(why)
        transfer.take(_outcome(request, transfer.handoff))
    decision = transfer.proceed()
    state.engine.ask(f"dialed, {_steps(state)}")
    return serve_step(services, call_sid, state, decision)


async def pulled(services: Services, request: CallRequest) -> Response:
    """Twilio was told to ask here what the caller's line does now: a supervisor, or a missed invitation."""
    state = await services.call_state(request.about, request.parties)
    transfer = CallTransfer(services, request.call_sid, state)
    decision = transfer.proceed()
    state.engine.ask(f"pulled, {_steps(state)}")
    # Who waits with music for the next target has been told already.
    line = services.line(state.parties.number).handoff_line if transfer.handoff.attempt <= 1 else ""
    announcement = " ".join(filter(None, [disclosure_due(services, state), line]))
    return serve_step(services, request.call_sid, state, decision, announcement=announcement)


async def whisper(services: Services, request: CallRequest) -> Response:
    """What the person hears before the caller is connected. Asked on the person's leg."""
    call_sid, state = request.about, await _state(services, request)
    if not _rings(state.handoff, request):
        return twiml(HANG_UP)
    action = SCREENED.format(call=call_sid, attempt=request.attempt)
    context = transfer_context(services, call_sid, state, "whisper", action)
    reason = state.handoff.reason
    context = replace(
        context,
        caller=state.parties.caller_address.spoken,
        reason_line=sentences(f"It is about: {reason}") if reason else "",
        summary=sentences(state.handoff.summary, MAX_SPOKEN_SUMMARY),
    )
    return twiml(services.documents.render("whisper.xml", context))


async def screened(services: Services, request: CallRequest) -> Response:
    """The person pressed a key: 1 takes the call."""
    call_sid, state = request.about, await _state(services, request)
    handoff = state.handoff
    talking = handoff.state is HandoffState.TALKING and handoff.attempt == request.attempt
    if request.digits != "1" or not (talking or _rings(handoff, request)):
        return twiml(HANG_UP)
    CallTransfer(services, call_sid, state).take(HandoffStep.ACCEPTED)
    if handoff.target.startswith("conference:"):
        return twiml(JOIN.format(conference_of(call_sid)))
    return twiml(NOTHING)


async def invited(services: Services, request: CallRequest) -> Response:
    """The person's leg into the conference is over: if they never came in, the caller goes on."""
    state = await _state(services, request)
    if _rings(state.handoff, request):
        transfer = CallTransfer(services, request.about, state)
        if request.call_status == "failed":
            transfer.report_failure(_told(request))
        transfer.take(MISSED.get(request.call_status, HandoffStep.DECLINED))
        transfer.redirect_soon()
    return Response(status_code=204)


async def wait(services: Services, request: CallRequest) -> Response:
    """What a caller in a queue hears."""
    context = context_for(services, request.call_sid, CallState.between(request.parties), "wait")
    context = replace(context, queue_position=request.queue_position)
    return twiml(services.documents.render("queue_wait.xml", context))


async def recorded(services: Services, request: CallRequest) -> Response:
    """The action of ``<Record>``: the caller has left a message, or hung up."""
    call_sid, state = request.call_sid, await services.call_state(request.about, request.parties)
    _keep_recording(services, request)
    CallTransfer(services, call_sid, state).take(HandoffStep.RECORDED)
    if request.ended:
        services.call_ended(call_sid, request.call_status, once=f"closed:{call_sid}", state=state)
        return twiml(NOTHING)
    return serve_goodbye(services, call_sid, state, "message")


async def recording(services: Services, request: CallRequest) -> Response:
    """The recording can be fetched, or what was said in it is known."""
    _keep_recording(services, request)
    return Response(status_code=204)


def _outcome(request: CallRequest, handoff: Handoff) -> HandoffStep:
    """What became of an attempt. Answering is not enough: a voicemail box does that, too."""
    if request.queue_result is not None:
        bridged = request.queue_result in ("bridged", "redirected-from-bridged")
        return HandoffStep.FINISHED if bridged else HandoffStep.NO_ANSWER
    if request.dial_call_status in ("completed", "answered"):
        return HandoffStep.FINISHED if handoff.state is HandoffState.TALKING else HandoffStep.DECLINED
    return MISSED.get(request.dial_call_status, HandoffStep.FAILED)


def _failure(request: CallRequest) -> str:
    """Why an attempt failed, as Twilio told; empty where nobody took the call, which is no failure."""
    if request.dial_call_status == "failed" or request.queue_result in FAILED_QUEUES:
        return _told(request)
    return _told(request) if request.error_code else ""


def _told(request: CallRequest) -> str:
    """Twilio's error code and message."""
    told = f"{request.error_code} {request.error_message}".strip()
    status = request.dial_call_status or request.queue_result or request.call_status
    return told[:MAX_ERROR] or f"{status}, and Twilio told no error code"


async def _state(services: Services, request: CallRequest) -> CallState:
    """What is known of the call, and of the attempt to reach somebody that the request is about."""
    state = await services.call_state(request.about, request.parties)
    state.assume_rung(request.attempt)
    return state


def _steps(state: CallState) -> str:
    """How far the way to a person has come: to answer the same question again takes no further step."""
    return f"{len(state.events(HandedOff))} steps"


def _rings(handoff: Handoff, request: CallRequest) -> bool:
    """Whether the attempt that the request is about still rings."""
    return handoff.state is HandoffState.RINGING and handoff.attempt == request.attempt


def _keep_recording(services: Services, request: CallRequest) -> None:
    if RECORDING_SID.fullmatch(request.recording_sid):
        voicemail = Voicemail(
            request.recording_sid,
            request.recording_url[:MAX_URL],
            request.recording_duration,
            request.transcription_text[:MAX_MESSAGE],
            request.transcription_status[:MAX_STATUS],
        )
        if voicemail.transcription == "failed":
            log.warning("call %s: %s was not understood", request.call_sid, voicemail.recording_sid)
        services.journal.write(request.call_sid, voicemail)
        services.followups.news(request.call_sid)
