"""``POST /voice``: a call comes in, what shall happen? With what is asked where no agent is free or reached.

``/voice/callback``: a caller whom no agent was free for may be called back. ``/voice/status``: the call has
changed its status. ``/voice/fallback``: an answer of ours did not help Twilio.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Final

from msgspec.structs import replace
from starlette.responses import Response

from voice_app.agents import Call, Transfer
from voice_app.calls import CallState, attestation_failed
from voice_app.findings import refuses
from voice_app.handoff import BUSY, choose
from voice_app.journal.events import AnswerDecided, CallbackWanted, Failed, TurnedAway, VariantChosen
from voice_app.runtime import AnswerError, CallTransfer, Services, ServingState, decide, variant_for
from voice_app.runtime.addresses import VOICE, VOICE_CALLBACK
from voice_app.telemetry import metrics
from voice_app.twiml import Context, lint_text
from voice_app.webhooks.documents import disclosure_due, serve_step
from voice_app.webhooks.request import CallRequest
from voice_app.webhooks.responses import context_for, redirect_elsewhere, serve, serve_document, twiml
from voice_app.webhooks.resumption import resume_call

NO_ANSWER: Final = "112"
"""How Twilio's codes begin where no answer came. Source: ``docs/protocol.md`` §3.2."""
MAX_FALLBACKS: Final = 2
"""How often a call goes on from its fallback; after that something is wrong that we cannot see."""
MAX_DETAIL: Final = 500
"""Characters that are kept of an error that Twilio reports."""

log = logging.getLogger(__name__)


async def answer(services: Services, request: CallRequest) -> Response:
    """Connect the caller with the agent, if this server takes new calls."""
    services.journal.write(request.call_sid, request.opened)
    return await _connect(services, request, None)


async def callback(services: Services, request: CallRequest) -> Response:
    """The caller has pressed a key: 1 asks for a call back."""
    call_sid, parties = request.call_sid, request.parties
    possible = _may_call_back(services, request)
    if request.digits != "1" or not possible:
        return _busy_message(services, request, offered=possible)
    ours = parties.own_number(services.settings.phone_number) or ""
    wanted = CallbackWanted(parties.caller, ours)
    services.journal.write(call_sid, wanted, once=f"callback-wanted:{call_sid}")
    services.followups.call_back(call_sid)
    return serve(
        services, "goodbye.xml", context_for(services, call_sid, CallState.between(parties), "callback")
    )


async def status(services: Services, request: CallRequest) -> Response:
    """Close the record of a call that is over. Repeated or early reports do no harm."""
    if request.ended:
        state = await services.call_state(request.call_sid, request.parties)
        CallTransfer(services, request.call_sid, state).abandon()
        services.call_ended(request.call_sid, request.call_status, request.call_duration, state=state)
    return Response(status_code=204)


async def fallback(services: Services, request: CallRequest) -> Response:
    """Another answer of ours did not help Twilio.

    If none came, a server has died and its balancer did not ask another one: the call goes on from the
    journal. One that Twilio could not use would be no better the second time: apologise and hang up.
    """
    code, state = request.error_code, await services.call_state(request.call_sid, request.parties)
    detail = f"{code} {request.error_url}".strip()[:MAX_DETAIL]
    services.journal.write(request.call_sid, Failed("webhook", detail))
    if not code.startswith(NO_ANSWER) or state.webhook_failures >= MAX_FALLBACKS:
        return twiml(services.documents.render("fallback.xml", Context(reason="fallback")))
    if state.served:
        return await resume_call(services, request, state)
    state.take(services.journal.write(request.call_sid, request.opened))
    return await _connect(services, request, state)


async def _connect(services: Services, request: CallRequest, state: CallState | None) -> Response:
    """The answer to a call that nobody has yet. ``state`` is what is known of it, if that was read."""
    why, parties = services.admission.state, request.parties
    if why is not ServingState.READY and (turned := await _turn_away(services, request, state, why)):
        return turned
    metrics.CALLS.inc()
    line = services.line(parties.number)
    decided = await _decided(services, request)
    if line.answer == "people" or (decided is not None and decided.people):
        return await _to_people(services, request, state, Transfer("people first"), decided)
    state = state or CallState.between(parties)
    state.answer, state.agent = decided, decided.agent if decided is not None else ""
    if decided is not None and decided.reject:
        context = context_for(services, request.call_sid, state, decided.reject)
        return serve(services, "reject.xml", context)
    if line.variants and not state.agent:
        variant = variant_for(line.variants, parties, request.call_sid)
        chosen = VariantChosen(variant, variant if variant in services.named_agents else "")
        state.take(services.journal.write(request.call_sid, chosen))
    context = context_for(services, request.call_sid, state, "answer")
    response, served = serve_document(services, line.template, context)
    memory = services.memory_for(request.webhook)
    if memory is not None and not served.greeting:  # a greeting gives time from the socket on
        memory.look_up(request.call_sid, parties.caller, served.configuration or served.conversation)
    return response


