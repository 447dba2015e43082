"""Two agents for load, written against the public names as any agent is: `fixed_reply` and `counting`.

``VOICE_APP_AGENT=voice_app.sandbox.load.agents:fixed_reply`` measures. ``VOICE_BENCH_TOKENS`` is the number
of words of a reply (20), ``VOICE_BENCH_TOKEN_MS`` the milliseconds between two of them. Without it all are
there at once; with 0 each comes in a turn of the event loop of its own, as from a very fast model.

``VOICE_APP_AGENT=voice_app.sandbox.load.agents:counting`` proves that nothing of a call is lost: the caller
(`voice_app.sandbox.load.call_fleet`) asks "Question 1.", "Question 2." and so on, and the answer names the
questions and answers that are missing from the call's history.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterable
from typing import Final

from voice_app import Call, EndCall, Piece, Turn

TOKENS: Final = int(os.environ.get("VOICE_BENCH_TOKENS") or 20)
TOKEN_MS: Final = os.environ.get("VOICE_BENCH_TOKEN_MS", "")

_NUMBER: Final = re.compile(r"\d+")
_QUESTION: Final = re.compile(r"Question (\d+)")
_ANSWER: Final = re.compile(r"Answer (\d+)")


async def fixed_reply(call: Call, turn: Turn) -> AsyncIterator[str]:
    """Answer with `TOKENS` words, the first at once; "Turn 7" is answered with ``r7w1 r7w2 …``."""
    reply = "r" + (_NUMBER.findall(turn.text) or ["0"])[-1] + "w"
    yield f"{reply}1 "
    for token in range(2, TOKENS + 1):
        if TOKEN_MS:
            await asyncio.sleep(float(TOKEN_MS) / 1000)
        yield f"{reply}{token} "


async def counting(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Answer the latest question of the turn, or say goodbye. What was asked twice counts once.

    "Question 7." is answered with "Answer 7. Questions missing: none. Answers missing: none." if all the
    questions before it, and the answers that were given to them, are in the call's history.
    """
    if "goodbye" in turn.text.lower():
        yield "Goodbye!"
        yield EndCall()
        return
    asked = _numbers(_QUESTION, (line.content for line in call.history if line.role == "user"))
    answered = _numbers(_ANSWER, (line.content for line in call.history if line.role == "assistant"))
    asked |= (now := _numbers(_QUESTION, [turn.text]))
    if not asked:
        yield "Please ask."
        return
    number = max(now or asked)
    yield f"Answer {number}. "
    yield f"Questions missing: {_list(set(range(1, number)) - asked)}. "
    yield f"Answers missing: {_list(set(range(1, number)) - answered)}."


def _numbers(pattern: re.Pattern[str], texts: Iterable[str]) -> set[int]:
    return {int(number) for text in texts for number in pattern.findall(text)}


def _list(numbers: Iterable[int]) -> str:
    return " ".join(map(str, sorted(numbers))) or "none"
