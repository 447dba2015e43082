"""The agent that proves that nothing of a call is lost.

The caller (`support.call_fleet`) asks "Question 1.", "Question 2." and so on, and the answer names the
questions and answers that are missing from the call's history.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Final

from voice_app import Call, EndCall, Piece, Turn

FOLDERS: Final = os.pathsep.join(str(Path(__file__).parents[up]) for up in (2, 1))
"""Where a server of a folder of its own finds the package and this agent (``PYTHONPATH``)."""
_QUESTION: Final = re.compile(r"Question (\d+)")
_ANSWER: Final = re.compile(r"Answer (\d+)")


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
