"""What is played to a leg: ``<Say>``, ``<Play>`` and ``<Pause>``."""

from __future__ import annotations

from voice_app.sandbox.phone.leg import Leg
from voice_app.sandbox.phone.twiml import TwimlVerb

SOUND_SECONDS = 10.0
"""What ``<Play>`` plays is not fetched; it lasts so long on the call."""
FOR_EVER = 1000
"""How often ``loop="0"`` plays."""


async def play(leg: Leg, verb: TwimlVerb) -> None:
    """Play one of the three. Raises `HungUpError` or `RedirectedError`."""
    if verb.name == "Pause":
        await leg.pass_time(verb.seconds("length", 1))
        return
    for _ in range(int(verb.seconds("loop", 1)) or FOR_EVER):
        if verb.name == "Say":
            await leg.listen_to(verb.text)
        else:
            leg.party.hear_sound(verb.text or f"the keys {verb.get('digits')}")
            await leg.pass_time(SOUND_SECONDS)
