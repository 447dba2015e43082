from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from pydantic_ai import Agent, ModelMessage, RunContext
from pydantic_ai.messages import TextPart, ToolReturnPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel

from voice_app.agents.adapters.pydantic_ai import from_pydantic_ai
from voice_app.agents.protocol import Break, Call, EndCall, Message, Piece, SendDigits, Turn


class Model:
    """A model that plays a script: texts, or a tool's name and arguments."""

    def __init__(self, *script: list[str] | tuple[str, str]) -> None:
        self._script = list(script)
        self.seen: list[list[ModelMessage]] = []
        self.tools: list[str] = []
        self.model = FunctionModel(stream_function=self._stream)

    async def _stream(
        self, messages: list[ModelMessage], info: AgentInfo
    ) -> AsyncIterator[str | DeltaToolCalls]:
        self.seen.append(messages)
        self.tools = [item.name for item in info.function_tools]
        match self._script.pop(0):
            case (str(name), str(arguments)):
                yield {0: DeltaToolCall(name, arguments)}
            case texts:
                for text in texts:
                    yield text


async def answer(agent: Agent[None, str], call: Call | None = None) -> list[Piece]:
    return [piece async for piece in from_pydantic_ai(agent)(call or Call("CA1"), Turn("Hello?"))]


async def test_the_text_is_spoken_as_it_streams() -> None:
    assert await answer(Agent(Model(["We ", "are ", "open."]).model)) == ["We ", "are ", "open."]


async def test_the_history_is_what_was_heard() -> None:
    model = Model(["Yes."])
    call = Call("CA1", history=[Message("assistant", "Welcome."), Message("user", "Open?")])
    await answer(Agent(model.model), call)
    said = [
        (type(part), part.content)
        for item in model.seen[0]
        for part in item.parts
        if isinstance(part, TextPart | UserPromptPart)
    ]
    assert said == [(TextPart, "Welcome."), (UserPromptPart, "Open?"), (UserPromptPart, "Hello?")]


async def test_its_own_tools_run_and_the_answer_goes_on() -> None:
    model = Model(("find", '{"number": 81}'), ["It is 81."])
    agent = Agent(model.model, deps_type=str)

    @agent.tool
    async def find(context: RunContext[str], number: int) -> str:
        """Find an order."""
        return f"{context.deps} {number}"

    adapted = from_pydantic_ai(agent, deps=lambda call: call.sid)
    assert [piece async for piece in adapted(Call("CA1"), Turn("?"))] == [Break(), "It is 81."]
    results = [part.content for part in model.seen[1][-1].parts if isinstance(part, ToolReturnPart)]
    assert results == ["CA1 81"]


async def test_our_actions_are_among_its_tools() -> None:
    model = Model(("send_digits", '{"digits": "1#"}'), ("end_call", "{}"))
    assert await answer(Agent(model.model)) == [Break(), SendDigits("1#"), Break(), EndCall()]
    assert model.tools == ["transfer_to_person", "end_call", "send_digits", "switch_language"]


async def test_arguments_that_do_not_fit_are_told_to_the_model() -> None:
    model = Model(("send_digits", '{"digits": "none"}'), ["Sorry."])
    pieces = await answer(Agent(model.model))
    assert pieces == [Break(), "Sorry."]
    assert "pattern" in str(model.seen[1][-1].parts)


async def test_a_failure_of_the_model_is_a_failure_of_the_agent() -> None:
    with pytest.raises(IndexError):
        await answer(Agent(Model().model))


async def test_a_barge_in_ends_the_run() -> None:
    ended = asyncio.Event()

    async def endless(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        try:
            yield "Well"
            await asyncio.Event().wait()
        finally:
            ended.set()

    agent = from_pydantic_ai(Agent(FunctionModel(stream_function=endless)))
    async with aclosing(agent(Call("CA1"), Turn("Hi"))) as pieces:  # type: ignore[type-var]
        assert await anext(pieces) == "Well"
    await ended.wait()
