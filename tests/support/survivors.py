"""Agents whose calls break off, to be named as ``support.survivors:name``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from voice_app import Break, Call, Keys, Piece, SwitchLanguage, Transfer, Turn

STORY = "One, two, three, four, five, six, seven, eight, nine, ten, and so on until the end of the story."
PUT_THROUGH = "I will get you a colleague."


async def storyteller(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Tells a story, or what it knows of the call."""
    if "remember" in turn.text:
        yield " and then ".join(f"{message.role}: {message.content}" for message in call.history)
    else:
        yield STORY


async def operator(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Hands the caller over, after words that take a moment to be spoken."""
    yield PUT_THROUGH
    yield Transfer("billing", "Wants a refund for order 81.")


async def collector(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Wants four keys, as a secret if it is told so, and says how many came."""
    if turn.kind == "keys":
        yield f"{len(turn.text)} keys." if turn.sensitive else f"Keys {turn.text}."
    else:
        call.keys = Keys(length=4, seconds=60, sensitive="PIN" in turn.text)
        yield "Please."


async def spaniard(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Goes on in Spanish."""
    yield SwitchLanguage("es-ES", "es-MX")
    yield "Hola."


class Slow:
    """Holds an answer back until a test lets it go on, but only the first time."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.times = 0

    async def __call__(self, call: Call, turn: Turn) -> AsyncIterator[Piece]:
        self.times += 1
        self.asked.set()
        if self.times == 1:
            if turn.text.startswith("Look"):
                yield "Let me see."
                yield Break()
            await asyncio.Event().wait()
        yield f"Finally: {turn.text}"
