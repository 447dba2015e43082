"""What the caller's line does on the way to a person and back, as TwiML: ``handoff.xml`` and its siblings."""

from __future__ import annotations

import json
from typing import Final

from msgspec.structs import replace
from starlette.responses import Response

from voice_app.agents import cleaned
from voice_app.calls import CallState, HandoffStep
from voice_app.handoff import NextStep, ReturnToAgent, RingTarget, SayGoodbye, TakeMessage, Target
from voice_app.handoff.targets import kind_of
from voice_app.journal.events import HandedOff
from voice_app.runtime import Services
from voice_app.runtime.addresses import (
    DIALED,
    QUEUE_WAIT,
    RECORDED,
    RECORDING,
    RELAY_ENDED,
    TRANSCRIPTION,
    WHISPER,
)
from voice_app.twiml.templates import Context
from voice_app.webhooks.responses import context_for, serve

STUDIO: Final = "https://webhooks.twilio.com/v1/Accounts/{account}/Flows/{flow}?Trigger=incomingCall"


def transfer_context(
    services: Services, call_sid: str, state: CallState, reason: str, action: str = RELAY_ENDED
) -> Context:
    """What the templates can use on a call that was answered before. ``action`` is a path."""
    context = context_for(services, call_sid, state, reason)
    return replace(
        context,
        conversation_configuration=state.configuration_id or context.conversation_configuration,
        action_url=services.settings.origin + action,
        summary=state.handoff.summary,
        transcribing=state.engine.now == "transcription",
    )


def serve_step(
    services: Services, call_sid: str, state: CallState, decision: NextStep, *, announcement: str = ""
) -> Response:
    """The TwiML of what was decided (`CallTransfer.proceed`).

    ``announcement`` is said before somebody is rung, or a message is taken.
    """
    match decision:
        case RingTarget():
            context = _ringing(services, call_sid, state, decision)
            context = replace(context, announcement=announcement)
            return serve(services, "handoff.xml", context, state)
        case ReturnToAgent():
            # What the agent says first tells both what happened.
            line, steps = services.line_of(state), [event.step for event in state.events(HandedOff)]
            given_back = steps[-2:] == [HandoffStep.ACCEPTED, HandoffStep.RETURNED]
            greeting = line.handoff_back_line if given_back else line.handoff_return_line
            return serve_agent(services, call_sid, state, "returned", greeting)
        case TakeMessage():
            context = transfer_context(services, call_sid, state, "voicemail", RECORDED)
            context = replace(
                context,
                announcement=announcement,
                recording_url=services.settings.origin + RECORDING,
                transcribe_message=_may_transcribe(services, context.number),
            )
            return serve(services, "voicemail.xml", context, state)
        case SayGoodbye():
            return serve_goodbye(services, call_sid, state)


def disclosure_due(services: Services, state: CallState) -> str:
    """The disclosure of the number that was called, unless the caller has heard it on this call."""
    disclosure = services.line_of(state).disclosure
    return "" if cleaned(disclosure) in state.stated else disclosure


def serve_agent(services: Services, call_sid: str, state: CallState, reason: str, greeting: str) -> Response:
    """``resume.xml``: the agent has the caller again, with the languages that it had chosen."""
    context = replace(transfer_context(services, call_sid, state, reason), resume_greeting=greeting)
    return serve(services, "resume.xml", context, state)


def serve_goodbye(services: Services, call_sid: str, state: CallState, reason: str = "finished") -> Response:
    """``goodbye.xml``: the call ends."""
    return serve(services, "goodbye.xml", transfer_context(services, call_sid, state, reason), state)


def conference_of(call_sid: str) -> str:
    """The name of the conference in which a caller waits for a person."""
    return f"handoff-{call_sid}"


def _ringing(services: Services, call_sid: str, state: CallState, ring: RingTarget) -> Context:
    origin, target = services.settings.origin, ring.target
    base = transfer_context(services, call_sid, state, "handoff", DIALED.format(attempt=ring.attempt))
    context = replace(
        base,
        priority=target.priority,
        ring_seconds=target.ring_seconds,
        wait_url=origin + QUEUE_WAIT,
        transcribe=not base.transcribing and _may_transcribe(services, base.number),
        transcription_url=origin + TRANSCRIPTION,
        join_url=services.join_links.url(call_sid),
    )
    address = target.to[0].partition(":")[2]
    match target.kind:
        case "queue":
            return replace(context, target="queue", address=address)
        case "conference":
            return replace(context, target="conference", address=conference_of(call_sid))
        case "workflow":
            task = _task(services, call_sid, state)
            return replace(context, target="workflow", address=address, task=task)
        case "studio":
            url = STUDIO.format(account=services.settings.account_sid, flow=address)
            return replace(context, target="studio", address=url)
        case "number" | "sip" | "client" | "whatsapp":
            whisper = origin + WHISPER.format(call=call_sid, attempt=ring.attempt)
            return replace(
                context,
                target="people",
                people=tuple(map(_person, target.to)),
                caller_id=_caller_id(services, state, target),
                whisper_url=whisper if target.screen else "",
            )


def _person(address: str) -> tuple[str, str]:
    """Kind and address of somebody whom ``<Dial>`` rings, as its noun has it."""
    kind = kind_of(address)
    return kind, address.partition(":")[2] if kind in ("client", "whatsapp") else address


def _caller_id(services: Services, state: CallState, target: Target) -> str | None:
    """From what people are rung; None where we have no number at all, and Twilio's default has to do."""
    parties, account_number = state.parties, services.settings.phone_number
    if target.kind == "whatsapp":
        return parties.whatsapp_sender(services.line(parties.number).whatsapp_sender, account_number)
    return parties.caller_address.caller_id(parties.own_number(account_number))


def _may_transcribe(services: Services, number: str) -> bool:
    """Whether we ask for what is said to be written down: not where a capture rule does it.

    While the guard refuses, there is one that nobody told us of.
    """
    return not services.watch.refusing and services.line(number).transcribe == "twiml"


def _task(services: Services, call_sid: str, state: CallState) -> str:
    """The attributes of a TaskRouter task, as JSON."""
    return json.dumps(
        {
            "call_sid": call_sid,
            "from": state.parties.caller_address.shown,
            "conversation_id": state.conversation_id,
            "profile_id": services.memory.profile_id(call_sid) if services.memory else None,
            "reason": state.handoff.reason,
            "summary": state.handoff.summary,
            "join": services.join_links.url(call_sid),
        }
    )
