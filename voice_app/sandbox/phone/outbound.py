"""Calls that the REST API places: they ring somebody, who may be let into the caller's conference.

Source: https://www.twilio.com/docs/voice/api/call-resource#create-a-call-resource and
https://www.twilio.com/docs/voice/twiml/conference
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import aiohttp

from voice_app.sandbox.network import WebhookError
from voice_app.sandbox.phone.bridge import DialledLeg
from voice_app.sandbox.phone.context import CallContext
from voice_app.sandbox.phone.leg import HungUpError, RedirectedError, first_of
from voice_app.sandbox.phone.people import ConferenceGuest
from voice_app.sandbox.phone.program import CommonVerbs, TwimlProgram
from voice_app.sandbox.phone.twiml import Jump, RefusedTwimlError, Stop, TwimlVerb
from voice_app.sandbox.twilio import Placement, Transcriber

ALONE_SECONDS = 30.0
"""How long somebody stays alone in a conference, in seconds of the call."""
GRACE_SECONDS = 2.0
"""Seconds on our clock that the server may need, however fast the call goes."""
TIME_LIMIT_SECONDS = 14400.0


class OutboundCall:
    """One call that was placed, to the next of the people whom the caller's call has."""

    def __init__(self, context: CallContext, placement: Placement) -> None:
        self._context = context
        self._placement = placement
        noun = TwimlVerb("Number", _attributes(placement), placement.to)
        self._dialled = DialledLeg(
            context, noun, placement.to, placement.from_, placement.url, placed_sid=placement.call_sid
        )
        self._leg = self._dialled.leg
        verbs = CommonVerbs(self._leg).handlers("Say", "Play", "Gather", "Pause", "Redirect", "Hangup")
        self._program = TwimlProgram(
            self._leg,
            verbs | {"Dial": self._dial},
            "is not simulated by this phone on a leg that the REST API has placed",
        )

    @property
    def to(self) -> str:
        return self._leg.to

    async def run(self) -> None:
        """Ring, and follow the TwiML until the leg is over."""
        dialled = self._dialled
        status = "canceled"
        try:
            if await dialled.ring(self._placement.timeout) is not None:
                dialled.answer()
                status = "completed"
                await self._converse()
        except HungUpError:
            pass
        except (WebhookError, RefusedTwimlError) as error:
            self._context.problem(f"the call to {self.to} is hung up: {error}")
        finally:
            dialled.finish(status)
            self._leg.hung_up = True

    async def redirect(self, url: str = "", *, twiml: str | None = None, method: str = "POST") -> None:
        """Send the leg to another document; one that still rings stays where it is."""
        if self._dialled.answered_at is None:
            self._context.problem(f"21220: the call to {self.to} is not answered: it cannot be redirected")
            return
        self._leg.redirect(Jump(url, self._leg.form(), method, twiml))

    async def complete(self) -> None:
        self._leg.hang_up()

    async def _converse(self) -> None:
        placement, leg = self._placement, self._leg
        jump: Jump | None = Jump(placement.url, leg.form(), placement.method, placement.twiml)
        while jump is not None:
            with suppress(RedirectedError):
                await self._program.run(jump)
            jump = leg.take_redirection()

    async def _dial(self, verb: TwimlVerb, url: str) -> Jump | Stop | None:
        noun, leg = verb.child("Conference"), self._leg
        if noun is None:
            self._context.problem("<Dial> of a leg that the REST API has placed leads to a <Conference> only")
            return None
        if self._dialled.person.kind == "declines":
            leg.hang_up()
            leg.check()
        guest = ConferenceGuest(
            person=self._dialled.person,
            call_sid=leg.sid,
            starts=noun.is_true("startConferenceOnEnter", default=True),
            ends=noun.is_true("endConferenceOnExit"),
        )
        self._context.waiting_room.enter(noun.text, guest)
        try:
            await self._stay(noun.text, guest, verb.seconds("timeLimit", TIME_LIMIT_SECONDS))
        finally:
            guest.gone.set()
        return leg.action(verb, url, leg.form() | {"DialCallStatus": "answered"})

    async def _stay(self, room: str, guest: ConferenceGuest, seconds: float) -> None:
        """Until the conference ends, or ``seconds`` have passed. Raises `HungUpError` if they leave."""
        leg, waiting_room = self._leg, self._context.waiting_room
        alone = max(leg.shared.pace.real(ALONE_SECONDS), GRACE_SECONDS)
        if await leg.until(first_of(guest.met.wait(), asyncio.sleep(alone))) == 1:
            if waiting_room.room and waiting_room.room != room:
                self._context.problem(
                    f"{self.to} was alone in the conference {room!r}: "
                    f"the caller waits in {waiting_room.room!r}"
                )
            leg.hang_up()
            leg.check()
        await first_of(leg.until(guest.over.wait()), leg.pass_time(seconds))
        if guest.hung_up:
            leg.hang_up()
            leg.check()


class OutboundCalls:
    """All the calls that the REST API places for one caller."""

    def __init__(self, context: CallContext, transcriber: Transcriber | None) -> None:
        self._context = context
        self._transcriber = transcriber
        self._running: dict[asyncio.Task[None], OutboundCall] = {}

    def place(self, placement: Placement) -> OutboundCall:
        """Begin to ring."""
        outbound = OutboundCall(self._context, placement)
        self._context.waiting_room.expected.set()
        self._running[asyncio.create_task(self._run(outbound, placement.call_sid))] = outbound
        return outbound

    async def settle(self) -> None:
        """The caller is gone: what is not over soon is hung up, and reported.

        Twilio would let it ring on, and put the person who accepts into an empty conference.
        """
        if not self._running:
            return
        _, late = await asyncio.wait(self._running, timeout=GRACE_SECONDS)
        for task in late:
            outbound = self._running[task]
            self._context.problem(
                f"the caller is gone, and the call to {outbound.to} goes on: "
                "end it through the REST API (Status=completed)"
            )
            await outbound.complete()
        await asyncio.gather(*self._running)

    async def close(self) -> None:
        """Drop everything."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _run(self, outbound: OutboundCall, call_sid: str) -> None:
        try:
            await outbound.run()
        finally:
            if self._transcriber is not None:
                with suppress(aiohttp.ClientError, TimeoutError):
                    await self._transcriber.call_ended(call_sid)


def _attributes(placement: Placement) -> dict[str, str]:
    """A call is placed with what a ``<Number>`` has as attributes."""
    return {
        "url": placement.url,
        "method": placement.method,
        "statusCallback": placement.status_url,
        "statusCallbackEvent": " ".join(placement.status_events),
        "statusCallbackMethod": placement.status_method,
    }
