"""A call goes on after its session broke off, from the journal alone.

Nothing but the journal decides, so that every server answers alike, however often it is asked: what the agent
had decided comes about, the transfer to a person or the end of the call. Else the agent goes on, a bounded
number of times; then a person takes the call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from starlette.responses import Response

from voice_app.agents import EndCall, Transfer
from voice_app.calls import CallState, HandoffState, HistoryLine
from voice_app.handoff import AGENT_FAILED
from voice_app.journal.events import Acted
from voice_app.runtime import CallTransfer, Services
from voice_app.settings import NumberSettings
from voice_app.telemetry import metrics
from voice_app.webhooks.documents import serve_agent, serve_goodbye, serve_step
from voice_app.webhooks.request import CallRequest

WITH_THE_AGENT: Final = frozenset({HandoffState.NONE, HandoffState.WITH_AGENT})


@dataclass(slots=True, frozen=True)
class GoOn:
    """The agent goes on, and says this first."""

    greeting: str


@dataclass(slots=True, frozen=True)
class GoOnTransfer:
    """A person was asked for before: the transfer goes on."""


AfterBreak: TypeAlias = GoOn | GoOnTransfer | Transfer | EndCall


def after_break(state: CallState, line: NumberSettings, max_resumes: int) -> AfterBreak:
    """What follows when a session broke off."""
    if state.handoff.state not in WITH_THE_AGENT:
        return GoOnTransfer()
    match state.decided:
        case Acted(action="transfer", detail=reason, summary=summary):
            return Transfer(reason, summary)
        case Acted(detail=reason):
            return EndCall(reason)
        case None:
            pass
    if state.sessions.breaks > max_resumes:
        return Transfer(AGENT_FAILED, "The connection to the automated assistant broke repeatedly.")
    return GoOn(_greeting(state, line))


async def resume_call(services: Services, request: CallRequest, state: CallState) -> Response:
    """What the caller's line does after a session broke off."""
    call_sid = request.call_sid
    if not state.opened:
        # The server that answered the call is gone, and took what it had written with it.
        state.take(services.journal.write(call_sid, request.opened))
    line = services.line_of(state)
    transfer = CallTransfer(services, call_sid, state)
    match after_break(state, line, services.settings.max_resumes):
        case GoOn(greeting):
            metrics.RESUMED.inc()
            return serve_agent(services, call_sid, state, "resume", greeting)
        case EndCall():
            return serve_goodbye(services, call_sid, state)
        case Transfer() as wanted:
            await transfer.begin(wanted)
        case GoOnTransfer():
            pass
    return serve_step(services, call_sid, state, transfer.proceed())


def _greeting(state: CallState, line: NumberSettings) -> str:
    """The one short line with which the agent goes on."""
    history = state.transcript.as_heard()
    if not history and not state.unread:
        return line.greeting  # nobody has heard anything yet
    if history and history[-1] == HistoryLine("assistant", line.resume_greeting):
        return ""  # it was said, and nothing since
    return line.resume_greeting
