"""``POST /voice/relay-ended``, the action of ``<Connect>``: the session is over, what now?

Twilio repeats requests and delivers them out of order, so the answer follows from what happened on the call,
not from how often it was asked. A server that stops sends the calls that it still has to ``/voice/resume``
(``<Redirect>``), where the balancer gives them to another one.
Source: ``docs/protocol.md`` §3.1.
"""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from voice_app.calls import CallState
from voice_app.journal.events import SessionEnded
from voice_app.runtime import ExpectedNext, Services
from voice_app.runtime.addresses import RESUME
from voice_app.runtime.call_transfer import CallTransfer, parse_handoff_data
from voice_app.webhooks.documents import serve_agent, serve_step
from voice_app.webhooks.request import CallRequest
from voice_app.webhooks.responses import NOTHING, context_for, redirect_elsewhere, serve, twiml
from voice_app.webhooks.resumption import resume_call

MAX_ERROR_MESSAGE: Final = 500
"""Characters."""


async def relay_ended(services: Services, request: CallRequest) -> Response:
    """By ``SessionStatus``: the call is over, the agent ended the session, or it broke off."""
    call_sid = request.call_sid
    services.journal.write(call_sid, _session_ended(request))
    if request.ended:  # not every number has a status callback
        services.call_ended(call_sid, request.call_status, once=f"closed:{call_sid}")
        services.registry.expect(call_sid, ExpectedNext.STATUS)
        return twiml(NOTHING)
    if request.session_status == "completed":
        return twiml(NOTHING)
    if request.session_status != "ended":
        return await _broken_off(services, request)
    state = await _state(services, request)
    if not request.handoff_data:
        context = context_for(services, call_sid, state, "finished")
        return serve(services, "goodbye.xml", context, state)
    if state.becoming:
        return serve_agent(services, call_sid, state, "became", "")
    transfer = CallTransfer(services, call_sid, state)
    if state.reports(request.session_id) <= 1:
        await transfer.begin(parse_handoff_data(request.handoff_data))
    return serve_step(services, call_sid, state, transfer.proceed())


async def resume(services: Services, request: CallRequest) -> Response:
    """Another server, or this one, gave the call's session up as it stopped."""
    return twiml(NOTHING) if request.ended else await _broken_off(services, request)


async def _broken_off(services: Services, request: CallRequest) -> Response:
    """The call goes on: on another server if this one stops, else here."""
    if (
        services.admission.draining
        and (redirect := redirect_elsewhere(services, RESUME, request)) is not None
    ):
        return redirect
    return await resume_call(services, request, await _state(services, request))


async def _state(services: Services, request: CallRequest) -> CallState:
    """What is known of the call, and whether the end of this session was told before."""
    state = await services.call_state(request.call_sid, request.parties)
    state.assume_with_agent(request.session_id)
    state.engine.ask(f"session {request.session_id}" if request.session_id else "")
    return state


def _session_ended(request: CallRequest) -> SessionEnded:
    return SessionEnded(
        request.session_id,
        request.session_status,
        request.session_duration,
        request.error_code,
        request.error_message[:MAX_ERROR_MESSAGE],
        request.handoff_data,
    )
