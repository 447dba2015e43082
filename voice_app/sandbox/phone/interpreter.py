"""Runs the TwiML of a caller: every verb that this phone knows, and where it leads."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from functools import partial

from voice_app.sandbox.network import WebhookError
from voice_app.sandbox.phone.bridge import PersonBridge
from voice_app.sandbox.phone.context import CallContext, StudioFlow
from voice_app.sandbox.phone.dial import TIME_LIMIT_SECONDS, DialVerb
from voice_app.sandbox.phone.enqueue import EnqueueVerb
from voice_app.sandbox.phone.leg import HungUpError, RedirectedError
from voice_app.sandbox.phone.program import CommonVerbs, TwimlProgram, VerbHandler
from voice_app.sandbox.phone.record import RecordVerb
from voice_app.sandbox.phone.relay import RelaySession, SessionEnding, SessionObserver, SetupParties
from voice_app.sandbox.phone.twiml import Jump, Stop, TwimlVerb

UNANSWERED = frozenset({"Dial", "Hangup", "Pause", "Redirect", "Reject", "Start", "Stop"})
"""Verbs that do not answer a call that rings, or decide that themselves."""
FLOW = re.compile(r"https://webhooks\.twilio\.com/v1/Accounts/AC\w{32}/Flows/(FW\w{32})")


class TwimlInterpreter:
    """Twilio's side of a caller's call."""

    def __init__(self, station: CallContext) -> None:
        self._station = station
        self._sessions = 0
        common = CommonVerbs(station.leg, station.ears).handlers(
            "Say", "Play", "Pause", "Gather", "Redirect", "Hangup"
        )
        handlers: dict[str, VerbHandler] = {
            **common,
            "Connect": self._connect,
            "Dial": self._dial,
            "Enqueue": self._enqueue,
            "Record": self._record,
            "Reject": self._reject,
            "Start": self._start,
            "Stop": self._stop,
        }
        answering = {
            name: handler if name in UNANSWERED else self._answered(handler)
            for name, handler in handlers.items()
        }
        self._program = TwimlProgram(
            station.leg, answering, "is not simulated by this phone", elsewhere=self._studio
        )

    async def run(self, jump: Jump) -> None:
        """Follow the TwiML until the call is over.

        Raises `WebhookError` or `DocumentError` for a document that Twilio cannot use.
        """
        leg = self._station.leg
        while True:
            with suppress(HungUpError, RedirectedError):
                await self._program.run(jump)
            following = leg.take_redirection()
            if following is None:
                return
            self._station.happened("redirected", following.url)
            jump = following

    def _answered(self, handler: VerbHandler) -> VerbHandler:
        async def answer_first(verb: TwimlVerb, url: str) -> Jump | Stop | None:
            self._station.answer()
            return await handler(verb, url)

        return answer_first

    async def _studio(self, jump: Jump) -> Stop | None:
        """Of a flow only what it is asked with is simulated, and a person whom it leads to."""
        station, flow = self._station, FLOW.match(jump.url)
        if flow is None:
            return None
        station.flows.append(StudioFlow(sid=flow[1], form=jump.form))
        station.happened("studio", flow[1])
        station.leg.check()
        station.answer()
        person = station.people.next()
        if person.kind == "answers":
            await PersonBridge(station, person).run(TIME_LIMIT_SECONDS)
        return Stop("Studio")

    # --- verbs -----------------------------------------------------------------------------------

    async def _dial(self, verb: TwimlVerb, url: str) -> Jump | None:
        return await DialVerb(self._station, verb, url).run()

    async def _enqueue(self, verb: TwimlVerb, url: str) -> Jump | None:
        return await EnqueueVerb(self._station, verb, url).run()

    async def _record(self, verb: TwimlVerb, url: str) -> Jump | None:
        return await RecordVerb(self._station, verb, url).run()

    async def _reject(self, verb: TwimlVerb, url: str) -> Stop:
        if self._station.leg.status != "ringing":
            self._station.problem("<Reject> of a call that is answered already only hangs up")
        return Stop("Reject")

    async def _start(self, verb: TwimlVerb, url: str) -> None:
        for noun in verb.children:
            if noun.name == "Transcription":
                if self._station.ears.start(noun):
                    self._station.happened("transcribing", noun.get("name"))
            else:
                self._station.problem(f"<Start><{noun.name}> is not simulated by this phone")

    async def _stop(self, verb: TwimlVerb, url: str) -> None:
        for noun in verb.children:
            if noun.name == "Transcription":
                self._station.ears.stop(noun)
            else:
                self._station.problem(f"<Stop><{noun.name}> is not simulated by this phone")

    async def _connect(self, verb: TwimlVerb, url: str) -> Jump | None:
        relay = verb.child("ConversationRelay")
        if relay is None:
            self._station.problem("<Connect> without <ConversationRelay> is not simulated by this phone")
            return None
        ending, fields = await self._relay(relay)
        leg = self._station.leg
        if not leg.hung_up:
            leg.check()
        self._station.endings.append(ending)
        if ending.status == "failed":
            self._station.happened("broken", ending.error_message)
        action = verb.get("action")
        if not action:
            return None
        form = leg.form("completed" if ending.status == "completed" else "in-progress") | fields
        return Jump(leg.absolute(action, url), form, verb.get("method", "POST"))

    # --- the agent -------------------------------------------------------------------------------

    async def _relay(self, verb: TwimlVerb) -> tuple[SessionEnding, dict[str, str]]:
        """Run a session; how it ended, and what its action is asked with."""
        started = time.monotonic()
        session_id = ""
        try:
            session = await self._open(verb)
        except WebhookError as error:
            self._station.problem(str(error))
            ending = SessionEnding(status="failed", error_code=error.code, error_message=str(error))
        else:
            ending = await self._serve(session, verb)
            session_id = session.session_id
        return ending, _fields(ending, session_id, time.monotonic() - started)

    async def _open(self, verb: TwimlVerb) -> RelaySession:
        if verb.refused:
            raise WebhookError(64101, f"<ConversationRelay> {verb.refused}")
        station, leg = self._station, self._station.leg
        exchange = leg.exchange
        reopen = partial(exchange.network.connect, verb.get("url"))
        socket = await reopen()
        self._sessions += 1
        caller = SetupParties(
            account_sid=exchange.account_sid,
            call_sid=leg.sid,
            from_=leg.from_,
            to=leg.to,
            first_session=self._sessions == 1,
        )
        observer = SessionObserver(
            heard=station.handset.hear_agent,
            problem=station.problem,
            came_back=lambda: station.happened("came-back", ""),
            spoken=station.ears.spoken,
        )
        return RelaySession(
            socket,
            verb,
            caller,
            observer,
            exchange.pace.words_per_second,
            reopen=reopen,
            reconnecting=station.reconnecting,
            abandoned=station.abandoned,
        )

    async def _serve(self, session: RelaySession, verb: TwimlVerb) -> SessionEnding:
        station = self._station
        station.happened("session", session.session_id)
        async with station.ears.session(verb, session.session_id):
            station.handset.connect(session)
            if station.leg.interrupted:  # while the socket was being opened
                await session.hang_up()
            try:
                return await session.run()
            finally:
                station.handset.connect(None)


def _fields(ending: SessionEnding, session_id: str, seconds: float) -> dict[str, str]:
    """Source: reference ``conversationrelay.md`` §3.1. What there is not is left out, not left empty."""
    fields = {
        "SessionId": session_id,
        "SessionStatus": ending.status,
        "SessionDuration": str(round(seconds)),
    }
    if ending.handoff_data is not None:
        fields["HandoffData"] = ending.handoff_data
    if ending.error_code is not None:
        fields |= {"ErrorCode": str(ending.error_code), "ErrorMessage": ending.error_message}
    return fields
