"""Agents for tests, to be named as ``support.agents:name``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from voice_app import Call, EndCall, Piece, Transfer, Turn


async def echo(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Says what was said, and how much it remembers."""
    yield f"You said: {turn.text} "
    yield f"Before that there were {len(call.history)} messages."


async def endless(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Talks until it is stopped."""
    for number in range(100_000):
        yield f"{turn.text}-{number} "
        await asyncio.sleep(0)


async def broken(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Fails in the middle of a sentence."""
    yield "Well, "
    raise RuntimeError("secret words of the caller")


async def leaving(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Transfers or hangs up, as it is told."""
    yield "As you wish."
    yield Transfer("asked", turn.text) if "person" in turn.text else EndCall()


def not_a_generator(call: Call) -> None:
    """Takes one argument too few."""


async def a_coroutine(call: Call, turn: Turn) -> str:
    """Returns instead of yielding."""
    return "Hello."
