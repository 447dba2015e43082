"""``<Gather>``: prompts, and the keys or the words that answer them.

A caller's silence lasts as long as it really does, and a person's goes at the pace of the call: whoever
phones by hand or from a test needs the time, the simulated person does not.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, nullcontext

from voice_app.sandbox.phone.twiml import Verb
from voice_app.sandbox.phone.ears import Ears
from voice_app.sandbox.phone.leg import Leg
from voice_app.sandbox.phone.prompts import play
from voice_app.sandbox.phone.race import first_of
from voice_app.sandbox.phone.step import Jump

TIMEOUT_SECONDS = 5.0
CONFIDENCE = "0.95"


class Gathering:
    """One ``<Gather>`` on a leg. It is what the party presses keys into and speaks to.

    ``ears`` are those of a caller; nobody else is listened to by an engine.
    """

    def __init__(self, leg: Leg, verb: Verb, ears: Ears | None) -> None:
        self._leg = leg
        self._verb = verb
        self._ears = ears
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
        await asyncio.sleep(self._leg.exchange.pace.speech(text))
        if self._ears is not None:
            self._ears.spoken("caller", text)
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
        if self._ears is None or "speech" not in self._inputs:
            return nullcontext()
        return self._ears.engines.listening('<Gather input="speech">')

    async def _prompt(self) -> None:
        barge_in = self._verb.is_true("bargeIn", default=True)
        for prompt in self._verb.children:
            if barge_in:
                await first_of(play(self._leg, prompt), self._changed.wait())
                if self._changed.is_set():
                    return
            else:
                await play(self._leg, prompt)

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
