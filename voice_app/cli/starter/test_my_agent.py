"""Tests of our agent, without a phone. Run them with: pytest"""

import asyncio

from my_agent import agent
from voice_app import Call, Piece, Transfer, Turn


def answer(text: str) -> list[Piece]:
    """Everything that the agent yields to what a caller says."""

    async def collect() -> list[Piece]:
        return [piece async for piece in agent(Call("CA0"), Turn(text))]

    return asyncio.run(collect())


def test_an_order_is_looked_up() -> None:
    assert answer("Where is order 81?")[-1] == "Order 81 leaves today."


def test_a_refund_is_for_a_person() -> None:
    assert isinstance(answer("I want a refund.")[-1], Transfer)
