"""What a caller hears who has to wait: a document that is run over and over, or music."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from voice_app.sandbox.phone.twiml import DocumentError
from voice_app.sandbox.network import WebhookError
from voice_app.sandbox.phone.program import CommonVerbs, Program
from voice_app.sandbox.phone.context import Station
from voice_app.sandbox.phone.step import Jump, Stop


class Waiting:
    """Entertains a caller. ``url`` may be empty; ``verbs`` are those that its documents may have."""

    def __init__(self, station: Station, url: str, method: str, verbs: tuple[str, ...]) -> None:
        self.turns = 0
        """How often the document has come to its end."""
        self.turned = asyncio.Event()
        """Set once it has, or music plays."""
        self._leg = station.leg
        self._url = url
        self._method = method
        handlers = CommonVerbs(station.leg, station.ears).handlers(*verbs)
        self._program = Program(station.leg, handlers, "may not run while a caller waits")

    async def run(self, form: Callable[[], dict[str, str]]) -> Stop:
        """Play until the document says ``<Leave>`` or ``<Hangup>``; which it was. ``form`` is asked with.

        Raises `HungUpError` or `RedirectedError` when the caller is gone.
        """
        while self._url:
            try:
                stop = await self._program.run(Jump(self._url, form(), self._method))
            except (WebhookError, DocumentError) as error:
                self._leg.exchange.problem(f"there is only music for who waits: {error}")
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
