"""Runs the TwiML of a caller: every verb that this phone knows, and where it leads."""

from __future__ import annotations

import re
import secrets
import time
from contextlib import suppress
from functools import partial

from voice_app.sandbox.network import WebhookError
from voice_app.sandbox.phone.bridge import PersonBridge
from voice_app.sandbox.phone.context import CallContext, StudioFlow
from voice_app.sandbox.phone.dial import TIME_LIMIT_SECONDS, DialVerb
from voice_app.sandbox.phone.enqueue import EnqueueVerb
from voice_app.sandbox.phone.frames import setup_frame
from voice_app.sandbox.phone.leg import HungUpError, RedirectedError
from voice_app.sandbox.phone.program import CommonVerbs, TwimlProgram, VerbHandler
from voice_app.sandbox.phone.record import RecordVerb
from voice_app.sandbox.phone.relay import RelaySession, SessionEnding, SessionObserver
from voice_app.sandbox.phone.twiml import Jump, Stop, TwimlVerb

UNANSWERED = frozenset({"Dial", "Hangup", "Pause", "Redirect", "Reject", "Start", "Stop"})
"""Verbs that do not answer a call that rings, or decide that themselves."""
FLOW = re.compile(r"https://webhooks\.twilio\.com/v1/Accounts/AC\w{32}/Flows/(FW\w{32})")


class TwimlInterpreter:
    """Twilio's side of a caller's call."""

    def __init__(self, context: CallContext) -> None:
        self._context = context
        self._sessions = 0
        common = CommonVerbs(context.leg, context.engines).handlers(
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
            context.leg, answering, "is not simulated by this phone", elsewhere=self._studio
        )

    async def run(self, jump: Jump) -> None:
        """Follow the TwiML until the call is over.

        Raises `WebhookError` or `DocumentError` for a document that Twilio cannot use.
        """
        leg = self._context.leg
        while True:
            with suppress(HungUpError, RedirectedError):
                await self._program.run(jump)
            following = leg.take_redirection()
            if following is None:
                return
            self._context.emit("redirected", following.url)
            jump = following

    def _answered(self, handler: VerbHandler) -> VerbHandler:
        async def answer_first(verb: TwimlVerb, url: str) -> Jump | Stop | None:
            self._context.answer()
            return await handler(verb, url)

        return answer_first

    async def _studio(self, jump: Jump) -> Stop | None:
        """Of a flow only what it is asked with is simulated, and a person whom it leads to."""
        context, flow = self._context, FLOW.match(jump.url)
        if flow is None:
            return None
        context.flows.append(StudioFlow(sid=flow[1], form=jump.form))
        context.emit("studio", flow[1])
        context.leg.check()
        context.answer()
        person = context.people.next()
        if person.kind == "answers":
            await PersonBridge(context, person).run(TIME_LIMIT_SECONDS)
        return Stop("Studio")

    # --- verbs -----------------------------------------------------------------------------------

    async def _dial(self, verb: TwimlVerb, url: str) -> Jump | None:
        return await DialVerb(self._context, verb, url).run()

    async def _enqueue(self, verb: TwimlVerb, url: str) -> Jump | None:
        return await EnqueueVerb(self._context, verb, url).run()

    async def _record(self, verb: TwimlVerb, url: str) -> Jump | None:
        return await RecordVerb(self._context, verb, url).run()

    async def _reject(self, verb: TwimlVerb, url: str) -> Stop:
        if self._context.leg.status != "ringing":
            self._context.problem("<Reject> of a call that is answered already only hangs up")
        return Stop("Reject")

    async def _start(self, verb: TwimlVerb, url: str) -> None:
        for noun in verb.children:
            if noun.name == "Transcription":
                if self._context.engines.start(noun):
                    self._context.emit("transcribing", noun.get("name"))
            else:
                self._context.problem(f"<Start><{noun.name}> is not simulated by this phone")

    async def _stop(self, verb: TwimlVerb, url: str) -> None:
        for noun in verb.children:
            if noun.name == "Transcription":
                self._context.engines.stop(noun)
            else:
                self._context.problem(f"<Stop><{noun.name}> is not simulated by this phone")

    async def _connect(self, verb: TwimlVerb, url: str) -> Jump | None:
        relay = verb.child("ConversationRelay")
        if relay is None:
            self._context.problem("<Connect> without <ConversationRelay> is not simulated by this phone")
            return None
        ending, fields = await self._relay(relay)
        leg = self._context.leg
        if not leg.hung_up:
            leg.check()
        self._context.endings.append(ending)
        form = leg.form("completed" if ending.status == "completed" else "in-progress") | fields
        return leg.action(verb, url, form)

    # --- the agent -------------------------------------------------------------------------------

    async def _relay(self, verb: TwimlVerb) -> tuple[SessionEnding, dict[str, str]]:
        """Run a session; how it ended, and what its action is asked with."""
        started = time.monotonic()
        session_id = ""
        try:
            session = await self._open(verb)
        except WebhookError as error:
            self._context.problem(str(error))
            ending = self._ended(
                SessionEnding(status="failed", error_code=error.code, error_message=str(error))
            )
        else:
            ending = await self._serve(session, verb)
            session_id = session.session_id
        return ending, _fields(ending, session_id, time.monotonic() - started)

    async def _open(self, verb: TwimlVerb) -> RelaySession:
        if verb.refused:
            raise WebhookError(64101, f"<ConversationRelay> {verb.refused}")
        context, leg = self._context, self._context.leg
        shared = leg.shared
        reopen = partial(shared.network.connect, verb.get("url"))
        socket = await reopen()
        self._sessions += 1
        setup = setup_frame(
            verb,
            session_id="VX" + secrets.token_hex(16),
            account_sid=shared.account_sid,
            call_sid=leg.sid,
            from_=leg.from_,
            to=leg.to,
            status="RINGING" if self._sessions == 1 else "IN_PROGRESS",
        )
        observer = SessionObserver(
            heard=context.endpoint.hear_agent,
            problem=context.problem,
            came_back=lambda: context.emit("came-back", ""),
            spoken=context.engines.spoken,
            word=lambda word: context.emit("word", word),
            frame=context.emit,
            stale=lambda token: context.emit("stale", token),
        )
        return RelaySession(
            socket,
            verb,
            setup,
            observer,
            shared.pace.words_per_second,
            reopen=reopen,
            reconnecting=context.reconnecting,
            reports=context.reports,
            abandoned=context.abandoned,
            conditions=context.conditions,
        )

    async def _serve(self, session: RelaySession, verb: TwimlVerb) -> SessionEnding:
        context = self._context
        context.emit("session", session.session_id)
        async with context.engines.session(verb, session.session_id):
            context.endpoint.connect(session)
            if context.leg.interrupted:  # while the socket was being opened
                await session.hang_up()
            try:
                return self._ended(await session.run())
            finally:
                context.endpoint.connect(None)

    def _ended(self, ending: SessionEnding) -> SessionEnding:
        """Tell at once that a session has failed: what was said on it may still be written down."""
        if ending.status == "failed":
            self._context.emit("broken", ending.error_message)
        return ending


def _fields(ending: SessionEnding, session_id: str, seconds: float) -> dict[str, str]:
    """Source: ``docs/protocol.md`` §3.1. What there is not is left out, not left empty."""
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
