"""A call's way to a person, as far as something is done: the journal's events, ringing, inviting, hanging up.

What comes next is decided in `voice_app.handoff.flow`; what the caller hears meanwhile is `documents`.
Everything follows from the journal, so that a repeated callback, and one that another server gets, is
answered alike.
"""

from __future__ import annotations

import json
import logging
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from voice_app.agents import Transfer
from voice_app.calls import INVITED, MISSES, CallState, Handoff, HandoffState, HandoffStep
from voice_app.handoff import NextStep, RingTarget, Target, next_step
from voice_app.handoff.summary import brief
from voice_app.journal.events import Acted, Event, Failed, HandedOff
from voice_app.runtime.addresses import INVITED_ENDED, PULLED, WHISPER
from voice_app.runtime.services import Services
from voice_app.telemetry import attributes as names
from voice_app.telemetry import metrics, traces
from voice_app.twilio import ApiError, Conversations

MAX_REASON: Final = 100
MAX_SUMMARY: Final = 2000
"""Characters that are kept of what handoff data and the API give."""

ENDS_OF_A_LEG: Final = MISSES | {HandoffStep.FINISHED, HandoffStep.HUNG_UP}
"""With these steps nobody is rung any more, nor talks."""

log = logging.getLogger(__name__)


class CallTransfer:
    """The transfer of one call. ``state`` is what is known of the call; it learns what is written here."""

    def __init__(self, services: Services, call_sid: str, state: CallState) -> None:
        self._services = services
        self._call_sid = call_sid
        self._state = state

    @property
    def handoff(self) -> Handoff:
        """Where the transfer stands."""
        return self._state.handoff

    async def begin(self, wanted: Transfer) -> None:
        """Somebody asked for a person: write it down, with a summary, unless one is being rung already."""
        if not self.handoff.allows(HandoffStep.REQUESTED):
            return
        services, state = self._services, self._state
        summary = wanted.summary or await brief(
            services.agent_for(state.parties.number), state.transcript.as_heard()
        )
        self.take(HandoffStep.REQUESTED, reason=wanted.reason, summary=summary)
        if state.conversation_id is not None:
            note = {"handoff_reason": wanted.reason, "handoff_summary": summary}
            services.background.spawn(_annotate(services.conversations, state.conversation_id, note))

    def proceed(self) -> NextStep:
        """Decide what the caller's line does now, and begin it."""
        services, state = self._services, self._state
        line = services.line_of(state)
        decision = next_step(
            state,
            services.targets_of(state),
            datetime.now(UTC),
            agent_takes_back=line.handoff_then == "agent",
        )
        if decision.step is not None:
            label = decision.target.label if isinstance(decision, RingTarget) else ""
            self.take(decision.step, target=label)
            if isinstance(decision, RingTarget) and decision.target.kind == "conference":
                services.background.spawn(self._invite(decision.target))
        return decision

    def take(self, step: HandoffStep, *, reason: str = "", summary: str = "", target: str = "") -> None:
        """Take a step of the table, if it fits; a repeated callback takes none."""
        if self.handoff.allows(step):
            attempt = self.handoff.attempt + (step is HandoffStep.RANG)
            if traces.on() and step in ENDS_OF_A_LEG:
                self._trace_leg(step)
            self._write(HandedOff(step, reason, summary, target, attempt))
            metrics.HANDOFFS.labels(step.value).inc()

    def _trace_leg(self, step: HandoffStep) -> None:
        """Record the span of the attempt that is over, if a person was rung."""
        rang = [at for at, event in self._state.timed(HandedOff) if event.step == HandoffStep.RANG]
        if rang and self.handoff.state in (HandoffState.RINGING, HandoffState.TALKING):
            told = {names.HANDOFF_ATTEMPT: self.handoff.attempt, names.OUTCOME: step.value}
            traces.past("handoff leg", self._call_sid, rang[-1], time.time(), told)

    def report_failure(self, why: str) -> None:
        """Write down that the attempt to reach a person failed: to ring them, and not that they were busy."""
        attempt = self.handoff.attempt
        log.error("call %s: attempt %d to reach a person failed: %s", self._call_sid, attempt, why)
        self._write(Failed("dial", f"attempt {attempt}: {why}"))

    def abandon(self) -> None:
        """The caller is gone: a person who is being rung for them need not pick up."""
        handoff, invited = self.handoff, self._state.invited
        if handoff.state is HandoffState.RINGING and invited and handoff.target.startswith("conference:"):
            self._services.background.spawn(self._hang_up(invited))
        talking = handoff.state is HandoffState.TALKING
        self.take(HandoffStep.FINISHED if talking else HandoffStep.HUNG_UP)

    async def redirect(self) -> None:
        """Have Twilio ask at once what the caller's line does now.

        Raises:
            ApiError: the call is over, or Twilio cannot be reached.
        """
        await self._services.calls.redirect(self._call_sid, self._services.settings.origin + PULLED)

    def redirect_soon(self) -> None:
        """The same, beside the request."""
        self._services.background.spawn(self._try_redirect())

    async def _invite(self, target: Target) -> None:
        """Ring the person into the conference in which the caller waits."""
        services, origin = self._services, self._services.settings.origin
        path = {"call": self._call_sid, "attempt": self.handoff.attempt}
        ours = self._state.parties.own_number(services.settings.phone_number)
        if ours is None:
            await self._not_invited("we have no number to ring them from: set TWILIO_PHONE_NUMBER")
            return
        try:
            sid = await services.calls.create(
                to=target.to[0].removeprefix("conference:"),
                from_=ours,
                url=origin + WHISPER.format(**path),
                status_url=origin + INVITED_ENDED.format(**path),
                ring_seconds=target.ring_seconds,
            )
            self._write(Acted(INVITED, sid))
        except ApiError as error:
            await self._not_invited(str(error))

    async def _not_invited(self, why: str) -> None:
        self.report_failure(why)
        self.take(HandoffStep.FAILED)
        await self._try_redirect()

    async def _try_redirect(self) -> None:
        try:
            await self.redirect()
        except ApiError as error:
            log.warning("call %s: it could not be sent on: %s", self._call_sid, error)

    async def _hang_up(self, call_sid: str) -> None:
        with suppress(ApiError):  # it may have ended by itself
            await self._services.calls.complete(call_sid)

    def _write(self, event: Event) -> None:
        self._state.take(self._services.journal.write(self._call_sid, event))


def parse_handoff_data(handoff_data: str) -> Transfer:
    """The transfer that a session's handoff data asks for. The data may be anything."""
    try:
        data = json.loads(handoff_data)
        reason, summary = data.get("reason"), data.get("summary")
    except (ValueError, AttributeError, RecursionError):
        return Transfer("")
    return Transfer(
        reason[:MAX_REASON] if isinstance(reason, str) else "",
        summary[:MAX_SUMMARY] if isinstance(summary, str) else "",
    )


async def _annotate(conversations: Conversations, conversation_id: str, note: dict[str, str]) -> None:
    """Note on the conversation why it goes to a person."""
    try:
        await conversations.annotate(conversation_id, note)
    except ApiError as error:
        log.warning("conversation %s: the handoff could not be noted: %s", conversation_id, error)
