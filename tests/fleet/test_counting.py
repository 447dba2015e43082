"""The agent that tells what it does not know."""

from __future__ import annotations

import pytest

from support.counting import counting
from voice_app import Call, EndCall, Message, Turn


def call(*lines: str) -> Call:
    """A call on which these lines were said, the caller's and the agent's in turn."""
    history = [Message("assistant" if number % 2 else "user", line) for number, line in enumerate(lines)]
    return Call("CA1", history=history)


async def said(call: Call, text: str) -> str:
    return "".join([piece async for piece in counting(call, Turn(text)) if isinstance(piece, str)])


@pytest.mark.parametrize(
    ("lines", "text", "answer"),
    [
        ((), "Question 1.", "Answer 1. Questions missing: none. Answers missing: none."),
        (
            ("Question 1.", "Answer 1. Questions missing: none."),
            "Question 2.",
            "Answer 2. Questions missing: none. Answers missing: none.",
        ),
        (
            ("Question 1.", "Answer 1. …", "Question 3.", ""),
            "Question 4.",
            "Answer 4. Questions missing: 2. Answers missing: 2 3.",
        ),
        (
            ("Question 1.", ""),
            "Question 1. Question 1.",
            "Answer 1. Questions missing: none. Answers missing: none.",
        ),
        (
            ("Question 1.", "", "Question 2.", ""),
            "What?",
            "Answer 2. Questions missing: none. Answers missing: 1.",
        ),
        ((), "Hello?", "Please ask."),
    ],
)
async def test_it_tells_what_is_not_in_the_history(lines: tuple[str, ...], text: str, answer: str) -> None:
    assert await said(call(*lines), text) == answer


async def test_a_goodbye_ends_the_call() -> None:
    pieces = [piece async for piece in counting(call("Question 1.", "Answer 1."), Turn("Goodbye."))]
    assert pieces == ["Goodbye!", EndCall()]