async def _decided(services: Services, request: CallRequest) -> AnswerDecided | None:
    """How the agent's author wants this call to be answered; None: as the settings say.

    What cannot be used is written down, and the settings hold.
    """
    hook = services.answer_hook(request.parties.number)
    if hook is None:
        return None
    parties = request.parties
    direction: Final = "outbound" if parties.outbound else "inbound"
    call = Call(request.call_sid, parties.from_, parties.to, direction, webhook=request.webhook)
    try:
        decided = await decide(hook, call)
        if decided is not None:
            _check_answer(services, request, decided)
    except AnswerError as error:
        log.warning("call %s: answer(call) cannot be used: %s", request.call_sid, error)
        services.journal.write(request.call_sid, Failed("answer", str(error)[:MAX_DETAIL]))
        return None
    if decided is not None:
        services.journal.write(request.call_sid, decided)
    return decided


def _check_answer(services: Services, request: CallRequest, decided: AnswerDecided) -> None:
    """Lint the document that a decision makes. Raises `AnswerError`."""
    if decided.reject or decided.people:
        return
    if decided.agent and decided.agent not in services.named_agents:
        raise AnswerError(f"there is no agent {decided.agent} in VOICE_APP_AGENTS")
    state = CallState.between(request.parties)
    state.answer, state.agent = decided, decided.agent
    template = services.line(request.parties.number).template
    document = services.documents.render(template, context_for(services, request.call_sid, state, "answer"))
    for finding in lint_text(document, template):
        if refuses([finding]):
            raise AnswerError(f"{finding.rule}: {finding.message}")


async def _turn_away(
    services: Services, request: CallRequest, state: CallState | None, why: ServingState
) -> Response | None:
    """The answer to a new call that cannot be taken now; None if it can."""
    parties, stays, now = request.parties, why is not ServingState.DRAINING, datetime.now(UTC)
    line, targets = services.line(parties.number), services.targets_for(parties.number)
    if stays and line.answer == "people":
        return None  # needs no agent
    if why is ServingState.FULL and parties.outbound:
        return None  # a call back that was placed while there was room
    # The account is the same for every server: what this one refuses, none should take.
    elsewhere = None if why is ServingState.REFUSING else redirect_elsewhere(services, VOICE, request)
    if elsewhere is not None:
        to, response = "server", elsewhere
    elif stays and line.busy == "people" and choose(targets, parties.number, BUSY, now):
        to = "people"
        wanted = Transfer(BUSY, "No automated assistant was free.")
        response = await _to_people(services, request, state, wanted)
    else:
        to, offered = "message", stays and _may_call_back(services, request)
        response = _busy_message(services, request, offered=offered)
    metrics.TURNED_AWAY.labels(why.value, to).inc()
    services.journal.write(request.call_sid, TurnedAway(why.value, to))
    return response


async def _to_people(
    services: Services,
    request: CallRequest,
    state: CallState | None,
    wanted: Transfer,
    decided: AnswerDecided | None = None,
) -> Response:
    """The call goes to a person before any agent has it."""
    state = state or await services.call_state(request.call_sid, request.parties)
    state.answer = decided or state.answer
    transfer = CallTransfer(services, request.call_sid, state)
    await transfer.begin(wanted)
    decision = transfer.proceed()
    announcement = disclosure_due(services, state)
    return serve_step(services, request.call_sid, state, decision, announcement=announcement)


def _busy_message(services: Services, request: CallRequest, *, offered: bool) -> Response:
    """``busy.xml``, with the offer to call back or without."""
    context = context_for(services, request.call_sid, CallState.between(request.parties), "busy")
    callback_url = services.settings.origin + VOICE_CALLBACK if offered else ""
    return serve(services, "busy.xml", replace(context, callback_url=callback_url))


def _may_call_back(services: Services, request: CallRequest) -> bool:
    """Whether there is somebody to call back, and an agent that would."""
    parties = request.parties
    phone, ours = parties.caller_address.phone, parties.own_number(services.settings.phone_number)
    return (
        services.line(parties.number).answer == "agent"
        and not parties.outbound
        and phone is not None
        and ours is not None
        and not attestation_failed(request.webhook)
        and services.callbacks.allows(phone, ours)
    )
