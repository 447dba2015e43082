"""An agent for proving: it tells at every turn what of the call it does not know, so that a loss is heard.

``VOICE_APP_AGENT=voice_app.sandbox.load.counting:agent`` names it. A caller asks "Question 1.", "Question 2." and
so on, and says goodbye; `voice_app.sandbox.load.caller` is such a caller. The answer to "Question 7." is "Answer
7. Questions missing: none. Answers missing: none." if all the questions before it, and the answers that were
given to them, are in the call's history. What was asked twice counts once.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable

from voice_app import Call, EndCall, Piece, Turn

_QUESTION = re.compile(r"Question (\d+)")
_ANSWER = re.compile(r"Answer (\d+)")


async def agent(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Answer the latest question of the turn, or say goodbye."""
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
