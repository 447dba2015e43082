"""One call of the sandbox's phone: the caller, and the person whom they may be put through to."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import aiohttp

from voice_app.sandbox.network import Network, WebhookError
from voice_app.sandbox.phone.bridge import PersonBridge
from voice_app.sandbox.phone.callbacks import CallbackOrder, CallbackQueue
from voice_app.sandbox.phone.conditions import LineConditions
from voice_app.sandbox.phone.context import CallContext
from voice_app.sandbox.phone.endpoint import PATIENCE_SECONDS, CallerEndpoint, PhoneEvent, PhoneEventKind
from voice_app.sandbox.phone.engines import ActiveEngines, EngineOverlap, SttEngine
from voice_app.sandbox.phone.frames import Reconnecting
from voice_app.sandbox.phone.interpreter import TwimlInterpreter
from voice_app.sandbox.phone.leg import Leg, SharedCallParts, first_of
from voice_app.sandbox.phone.outbound import OutboundCall, OutboundCalls
from voice_app.sandbox.phone.people import Person, PersonQueue, WaitingRoom
from voice_app.sandbox.phone.record import RecordVerb
from voice_app.sandbox.phone.relay import HeardReply, RelaySession, ReportedInput
from voice_app.sandbox.phone.transcription import TranscriptWriter
from voice_app.sandbox.phone.twiml import Jump, RefusedTwimlError
from voice_app.sandbox.phone.voice import Pace
from voice_app.sandbox.twilio import Placement, Transcriber
from voice_app.twiml.vocabulary import Vocabulary

T = TypeVar("T")

Attendant = Literal["agent", "person", "recorder", "gather"]
"""Who may listen to a caller."""


@dataclass(slots=True, frozen=True, kw_only=True)
class PhoneSetup:
    """What a phone gives to each of its calls; `Phone` explains the fields."""

    network: Network
    http: aiohttp.ClientSession
    account_sid: str
    number: str
    words_per_second: float
    callbacks: CallbackOrder
    seed: int
    verified: frozenset[str]
    queue_ahead: int
    reconnecting: Reconnecting | None
    reports: ReportedInput
    vocabulary: Vocabulary
    transcriber: Transcriber | None
    conditions: LineConditions


class PhoneCall:
    """One call. `run` is Twilio; the other methods are the caller, and the person on the other side."""

    def __init__(
        self,
        phone: PhoneSetup,
        url: str,
        status_url: str,
        watch: Callable[[PhoneEvent], None],
        people: Sequence[Person],
        caller: str,
    ) -> None:
        self.sid = "CA" + secrets.token_hex(16)
        self.problems: list[str] = []
        """Where the server, or its TwiML, is not as Twilio wants it."""
        self.people = list(people)
        """Who is reached, in this order. More may be added as long as they are not needed."""
        self._url = url
        self._status_url = status_url
        self._watch = watch
        self._began = time.monotonic()
        self._callbacks = CallbackQueue(phone.network, phone.http, self._problem, phone.callbacks, phone.seed)
        shared = SharedCallParts(
            network=phone.network,
            http=phone.http,
            callbacks=self._callbacks,
            pace=Pace(phone.words_per_second),
            account_sid=phone.account_sid,
            vocabulary=phone.vocabulary,
            problem=self._problem,
        )
        self._endpoint = CallerEndpoint(watch, lambda side, text: self._engines.spoken(side, text))
        self._leg = Leg(shared=shared, party=self._endpoint, from_=caller, to=phone.number, sid=self.sid)
        self._transcript = TranscriptWriter(phone.transcriber, self.sid, caller, phone.number, self._problem)
        self._engines = ActiveEngines(self._leg, self._transcript, self._problem)
        self._context = CallContext(
            leg=self._leg,
            endpoint=self._endpoint,
            engines=self._engines,
            people=PersonQueue(self.people),
            waiting_room=WaitingRoom(reachable=phone.transcriber is not None),
            emit=self._emit,
            verified=phone.verified,
            queue_ahead=phone.queue_ahead,
            reconnecting=phone.reconnecting,
            reports=phone.reports,
            conditions=phone.conditions,
        )
        self._outbound = OutboundCalls(self._context, phone.transcriber)
        self.documents = self._leg.documents
        """Every TwiML document of the caller's leg; those of a person's leg are in `Person.documents`."""
        self.endings = self._context.endings
        """How each session ended."""
        self.tasks = self._context.tasks
        """What ``<Enqueue workflowSid>`` gave to TaskRouter."""
        self.recordings = self._context.recordings
        """What ``<Record>`` recorded."""
        self.flows = self._context.flows
        """The Studio flows that took the call."""
        self.replies = self._endpoint.replies
        """Everything that the caller heard."""
        self.over = self._endpoint.over

    # --- what is known of it ---------------------------------------------------------------------

    @property
    def status(self) -> str:
        """As Twilio has it: ``ringing``, ``in-progress`` or ``completed``."""
        return self._leg.status

    @property
    def session(self) -> RelaySession | None:
        """The session with the agent, while there is one."""
        return self._endpoint.session.value

    @property
    def conversation_id(self) -> str | None:
        """The conversation that the call is written to, as the double of Twilio's APIs has it."""
        return self._transcript.conversation_id

    @property
    def engines(self) -> list[SttEngine]:
        """The speech-to-text engines that listened to the call, in the order in which they started."""
        return self._engines.timeline.engines

    @property
    def engine_overlaps(self) -> list[EngineOverlap]:
        """Every moment at which two speech-to-text engines listened to the call: it must stay empty."""
        return self._engines.timeline.overlaps

    # --- the caller ------------------------------------------------------------------------------

    async def reply(self) -> HeardReply:
        """The next thing that the caller hears, once it is said. Raises `CallOverError`."""
        return await self._endpoint.reply()

    async def ask(self, text: str) -> HeardReply:
        """Say something and listen to the answer. Raises `CallOverError`."""
        await self.say(text)
        return await self.reply()

    async def heard_out(self, text: str = "", session_id: str = "") -> None:
        """Return when the agent's voice has said all that has come, or the agent has left.

        ``text`` has to have come, if it was sent in the session that goes on. Raises `CallOverError`.
        """
        session = self.session
        if session is not None:
            text = text if session.session_id == session_id else ""
            await self.while_it_lasts(first_of(session.said(text), self._endpoint.session.emptied()))

    async def greeted(self, within: float = 0.5) -> None:
        """Return when what is said first was heard; without a greeting the agent has ``within`` seconds.

        Raises `CallOverError`.
        """
        await first_of(self.reply(), self._says_nothing(within))
        await self.heard_out()

    async def _says_nothing(self, within: float) -> None:
        """Return when an agent has had its time, and the TwiML no greeting."""
        session = await self._agent()
        await asyncio.sleep(within if not session.greeting else PATIENCE_SECONDS)

    async def left(self) -> None:
        """Return when no agent is on the call. Raises `CallOverError`."""
        await self.while_it_lasts(self._endpoint.session.emptied())

    async def ended(self) -> None:
        """Return when the call is over. Raises `CallOverError` where that takes too long."""
        await self._endpoint.closed()

    async def while_it_lasts(self, waiting: Coroutine[Any, Any, T]) -> T:
        """Wait for something as long as there is a call. Raises `CallOverError`."""
        return await self._endpoint.unless_over(waiting)

    def catch_up(self) -> list[HeardReply]:
        """Everything that was heard and not yet taken by `reply`."""
        return self._endpoint.catch_up()

    async def attended(self) -> Attendant:
        """Return when somebody listens to what the caller says, and who. Raises `CallOverError`."""
        match await self._endpoint.unless_over(self._endpoint.listener.get()):
            case RelaySession():
                return "agent"
            case PersonBridge():
                return "person"
            case RecordVerb():
                return "recorder"
            case _:
                return "gather"

    async def handed_over(self, within: float = 0.5) -> bool:
        """Whether the agent leaves the call within ``within`` seconds on our clock."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._endpoint.session.emptied()
        return self.session is None

    async def say(self, text: str, *, language: str = "") -> None:
        """Say something, as soon as somebody listens; cuts in if the agent is speaking.

        ``language`` is what an agent's speech-to-text takes it for.
        """
        listener = await self._endpoint.unless_over(self._endpoint.listener.get())
        self._emit("caller", text)
        if isinstance(listener, RelaySession):
            await listener.say(text, language=language)
        else:
            await listener.say(text)

    async def interrupt(
        self,
        text: str,
        *,
        after_words: int,
        counts: Callable[[str], Coroutine[Any, Any, bool]] | None = None,
        language: str = "",
    ) -> HeardReply:
        """Wait until ``after_words`` words of the reply were heard, cut in, and say something.

        ``counts`` tells of what is being said whether it is the reply: a filler, for one, is not.
        Returns what was heard of the reply; the answer to what was said is the next `reply`.
        """
        session = await self._agent()
        reached = session.voice.hold_after(after_words)
        await self._endpoint.unless_over(reached.wait())
        while counts is not None and not await self._endpoint.unless_over(counts(session.voice.held)):
            reached = session.voice.hold_after(after_words)
            await self._endpoint.unless_over(reached.wait())
            self.catch_up()
        await session.cut_in()
        heard = await self.reply()
        self._emit("caller", text)
        await session.say(text, cutting_in=True, language=language)
        return heard

    async def press(self, keys: str) -> None:
        """Press keys, one after another, as soon as somebody listens."""
        for key in keys:
            listener = await self._endpoint.unless_over(self._endpoint.listener.get())
            self._emit("key", key)
            await listener.press(key)

    async def stay_silent(self) -> None:
        """Say and press nothing until a ``<Gather>`` or a ``<Record>`` gives up; it does so at once.

        An agent or a person hears nothing, and may say something about it in their own time.
        """
        if await self.attended() in ("gather", "recorder"):
            await self._endpoint.fall_silent()

    async def drop(self, *, unnoticed: bool = False) -> bool:
        """Break the agent's socket, as a crash or a bad network would. The caller stays on the line.

        ``unnoticed``: only Twilio sees that it is broken, the server does not. Returns whether Twilio tries
        to come back to the session; if not, it asks the action URL.
        """
        session = await self._agent()
        if not session.comes_back:
            self._endpoint.connect(None)
        self._emit("dropped")
        session.drop(unnoticed=unnoticed)
        return session.comes_back

    async def hang_up(self) -> None:
        """Hang up, if the call is not over yet."""
        if self._leg.hung_up:
            return
        self._emit("hung-up")
        await self._end()

    async def _agent(self) -> RelaySession:
        return await self._endpoint.unless_over(self._endpoint.session.get())

    # --- the person on the other side ------------------------------------------------------------

    async def bridged(self) -> None:
        """Return when the caller and a person hear each other. Raises `CallOverError`."""
        await self._endpoint.unless_over(self._endpoint.bridge.get())

    async def person_says(self, text: str) -> None:
        """The person says something; the caller hears it. Raises `CallOverError`."""
        bridge = await self._endpoint.unless_over(self._endpoint.bridge.get())
        await bridge.person_says(text)

    async def person_hangs_up(self) -> None:
        """The person hangs up; the caller is still there. Raises `CallOverError`."""
        bridge = await self._endpoint.unless_over(self._endpoint.bridge.get())
        bridge.person_hangs_up()

    # --- Twilio ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Ask the webhook and follow the TwiML until the call is over."""
        try:
            await self._transcript.start()
            await self._take_place()
            await self._callbacks.settle()
            await self._transcript.finish()
            await self._report_status()
            await self._outbound.settle()
            await self._callbacks.settle()
        finally:
            for socket in self._context.abandoned:
                socket.transport.abort()
            await self._outbound.close()
            await self._callbacks.close()
            await self._transcript.close()
        self._emit("ended")

    async def _take_place(self) -> None:
        try:
            await TwimlInterpreter(self._context).run(Jump(self._url, self._leg.form()))
        except (WebhookError, RefusedTwimlError) as error:
            self._problem(str(error))
        finally:
            self._leg.hang_up()
            self._endpoint.close()
            self._engines.close()

    async def redirect(self, url: str = "", *, twiml: str | None = None, method: str = "POST") -> None:
        """Send the call to another document, as the REST API does; the session with the agent ends."""
        self._leg.redirect(Jump(url, self._leg.form(), method, twiml))
        await self._leave()

    async def complete(self) -> None:
        """End the call, as the REST API does."""
        await self._end()

    def place(self, placement: Placement) -> OutboundCall:
        """Call somebody on the caller's behalf, as the REST API does: the next of `people`."""
        return self._outbound.place(placement)

    def break_transcription(self, code: int = 32655, message: str = "Provider unavailable") -> None:
        """Every ``<Transcription>`` fails with this error, as when its provider is down."""
        self._engines.fail(code, message)

    async def _end(self) -> None:
        self._leg.hang_up()
        await self._leave()

    async def _leave(self) -> None:
        """The agent, or the person, is disconnected."""
        session = self.session
        self._endpoint.disconnect()
        if session is not None:
            await session.hang_up()

    async def _report_status(self) -> None:
        if not self._status_url:
            return
        seconds = self._leg.shared.pace.simulated(time.monotonic() - self._began)
        form = self._leg.form() | {"CallDuration": str(max(1, round(seconds)))}
        try:
            await self._leg.shared.network.tell(self._leg.shared.http, self._status_url, form)
        except WebhookError as error:
            self._problem(str(error))

    # --- inside ----------------------------------------------------------------------------------

    def _problem(self, text: str) -> None:
        self.problems.append(text)
        self._emit("problem", text)

    def _emit(self, kind: PhoneEventKind, text: str = "") -> None:
        self._watch(PhoneEvent(kind, text))
