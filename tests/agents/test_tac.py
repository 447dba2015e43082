from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any

import pytest

from voice_app.agents.adapters.tac import Callback, Memory, TacSession, from_tac
from voice_app.agents.protocol import Call, Message, Piece, Transfer, Turn


async def answer(callback: Callback, call: Call | None = None, text: str = "Hello?") -> list[Piece]:
    return [piece async for piece in from_tac(callback)(call or Call("CA1"), Turn(text))]


async def coroutine(message: str, context: TacSession, memory: Memory | None) -> str:
    return f"You said {message}"


async def generator(message: str, context: TacSession, memory: Memory | None) -> AsyncIterator[str]:
    yield "You "
    yield message


async def returns_a_generator(message: str, context: TacSession, memory: Memory | None) -> AsyncIterator[str]:
    return generator(message, context, memory)


@pytest.mark.parametrize(
    ("callback", "pieces"),
    [
        (lambda message, context, memory: f"You said {message}", ["You said Hello?"]),
        (lambda message, context, memory: None, []),
        (coroutine, ["You said Hello?"]),
        (generator, ["You ", "Hello?"]),
        (returns_a_generator, ["You ", "Hello?"]),
    ],
)
async def test_every_kind_of_callback_runs(callback: Callback, pieces: list[str]) -> None:
    assert await answer(callback) == pieces


async def test_another_result_is_told_as_a_mistake() -> None:
    with pytest.raises(TypeError, match="returned int: return text, None or an async iterator"):
        await answer(lambda message, context, memory: 1)


async def test_the_session_tells_about_the_call_and_stays_the_same() -> None:
    seen: list[TacSession] = []

    def callback(message: str, context: TacSession, memory: Memory | None) -> None:
        seen.append(context)

    call = Call("CA1", from_="+15550100002", to="+15550100001", parameters={"shop": "tea"})
    call.history.append(Message("user", "one"))
    await answer(callback, call)
    await answer(callback, call)
    first, second = seen
    assert first is second
    assert (first.conversation_id, first.call_sid, first.channel) == ("CA1", "CA1", "VOICE")
    assert first.author_info is not None
    assert first.author_info.address == "+15550100002"
    assert first.metadata == {"shop": "tea"}
    assert first.history == [Message("user", "one")]
    assert first.build_profile_prompt() is None


async def test_what_is_known_of_the_caller_is_a_memory() -> None:
    def callback(message: str, context: TacSession, memory: Memory | None) -> str:
        assert memory is not None
        return " / ".join([*memory.build_memory_prompts(), memory.observations[0].content])

    call = Call("CA1", memory=["Likes tea."])
    assert await answer(callback, call) == [
        "## Key Observations\nImportant notes about the customer:\n- Likes tea. / Likes tea."
    ]


@pytest.mark.parametrize(
    ("pending", "transfer"),
    [
        (
            SimpleNamespace(handoff_data='{"conversationId": "c", "attributes": {"reason": "billing"}}'),
            Transfer("billing"),
        ),
        ('{"reason": "sales", "summary": "Wants tea."}', Transfer("sales", "Wants tea.")),
        ({"attributes": {"reason": "sales"}}, Transfer("sales")),
        ("to the front desk", Transfer("handoff", "to the front desk")),
        ("[]", Transfer("handoff")),
    ],
)
async def test_a_pending_handoff_becomes_a_transfer(pending: Any, transfer: Transfer) -> None:
    def callback(message: str, context: TacSession, memory: Memory | None) -> str:
        context.pending_handoff_data = pending
        return "One moment."

    call = Call("CA1")
    assert await answer(callback, call) == ["One moment.", transfer]
    assert await answer(lambda message, context, memory: "Yes?", call) == ["Yes?"]


async def test_a_barge_in_ends_the_callback_too() -> None:
    ended = []

    async def callback(message: str, context: TacSession, memory: Memory | None) -> AsyncIterator[str]:
        try:
            yield "one "
            yield "two"
        finally:
            ended.append(True)

    async with aclosing(from_tac(callback)(Call("CA1"), Turn("Hi"))) as pieces:  # type: ignore[type-var]
        assert await anext(pieces) == "one "
    assert ended
