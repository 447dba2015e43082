"""Runs TwiML on a leg, verb by verb and document by document, as far as the leg allows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from voice_app.sandbox.phone.twiml import Document, Verb
from voice_app.sandbox.phone.ears import Ears
from voice_app.sandbox.phone.gathering import Gathering
from voice_app.sandbox.phone.leg import Leg
from voice_app.sandbox.phone.prompts import play
from voice_app.sandbox.phone.step import Jump, Step, Stop

MAX_DOCUMENTS = 20
"""More TwiML documents than this in one go are a circle."""

Handler = Callable[[Verb, str], Awaitable[Step]]
"""Runs a verb of the document at a URL."""


class Program:
    """TwiML that runs on a leg. ``handlers`` are the verbs that it may have in it.

    ``foreign`` is what is said of any other verb, after its name. ``elsewhere`` is offered every jump first,
    and may take the call.
    """

    def __init__(
        self,
        leg: Leg,
        handlers: Mapping[str, Handler],
        foreign: str,
        elsewhere: Callable[[Jump], Awaitable[Stop | None]] | None = None,
    ) -> None:
        self._leg = leg
        self._handlers = handlers
        self._foreign = foreign
        self._elsewhere = elsewhere

    async def run(self, jump: Jump) -> Stop:
        """Run the document of ``jump`` and those that follow it.

        Raises `HungUpError` or `RedirectedError` when the leg is gone; `WebhookError` or `DocumentError` for
        a document that Twilio cannot use.
        """
        for _ in range(MAX_DOCUMENTS):
            taken = await self._elsewhere(jump) if self._elsewhere is not None else None
            if taken is not None:
                return taken
            step = await self._execute(await self._leg.fetch(jump), jump.url)
            if isinstance(step, Stop):
                return step
            jump = step
        self._leg.exchange.problem(f"the TwiML goes in a circle: {MAX_DOCUMENTS} documents in one go")
        return Stop("Hangup")

    async def _execute(self, document: Document, url: str) -> Jump | Stop:
        for verb in document.verbs:
            self._leg.check()
            handler = self._handlers.get(verb.name)
            if handler is None:
                self._leg.exchange.problem(f"<{verb.name}> {self._foreign}; it went on to the next verb")
                continue
            if verb.refused:
                self._leg.exchange.problem(f"<{verb.name}> {verb.refused}")
            if (step := await handler(verb, url)) is not None:
                return step
        return Stop()


class CommonVerbs:
    """The verbs that run on every leg. ``ears`` are those of a caller."""

    def __init__(self, leg: Leg, ears: Ears | None = None) -> None:
        self._leg = leg
        self._ears = ears

    def handlers(self, *names: str) -> dict[str, Handler]:
        """The handlers of these verbs."""
        known: dict[str, Handler] = {
            "Say": self._play,
            "Play": self._play,
            "Pause": self._play,
            "Gather": self._gather,
            "Redirect": self._redirect,
            "Hangup": self._stop,
            "Leave": self._stop,
        }
        return {name: known[name] for name in names}

    async def _play(self, verb: Verb, url: str) -> None:
        await play(self._leg, verb)

    async def _gather(self, verb: Verb, url: str) -> Jump | None:
        return await Gathering(self._leg, verb, self._ears).run(url)

    async def _redirect(self, verb: Verb, url: str) -> Jump:
        return Jump(self._leg.absolute(verb.text, url), self._leg.form(), verb.get("method", "POST"))

    async def _stop(self, verb: Verb, url: str) -> Stop:
        return Stop(verb.name)
