"""Runs TwiML on a leg, verb by verb and document by document, as far as the leg allows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

from voice_app.sandbox.network import WebhookError
from voice_app.sandbox.phone.engines import ActiveEngines
from voice_app.sandbox.phone.leg import Leg, first_of
from voice_app.sandbox.phone.twiml import Jump, NextStep, RefusedTwimlError, Stop, TwimlDocument, TwimlVerb

TIMEOUT_SECONDS = 5.0
CONFIDENCE = "0.95"


class GatherVerb:
    """One ``<Gather>`` on a leg. It is what the party presses keys into and speaks to.

    ``engines`` are those of a caller; nobody else is listened to by an engine.
    """

    def __init__(self, leg: Leg, verb: TwimlVerb, engines: ActiveEngines | None) -> None:
        self._leg = leg
        self._verb = verb
        self._engines = engines
        self._inputs = verb.get("input", "dtmf").split()
        self._keys = ""
        self._words = ""
        self._changed = asyncio.Event()
        self._done = asyncio.Event()

    async def press(self, key: str) -> None:
        if "dtmf" not in self._inputs or self._done.is_set():
            return
        if key in self._verb.get("finishOnKey", "#"):
            self._done.set()
        else:
            self._keys += key
            if len(self._keys) == self._verb.seconds("numDigits", 0):
                self._done.set()
        self._changed.set()

    async def say(self, text: str) -> None:
        await asyncio.sleep(self._leg.shared.pace.speech(text))
        if self._engines is not None:
            self._engines.spoken("caller", text)
        if "speech" in self._inputs and not self._done.is_set():
            self._words = text
            self._done.set()
            self._changed.set()

    async def run(self, url: str) -> Jump | None:
        """Play the prompts, take the answer; gives the request with it. None if nobody answered.

        Raises `HungUpError` or `RedirectedError`.
        """
        with self._engine():
            self._leg.party.attend(self)
            try:
                await self._prompt()
                await self._answer()
            finally:
                self._leg.party.attend(None)
        return self._request(url)

    def _engine(self) -> AbstractContextManager[None]:
        """What understands words costs as much as any other engine."""
        if self._engines is None or "speech" not in self._inputs:
            return nullcontext()
        return self._engines.timeline.listening('<Gather input="speech">')

    async def _prompt(self) -> None:
        barge_in = self._verb.is_true("bargeIn", default=True)
        for prompt in self._verb.children:
            if barge_in:
                await first_of(self._leg.play(prompt), self._changed.wait())
                if self._changed.is_set():
                    return
            else:
                await self._leg.play(prompt)

    async def _answer(self) -> None:
        """Every key gives time for the next one."""
        leg, seconds = self._leg, self._verb.seconds("timeout", TIMEOUT_SECONDS)
        await leg.party.prompted(self)
        while not self._done.is_set():
            self._changed.clear()
            if self._done.is_set():
                return
            if await leg.until(first_of(self._changed.wait(), leg.party.silence(seconds))) == 1:
                return

    def _request(self, url: str) -> Jump | None:
        verb, leg = self._verb, self._leg
        if not self._keys and not self._words and not verb.is_true("actionOnEmptyResult"):
            return None
        form = leg.form()
        if self._words:
            form |= {"SpeechResult": self._words, "Confidence": CONFIDENCE}
        else:
            form |= {"Digits": self._keys}
        return Jump(leg.absolute(verb.get("action"), url), form, verb.get("method", "POST"))


MAX_DOCUMENTS = 20
"""More TwiML documents than this in one go are a circle."""
SECONDS_OF_A_STAY = 1.0
"""Whoever has been in a document for so long goes on from there anew: a session, a dial, a message."""

VerbHandler = Callable[[TwimlVerb, str], Awaitable[NextStep]]
"""Runs a verb of the document at a URL."""


class TwimlProgram:
    """TwiML that runs on a leg. ``handlers`` are the verbs that it may have in it.

    ``foreign`` is what is said of any other verb, after its name. ``elsewhere`` is offered every jump first,
    and may take the call.
    """

    def __init__(
        self,
        leg: Leg,
        handlers: Mapping[str, VerbHandler],
        foreign: str,
        elsewhere: Callable[[Jump], Awaitable[Stop | None]] | None = None,
    ) -> None:
        self._leg = leg
        self._handlers = handlers
        self._foreign = foreign
        self._elsewhere = elsewhere

    async def run(self, jump: Jump) -> Stop:
        """Run the document of ``jump`` and those that follow it.

        Raises `HungUpError` or `RedirectedError` when the leg is gone; `WebhookError` or
        `RefusedTwimlError` for a document that Twilio cannot use.
        """
        in_one_go = 0
        while in_one_go < MAX_DOCUMENTS:
            began = time.monotonic()
            taken = await self._elsewhere(jump) if self._elsewhere is not None else None
            if taken is not None:
                return taken
            step = await self._execute(await self._leg.fetch(jump), jump.url)
            if isinstance(step, Stop):
                return step
            jump = step
            in_one_go = 0 if time.monotonic() - began > SECONDS_OF_A_STAY else in_one_go + 1
        self._leg.shared.problem(f"the TwiML goes in a circle: {MAX_DOCUMENTS} documents in one go")
        return Stop("Hangup")

    async def _execute(self, document: TwimlDocument, url: str) -> Jump | Stop:
        for verb in document.verbs:
            self._leg.check()
            handler = self._handlers.get(verb.name)
            if handler is None:
                self._leg.shared.problem(f"<{verb.name}> {self._foreign}; it went on to the next verb")
                continue
            if verb.refused:
                self._leg.shared.problem(f"<{verb.name}> {verb.refused}")
            if (step := await handler(verb, url)) is not None:
                return step
        return Stop()


class CommonVerbs:
    """The verbs that run on every leg. ``engines`` are those of a caller."""

    def __init__(self, leg: Leg, engines: ActiveEngines | None = None) -> None:
        self._leg = leg
        self._engines = engines

    def handlers(self, *names: str) -> dict[str, VerbHandler]:
        """The handlers of these verbs."""
        known: dict[str, VerbHandler] = {
            "Say": self._play,
            "Play": self._play,
            "Pause": self._play,
            "Gather": self._gather,
            "Redirect": self._redirect,
            "Hangup": self._stop,
            "Leave": self._stop,
        }
        return {name: known[name] for name in names}

    async def _play(self, verb: TwimlVerb, url: str) -> None:
        await self._leg.play(verb)

    async def _gather(self, verb: TwimlVerb, url: str) -> Jump | None:
        return await GatherVerb(self._leg, verb, self._engines).run(url)

    async def _redirect(self, verb: TwimlVerb, url: str) -> Jump:
        return Jump(self._leg.absolute(verb.text, url), self._leg.form(), verb.get("method", "POST"))

    async def _stop(self, verb: TwimlVerb, url: str) -> Stop:
        return Stop(verb.name)


class HoldProgram:
    """Entertains a caller. ``url`` may be empty; ``verbs`` are those that its documents may have."""

    def __init__(
        self, leg: Leg, engines: ActiveEngines, url: str, method: str, verbs: tuple[str, ...]
    ) -> None:
        self.turns = 0
        """How often the document has come to its end."""
        self.turned = asyncio.Event()
        """Set once it has, or music plays."""
        self._leg = leg
        self._url = url
        self._method = method
        handlers = CommonVerbs(leg, engines).handlers(*verbs)
        self._program = TwimlProgram(leg, handlers, "may not run while a caller waits")

    async def run(self, form: Callable[[], dict[str, str]]) -> Stop:
        """Play until the document says ``<Leave>`` or ``<Hangup>``; which it was. ``form`` is asked with.

        Raises `HungUpError` or `RedirectedError` when the caller is gone.
        """
        while self._url:
            try:
                stop = await self._program.run(Jump(self._url, form(), self._method))
            except (WebhookError, RefusedTwimlError) as error:
                self._leg.shared.problem(f"there is only music for who waits: {error}")
                break
            if stop.verb:
                return stop
            self.turns += 1
            self.turned.set()
            await self._leg.pass_time(1)  # an empty document must not be asked for without a pause
        self._leg.party.hear_sound("music")
        self.turned.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody sets that event")
