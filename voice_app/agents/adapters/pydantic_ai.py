"""Any `pydantic_ai.Agent` as an agent on the phone. Needs the extra ``pydantic-ai``.

    from pydantic_ai import Agent
    from voice_app.agents.adapters.pydantic_ai import from_pydantic_ai

    agent = from_pydantic_ai(Agent("openai:gpt-5-mini", instructions="You sell tea."))

Its text is spoken as it streams, the history is what the caller heard, and our actions are added to
its tools. A barge-in cancels the run and with it the tools in it: put what must not be undone into a
task of its own.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import Any

import msgspec
from pydantic_ai import (
    Agent as PydanticAgent,
)
from pydantic_ai import (
    FunctionToolCallEvent,
    FunctionToolResultEvent,
    FunctionToolset,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ModelRetry,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    UserPromptPart,
)
from pydantic_ai import (
    Tool as PydanticTool,
)

from voice_app.agents.actions import ACTIONS
from voice_app.agents.messages import asked
from voice_app.agents.protocol import Action, Agent, Break, Call, EndCall, Message, Piece, Transfer, Turn
from voice_app.agents.tool_calls import ArgumentsError
from voice_app.agents.tools import Tool


def from_pydantic_ai(
    agent: PydanticAgent[Any, str],
    *,
    deps: Callable[[Call], Any] | None = None,
    actions: Sequence[Tool[..., Any]] = ACTIONS,
) -> Agent:
    """Make an agent of ours of one of theirs.

    ``deps`` makes the dependencies of a run from the call; ``actions`` are the tools that it gets
    beside its own.
    """

    async def answer(call: Call, turn: Turn) -> AsyncGenerator[Piece]:
        done: list[Action] = []
        events = agent.run_stream_events(
            asked(turn),
            message_history=_history(call.history),
            deps=deps(call) if deps is not None else None,
            toolsets=[FunctionToolset([_offered(item, call, done) for item in actions])],
        )
        async with events as stream:
            async for event in stream:
                match event:
                    case PartStartEvent(part=TextPart(content=text)) if text:
                        yield text
                    case PartDeltaEvent(delta=TextPartDelta(content_delta=text)) if text:
                        yield text
                    case FunctionToolCallEvent():
                        yield Break()
                    case FunctionToolResultEvent():
                        while done:
                            action = done.pop(0)
                            yield action
                            if isinstance(action, Transfer | EndCall):
                                return
                    case _:
                        pass

    return answer


def _offered(item: Tool[..., Any], call: Call, done: list[Action]) -> PydanticTool[Any]:
    """One of our tools as one of theirs, which leaves its action in ``done``."""

    async def run(**arguments: Any) -> str:
        try:
            done.append(await item.run(call, msgspec.json.encode(arguments).decode()))
        except ArgumentsError as error:
            raise ModelRetry(str(error)) from None
        return "done"

    return PydanticTool.from_schema(run, item.name, item.description, dict(item.parameters))


def _history(messages: Iterable[Message]) -> list[ModelMessage]:
    return [
        ModelRequest(parts=[UserPromptPart(message.content)])
        if message.role == "user"
        else ModelResponse(parts=[TextPart(message.content)])
        for message in messages
    ]
