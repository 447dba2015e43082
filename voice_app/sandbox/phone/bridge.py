"""A caller and a person who hear each other."""

from __future__ import annotations

import asyncio

from voice_app.sandbox.phone.pace import Pace
from voice_app.sandbox.phone.people import Person
from voice_app.sandbox.phone.race import first_of
from voice_app.sandbox.phone.context import Station


class Bridge:
    """Connects the two while `run` runs. It is what the caller speaks to."""

    def __init__(self, station: Station, person: Person, *, hangup_on_star: bool = False) -> None:
        self._station = station
        self._person = person
        self._hangup_on_star = hangup_on_star
        self._turn = asyncio.Event()
        self._voice = asyncio.Lock()
        self._over = asyncio.Event()

    # --- the caller ------------------------------------------------------------------------------

    async def say(self, text: str) -> None:
        await asyncio.sleep(self._pace.speech(text))
        self._station.ears.spoken("caller", text)
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
            self._station.handset.hear_person(text)

    def person_hangs_up(self) -> None:
        self._over.set()

    # --- Twilio ----------------------------------------------------------------------------------

    async def run(self, seconds: float) -> None:
        """Keep them connected until one leaves, or so many seconds of the call have passed.

        Raises `HungUpError` or `RedirectedError` when the caller is gone.
        """
        station = self._station
        station.handset.put_through(self)
        station.happened("bridged", "")
        talking = asyncio.create_task(self._talk())
        try:
            await first_of(station.leg.until(self._over.wait()), station.leg.pass_time(seconds))
        finally:
            station.handset.put_through(None)
            talking.cancel()
            await asyncio.wait([talking])
        station.happened("left", "")

    async def _talk(self) -> None:
        for line in self._person.lines:
            await self.person_says(line)
            await self._turn.wait()
            self._turn.clear()

    @property
    def _pace(self) -> Pace:
        return self._station.leg.exchange.pace
