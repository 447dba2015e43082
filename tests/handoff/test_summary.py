"""What a person is told, whatever the agent can do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from voice_app import Call, Message, Piece, Turn
from voice_app.calls import HistoryLine
from voice_app.handoff import summary
from voice_app.handoff.summary import brief, sentences

LINES = [
    HistoryLine("user", "My order is broken."),
    HistoryLine("assistant", "Which one?"),
    HistoryLine("user", "Number 81."),
]


class Writer:
    """An agent that summarises in its own way."""

    def __init__(self, text: str | Exception | None) -> None:
        self._text = text

    async def __call__(self, call: Call, turn: Turn, /) -> AsyncIterator[Piece]:
        yield "Hello."

    async def summarise(self, history: Sequence[Message]) -> str:
        if self._text is None:
            await asyncio.Event().wait()
        if isinstance(self._text, Exception):
            raise self._text
        return str(self._text)


async def test_the_agent_writes_it_if_it_can() -> None:
    assert await brief(Writer(" Wants a refund. "), LINES) == "Wants a refund."


@pytest.mark.parametrize("text", ["", "  ", RuntimeError("boom"), None])
async def test_the_last_words_have_to_do_where_it_cannot(
    monkeypatch: pytest.MonkeyPatch, text: str | Exception | None
) -> None:
    monkeypatch.setattr(summary, "SECONDS_TO_SUMMARISE", 0.05)
    assert await brief(Writer(text), LINES) == "My order is broken. Number 81."


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("", ""),
        ("Wants a refund", "Wants a refund."),
        ("Wants a refund. ", "Wants a refund."),
        ("Is she insured?", "Is she insured?"),
        ('He said "never"', 'He said "never".'),
        ('He said "never."', 'He said "never."'),
        ("Order 81,", "Order 81."),
        ("- wants a refund\n- order 81\n\n", "wants a refund. order 81."),
        ("您的订单。", "您的订单。"),
        ("…", "…"),
        (" - ", ""),
    ],
)
def test_what_is_read_aloud_ends_in_full_stops(text: str, read: str) -> None:
    assert sentences(text) == read


def test_a_long_text_ends_with_a_whole_word() -> None:
    assert sentences("Order eighty-one never came", 12) == "Order."
    assert sentences("x" * 20, 12) == "x" * 12 + "."


async def test_a_call_on_which_nothing_was_said_has_no_summary() -> None:
    assert await brief(Writer("something made up"), []) == ""
