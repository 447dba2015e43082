"""The agent for measuring."""

from __future__ import annotations

from voice_app.agents.protocol import Call, Turn
from voice_app.sandbox.load.agents import TOKENS, fixed_reply


async def said(text: str) -> list[str]:
    return [piece async for piece in fixed_reply(Call("CA1"), Turn(text))]


async def test_every_reply_has_the_same_number_of_words() -> None:
    words = await said("Turn 7, please.")
    assert len(words) == TOKENS
    assert words[:2] == ["r7w1 ", "r7w2 "]


async def test_of_prompts_that_were_joined_the_last_one_is_answered() -> None:
    assert (await said("Turn 7, please. Turn 8, please."))[0] == "r8w1 "


async def test_a_prompt_without_a_number_is_answered_too() -> None:
    assert (await said("Hello?"))[0] == "r0w1 "
