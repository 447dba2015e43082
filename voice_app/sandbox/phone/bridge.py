"""A caller and a person who hear each other."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from email.utils import format_datetime

from voice_app.sandbox.load.target import new_call_sid
from voice_app.sandbox.network import WebhookError
from voice_app.sandbox.phone.context import CallContext
from voice_app.sandbox.phone.leg import HungUpError, Leg, LegListener, first_of
from voice_app.sandbox.phone.people import Person
from voice_app.sandbox.phone.program import CommonVerbs, TwimlProgram
from voice_app.sandbox.phone.twiml import Jump, RefusedTwimlError, TwimlVerb
from voice_app.sandbox.phone.voice import Pace

RING_SECONDS = {"busy": 1.0, "answers": 4.0, "declines": 4.0, "voicemail": 8.0}
"""When somebody reacts, in seconds of the call; who is not named here lets it ring."""
WHISPER_VERBS = ("Say", "Play", "Gather", "Pause", "Hangup")


class DialledLeg:
    """A person's end of a call. It is the `Party` of its leg."""

    def __init__(
        self,
        context: CallContext,
        noun: TwimlVerb,
        address: str,
        caller_id: str,
        url: str,
        *,
        placed_sid: str = "",
    ) -> None:
        """``placed_sid`` is the CallSid of a leg of its own; else it is a child of the caller's."""
        self.person: Person = context.people.next()
        self.leg = Leg(
            shared=context.leg.shared,
            party=self,
            from_=caller_id,
            to=address,
            direction="outbound-api" if placed_sid else "outbound-dial",
            parent_sid="" if placed_sid else context.leg.sid,
            sid=placed_sid or new_call_sid(),
            status="initiated",
            documents=self.person.documents,
        )
        self.answered_at: float | None = None
        """When it was picked up, on the monotonic clock."""
        self._context = context
        self._noun = noun
        self._document_url = url
        self._sequence = 0
        self._finished = False

    # --- the person ------------------------------------------------------------------------------

    def hear(self, text: str) -> None:
        self.person.heard.append(text)
        self._context.emit("whisper", text)

    def hear_sound(self, what: str) -> None:
        """Music tells nobody anything."""

    def attend(self, listener: LegListener | None) -> None:
        """They act when they are asked."""

    async def prompted(self, listener: LegListener) -> None:
        if self.person.kind == "declines" and not self.person.keys:
            self.leg.hang_up()
            self.leg.check()
        for key in self.person.keys:
            self._context.emit("person-key", key)
            await listener.press(key)

    async def silence(self, seconds: float) -> None:
        await asyncio.sleep(self.leg.shared.pace.real(seconds))

    # --- Twilio ----------------------------------------------------------------------------------

    async def ring(self, longest: float) -> DialledLeg | None:
        """Ring for at most ``longest`` seconds of the call; the leg itself if somebody wants to pick up."""
        self._notify("initiated")
        self.leg.status = "ringing"
        self._notify("ringing")
        self._context.emit("rings", self.leg.to)
        kind = self.person.kind
        seconds = RING_SECONDS.get(kind, longest)
        await self.leg.pass_time(min(seconds, longest))
        if kind == "no-answer" or seconds > longest:
            self.finish("no-answer")
        elif kind == "busy" or (kind == "declines" and not self._noun.get("url")):
            self.finish("busy")
        else:
            return self
        return None

    def answer(self) -> None:
        """It is picked up."""
        self.answered_at = time.monotonic()
        self.leg.status = "in-progress"
        self._notify("answered")
        self._detect_machine()

    async def screen(self) -> bool:
        """Run the whisper of the noun; tells whether the leg may be connected.

        It may not where the TwiML came to a ``<Hangup>``, or the person has hung up.
        """
        noun, leg = self._noun, self.leg
        if not noun.get("url"):
            return True
        jump = Jump(leg.absolute(noun.get("url"), self._document_url), leg.form(), noun.get("method", "POST"))
        verbs = CommonVerbs(leg).handlers(*WHISPER_VERBS)
        try:
            stop = await TwimlProgram(leg, verbs, "may not run on a leg that is dialled").run(jump)
        except HungUpError:
            return False
        except (WebhookError, RefusedTwimlError) as error:
            leg.shared.problem(f"the whisper cannot be used, and the leg is hung up: {error}")
            return False
        return stop.verb != "Hangup" and self.person.kind != "declines"

    def finish(self, status: str) -> None:
        """The leg is over, with this status. Further calls do nothing."""
        if self._finished:
            return
        self._finished = True
        self.leg.status = status
        self._notify("completed")
        if self.answered_at is None:
            self._context.emit("unreached", status)

    @property
    def seconds(self) -> int:
        """How long it has been answered, in seconds of the call."""
        if self.answered_at is None:
            return 0
        return round(self.leg.shared.pace.simulated(time.monotonic() - self.answered_at))

    def _notify(self, event: str) -> None:
        if event not in self._noun.get("statusCallbackEvent", "completed").split():
            return
        form = self.leg.form() | {
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(self._sequence),
            "Timestamp": format_datetime(datetime.now(UTC)),
        }
        if event == "completed" and self.answered_at is not None:
            form |= {"CallDuration": str(self.seconds), "Duration": str(-(-self.seconds // 60))}
        self._sequence += 1
        self.leg.notify(self._noun, "statusCallback", self._document_url, form)

    def _detect_machine(self) -> None:
        noun = self._noun
        if noun.get("machineDetection") in ("", "none"):
            return
        found = "human"
        if self.person.kind == "voicemail":
            whole = noun.get("machineDetection") == "DetectMessageEnd"
            found = "machine_end_beep" if whole else "machine_start"
        form = self.leg.form() | {"AnsweredBy": found, "MachineDetectionDuration": "3000"}
        self.leg.notify(noun, "amdStatusCallback", self._document_url, form)


class PersonBridge:
    """Connects the two while `run` runs. It is what the caller speaks to."""

    def __init__(self, context: CallContext, person: Person, *, hangup_on_star: bool = False) -> None:
        self._context = context
        self._person = person
        self._hangup_on_star = hangup_on_star
        self._turn = asyncio.Event()
        self._voice = asyncio.Lock()
        self._over = asyncio.Event()

    # --- the caller ------------------------------------------------------------------------------

    async def say(self, text: str) -> None:
        await asyncio.sleep(self._pace.speech(text))
        self._context.engines.spoken("caller", text)
        self._person.heard.append(text)
        self._turn.set()

    async def press(self, key: str) -> None:
        if key == "*" and self._hangup_on_star:
            self._over.set()

    # --- the person ------------------------------------------------------------------------------

    async def person_says(self, text: str) -> None:
        """The person speaks; words do not overtake each other."""
        async with self._voice:
            await asyncio.sleep(self._pace.speech(text))
            self._context.endpoint.hear_person(text)

    def person_hangs_up(self) -> None:
        self._over.set()

    # --- Twilio ----------------------------------------------------------------------------------

    async def run(self, seconds: float) -> None:
        """Keep them connected until one leaves, or ``seconds`` of the call have passed.

        Raises `HungUpError` or `RedirectedError` when the caller is gone.
        """
        context = self._context
        context.endpoint.put_through(self)
        context.emit("bridged", "")
        talking = asyncio.create_task(self._talk())
        try:
            await first_of(context.leg.until(self._over.wait()), context.leg.pass_time(seconds))
        finally:
            context.endpoint.put_through(None)
            talking.cancel()
            await asyncio.wait([talking])
        context.emit("left", "")

    async def _talk(self) -> None:
        for line in self._person.lines:
            await self.person_says(line)
            await self._turn.wait()
            self._turn.clear()

    @property
    def _pace(self) -> Pace:
        return self._context.leg.shared.pace
