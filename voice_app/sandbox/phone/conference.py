"""``<Dial><Conference>``: the caller waits in a room until somebody joins.

Source: ``docs/protocol.md`` §6.2. Somebody whom the REST API has called comes in by
the TwiML of their own leg. Where it has called nobody, somebody joins whose side is not simulated.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Never

from voice_app.sandbox.phone.bridge import PersonBridge
from voice_app.sandbox.phone.context import CallContext
from voice_app.sandbox.phone.leg import HungUpError, RedirectedError, first_of
from voice_app.sandbox.phone.people import ConferenceGuest
from voice_app.sandbox.phone.program import HoldProgram
from voice_app.sandbox.phone.twiml import TwimlVerb

JOIN_SECONDS = 5.0
"""When somebody joins whom nobody has dialled, in seconds of the call."""
CALLED_SECONDS = 2.0
"""Seconds on our clock that a server may need to have somebody called, however fast the call goes."""
WAIT_VERBS = ("Say", "Play", "Pause", "Redirect")


class ConferenceNoun:
    """The room of a noun, as the caller comes into it."""

    def __init__(self, context: CallContext, noun: TwimlVerb, url: str) -> None:
        self._context = context
        self._noun = noun
        self._document_url = url
        self._sid = "CF" + secrets.token_hex(16)
        self._sequence = 0
        self._started = False
        leg, wait_url = context.leg, noun.get("waitUrl")
        self._waiting = HoldProgram(
            leg,
            context.engines,
            wait_url and leg.absolute(wait_url, url),
            noun.get("waitMethod", "POST"),
            WAIT_VERBS,
        )

    async def run(self, seconds: float) -> None:
        """Stay until somebody has left who ends it, or ``seconds`` of the call have passed.

        Raises `HungUpError` or `RedirectedError` when the caller is gone.
        """
        pace, waiting_room = self._context.leg.shared.pace, self._context.waiting_room
        end = time.monotonic() + pace.real(seconds)
        waiting_room.room = self._noun.text
        self._notify("participant-join")
        try:
            while (guest := await self._wait(pace.simulated(end - time.monotonic()))) is not None:
                await self._meet(guest, pace.simulated(end - time.monotonic()))
                if guest.ends:
                    return
        finally:
            waiting_room.room = ""
            self._notify("participant-leave")
            self._notify("conference-end")

    async def _wait(self, seconds: float) -> ConferenceGuest | None:
        """The guest who comes within ``seconds``, while the caller hears the hold music."""
        leg = self._context.leg
        found: list[ConferenceGuest] = []

        async def come() -> None:
            found.append(await self._coming())

        await first_of(self._waiting.run(leg.form), come(), leg.pass_time(seconds))
        return found[0] if found else None

    async def _coming(self) -> ConferenceGuest:
        context, waiting_room = self._context, self._context.waiting_room
        patience = context.leg.shared.pace.real(JOIN_SECONDS)
        if waiting_room.reachable:
            patience = max(patience, CALLED_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await waiting_room.expected.wait()
        if waiting_room.expected.is_set():
            return await waiting_room.guest(self._noun.text)
        person = context.people.next()
        if person.kind != "answers":
            await asyncio.Event().wait()
        return ConferenceGuest(person=person)

    async def _meet(self, guest: ConferenceGuest, seconds: float) -> None:
        """Caller and guest are in the room together."""
        guest.met.set()
        self._notify("participant-join", guest.call_sid)
        alone = True
        try:
            if guest.starts or self._noun.is_true("startConferenceOnEnter", default=True):
                self._start()
                bridge = PersonBridge(self._context, guest.person)
                await first_of(bridge.run(seconds), _let_go(bridge, guest))
            else:
                self._context.problem(
                    f"the conference {self._noun.text!r} never starts: "
                    "nobody in it has startConferenceOnEnter"
                )
                leg = self._context.leg
                await first_of(leg.until(guest.gone.wait()), leg.pass_time(seconds))
        except (HungUpError, RedirectedError):
            alone = not self._noun.is_true("endConferenceOnExit")
            raise
        finally:
            guest.part(hung_up=alone)
            self._notify("participant-leave", guest.call_sid)

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._notify("conference-start")

    def _notify(self, event: str, call_sid: str | None = None) -> None:
        """``statusCallbackEvent`` has the short names. Nothing is sent for a guest without a CallSid."""
        wanted = event.rpartition("-")[2] in self._noun.get("statusCallbackEvent").split()
        if not wanted or call_sid == "":
            return
        self._sequence += 1
        leg = self._context.leg
        form = {
            "AccountSid": leg.shared.account_sid,
            "CallSid": call_sid or leg.sid,
            "ConferenceSid": self._sid,
            "FriendlyName": self._noun.text,
            "StatusCallbackEvent": event,
            "SequenceNumber": str(self._sequence),
            "Timestamp": format_datetime(datetime.now(UTC)),
        }
        leg.notify(self._noun, "statusCallback", self._document_url, form)


async def _let_go(bridge: PersonBridge, guest: ConferenceGuest) -> Never:
    """The guest's leg may be gone for other reasons than the person's words."""
    await guest.gone.wait()
    bridge.person_hangs_up()
    await asyncio.Event().wait()
    raise AssertionError("nobody sets that event")
