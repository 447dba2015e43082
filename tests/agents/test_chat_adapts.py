"""The agent `chat` with servers that have views of their own, over real HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, TypeAlias

import pytest

from support.model import Answer, ScriptedModel, event
from voice_app.agents.actions import ACTIONS
from voice_app.agents.chat import Chat, ChatSettings
from voice_app.agents.failures import ModelError
from voice_app.agents.messages import OMITTED, SUMMARY
from voice_app.agents.protocol import Break, Call, Message, Piece, Turn
from voice_app.agents.tools import Tool, tool
from voice_app.journal.events import ModelUsed

MakeChat: TypeAlias = Callable[..., Chat]
LINE = "Thank you for waiting. What else can I do for you?"


@pytest.fixture
async def make() -> AsyncIterator[MakeChat]:
    """Makes agents, and closes them."""
    made: list[Chat] = []

    def make(base_url: str, *tools: Tool[..., Any], **settings: Any) -> Chat:
        chat = Chat(
            ChatSettings(**{"model": "tiny", "api_key": "k", "base_url": base_url, **settings}),
            tools=tools or ACTIONS,
        )
        made.append(chat)
        return chat

    yield make
    for chat in made:
        await chat.close()


async def answer(chat: Chat, text: str = "Hello?", call: Call | None = None) -> list[Piece]:
    return [piece async for piece in chat(call or Call("CA1"), Turn(text))]


class Orders:
    """A tool that acts and counts how often it did."""

    def __init__(self, result: Any = "done") -> None:
        self.paid: list[int] = []

        @tool
        async def refund(order: int) -> Any:
            """Pay an order back."""
            self.paid.append(order)
            return result

        self.refund = refund


def refuse(model: ScriptedModel, message: str, status: int = 400) -> None:
    body = b'{"error":{"message":"' + message.replace('"', "'").encode() + b'"}}'
    model.answers.append(Answer([body], status, {"Content-Type": "application/json"}))


# --- requests -----------------------------------------------------------------------------------------


async def test_a_refusal_that_names_its_cause_is_met_once_and_remembered(
    model: ScriptedModel, make: MakeChat, caplog: pytest.LogCaptureFixture
) -> None:
    chat = make(model.base_url, max_tokens=9)
    refuse(model, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
    refuse(model, "System role not supported")
    model.say("Hello.")
    model.say("Hello again.")
    with caplog.at_level(logging.WARNING):
        assert await answer(chat) == ["Hello."]
    assert "VOICE_APP_MODEL_SHAPE=max-completion-tokens,no-system" in caplog.text
    assert await answer(chat) == ["Hello again."]
    first, second, third, fourth = model.requests
    assert (first["max_tokens"], second["max_completion_tokens"]) == (9, 9)
    assert [item["messages"][0]["role"] for item in (first, second, third, fourth)] == [
        "system", "system", "user", "user",
    ]  # fmt: skip
    assert "max_tokens" not in fourth


async def test_a_refusal_that_does_not_go_away_is_a_failure(model: ScriptedModel, make: MakeChat) -> None:
    refuse(model, "does not support tools")
    refuse(model, "does not support tools")
    with pytest.raises(ModelError) as raised:
        await answer(make(model.base_url))
    assert raised.value.kind == "rejected"
    assert ["tools" in request for request in model.requests] == [True, False]


async def test_a_setting_saves_the_first_try(model: ScriptedModel, make: MakeChat) -> None:
    model.say("Hello.")
    await answer(make(model.base_url, shape=frozenset({"no-tools", "no-system"})))
    (request,) = model.requests
    assert "tools" not in request
    assert [entry["role"] for entry in request["messages"]] == ["user"]


async def test_the_fallback_has_a_shape_of_its_own(model: ScriptedModel, make: MakeChat) -> None:
    refuse(model, "System role not supported")
    refuse(model, "down", 503)
    refuse(model, "down", 503)
    model.say("Hello.")
    assert await answer(make(model.base_url, fallback_model="other")) == ["Hello."]
    assert [item["messages"][0]["role"] for item in model.requests] == ["system", "user", "user", "system"]


async def test_an_endpoint_that_does_not_stream_is_asked_for_a_whole_answer(
    model: ScriptedModel, make: MakeChat
) -> None:
    refuse(model, "Streaming is not supported for this model")
    whole = b'{"choices":[{"message":{"content":"Whole."},"finish_reason":"stop"}]}'
    model.answers.append(Answer([whole], headers={"Content-Type": "application/json"}))
    assert await answer(make(model.base_url)) == ["Whole."]
    assert [request["stream"] for request in model.requests] == [True, False]


async def test_what_came_with_a_call_goes_back_with_it(model: ScriptedModel, make: MakeChat) -> None:
    orders = Orders()
    function = {"name": "refund", "arguments": '{"order":81}', "f": 1}
    call = {
        "id": "call_1",
        "index": 0,
        "function": function,
        "extra_content": {"google": {"thought_signature": "s"}},
    }
    model.events(
        {"reasoning_content": "They want "}, {"reasoning_content": "money."}, {"tool_calls": [call]},
        finish="tool_calls",
    )  # fmt: skip
    model.say("Done.")
    assert await answer(make(model.base_url, orders.refund)) == [Break(), "Done."]
    assert model.requests[1]["messages"][-2:] == [
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "They want money.",
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "refund", "arguments": '{"order":81}', "f": 1},
                    "extra_content": {"google": {"thought_signature": "s"}},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "done"},
    ]


async def test_it_goes_to_no_other_endpoint(model: ScriptedModel, make: MakeChat) -> None:
    orders = Orders()
    call = {
        "id": "call_1",
        "index": 0,
        "function": {"name": "refund", "arguments": '{"order":81}'},
        "sig": "s",
    }
    model.events({"reasoning_content": "Hm."}, {"tool_calls": [call]}, finish="tool_calls")
    for _ in range(2):
        refuse(model, "down", 503)
    model.say("Done.")
    assert await answer(make(model.base_url, orders.refund, fallback_model="other")) == [Break(), "Done."]
    called, result = model.requests[-1]["messages"][-2:]
    assert set(called) == {"role", "content", "tool_calls"}
    assert set(called["tool_calls"][0]) == {"id", "type", "function"}
    assert called["tool_calls"][0]["id"] == result["tool_call_id"] != "call_1"
    assert len(result["tool_call_id"]) == 9


async def test_ids_that_a_server_counts_anew_are_told_apart(model: ScriptedModel, make: MakeChat) -> None:
    orders, call = Orders(), Call("CA1")
    for order in (81, 82):
        model.call(("call_0", "refund", f'{{"order":{order}}}'))
    model.say("Done.")
    await answer(make(model.base_url, orders.refund), call=call)
    ids = [entry["tool_call_id"] for entry in model.requests[-1]["messages"] if entry["role"] == "tool"]
    assert ids[0] == "call_0"
    assert len(set(ids)) == 2


# --- tools that acted ---------------------------------------------------------------------------------


async def test_equal_calls_act_once_and_both_are_answered(model: ScriptedModel, make: MakeChat) -> None:
    orders = Orders()
    model.call(("a", "refund", '{"order": 81}'), ("b", "refund", '{"order":81}'))
    model.say("Done.")
    await answer(make(model.base_url, orders.refund))
    assert orders.paid == [81]
    called, *results = model.requests[1]["messages"][-3:]
    assert [item["id"] for item in called["tool_calls"]] == ["a", "b"]
    assert [(item["tool_call_id"], item["content"]) for item in results] == [("a", "done"), ("b", "done")]


async def test_an_empty_result_is_told_as_it_is(model: ScriptedModel, make: MakeChat) -> None:
    model.call(("a", "refund", '{"order": 81}'))
    model.say("Done.")
    await answer(make(model.base_url, Orders("").refund))
    assert model.requests[1]["messages"][-1]["content"] == ""


@pytest.mark.parametrize("empty", ["", "👍", " \n", "<think>It is done.</think>"])
async def test_words_before_a_tool_are_the_answer_if_none_follow(
    empty: str, model: ScriptedModel, make: MakeChat
) -> None:
    model.call(("a", "refund", '{"order": 81}'), text="I pay it back now.")
    model.say(empty)
    assert await answer(make(model.base_url, Orders().refund)) == ["I pay it back now.", Break()]
    assert len(model.requests) == 2


async def test_with_nothing_said_the_model_is_asked_once_more(model: ScriptedModel, make: MakeChat) -> None:
    orders = Orders()
    model.call(("a", "refund", '{"order": 81}'))
    model.say("")
    model.say("It is paid back.")
    assert await answer(make(model.base_url, orders.refund)) == [Break(), "It is paid back."]
    assert orders.paid == [81]


async def test_what_is_said_at_last_does_not_deny_the_act(model: ScriptedModel, make: MakeChat) -> None:
    orders = Orders()
    model.call(("a", "refund", '{"order": 81}'))
    model.say("")
    model.say("👍")
    assert await answer(make(model.base_url, orders.refund)) == [Break(), LINE]
    assert orders.paid == [81]


async def test_a_model_that_goes_down_after_a_tool_acted_does_not_deny_it(
    model: ScriptedModel, make: MakeChat
) -> None:
    model.call(("a", "refund", '{"order": 81}'), text="I pay it back now.")
    for _ in range(2):
        refuse(model, "down", 503)
    chat = make(model.base_url, Orders().refund, after_tool_line="Anything else?")
    assert await answer(chat) == ["I pay it back now.", Break(), "Anything else?"]


async def test_a_model_that_only_calls_tools_does_not_deny_what_they_did(
    model: ScriptedModel, make: MakeChat
) -> None:
    orders = Orders()
    for number in range(3):
        model.call((f"id{number}", "refund", f'{{"order": {number}}}'))
    pieces = await answer(make(model.base_url, orders.refund, max_rounds=3))
    assert pieces == [Break(), Break(), LINE]
    assert orders.paid == [0, 1]


async def test_a_tool_that_only_reads_leaves_a_failure_a_failure(
    model: ScriptedModel, make: MakeChat
) -> None:
    @tool(acts=False)
    async def look() -> str:
        """Look."""
        return "42"

    model.call(("a", "look", "{}"))
    model.say("")
    model.say("")
    with pytest.raises(ModelError) as raised:
        await answer(make(model.base_url, look))
    assert raised.value.kind == "empty"


# --- a context that is too long -----------------------------------------------------------------------


def long_call(exchanges: int) -> Call:
    call = Call("CA1")
    for number in range(exchanges):
        call.history += [Message("user", f"question {number}"), Message("assistant", f"answer {number}")]
    return call


def said(request: dict[str, Any]) -> list[str]:
    return [entry["content"] for entry in request["messages"] if entry["role"] != "system"]


async def test_the_oldest_exchanges_are_left_out_and_summed_up_beside_the_call(
    model: ScriptedModel, make: MakeChat
) -> None:
    chat, call = make(model.base_url), long_call(4)
    refuse(model, "This model's maximum context length is 100 tokens.")
    model.say("Yes.")
    model.say("They asked four questions.")
    model.say("Yes again.")
    assert await answer(chat, "Now?", call) == ["Yes."]
    assert said(model.requests[1]) == ["question 2", "answer 2", "question 3", "answer 3", "Now?"]
    while SUMMARY not in call.state:
        model.asked.clear()
        await asyncio.wait(chat._summaries.values())
    assert "question 0" in said(model.requests[2])[0]
    assert "question 2" not in said(model.requests[2])[0]
    assert await answer(chat, "And now?", call) == ["Yes again."]
    assert said(model.requests[3])[0] == "question 2"
    assert "They asked four questions." in model.requests[3]["messages"][0]["content"]


async def test_a_call_goes_on_without_a_summary(model: ScriptedModel, make: MakeChat) -> None:
    chat, call = make(model.base_url), long_call(8)
    for _ in range(3):
        refuse(model, "prompt is too long: 9 tokens > 8 maximum")
    model.say("Yes.")
    refuse(model, "prompt is too long")
    assert await answer(chat, "Now?", call) == ["Yes."]
    assert said(model.requests[3]) == ["question 7", "answer 7", "Now?"]
    await asyncio.wait(chat._summaries.values())
    assert SUMMARY not in call.state
    assert call.state[OMITTED] == 14


async def test_a_prompt_that_is_too_long_by_itself_is_a_failure(model: ScriptedModel, make: MakeChat) -> None:
    for _ in range(2):
        refuse(model, "x", 413)
    with pytest.raises(ModelError) as raised:
        await answer(make(model.base_url), "Now?", long_call(1))
    assert raised.value.kind == "context-full"
    assert said(model.requests[1]) == ["Now?"]


async def test_a_context_that_is_full_may_be_told_within_the_stream(
    model: ScriptedModel, make: MakeChat
) -> None:
    error = {"error": {"code": "context_length_exceeded", "message": "too much"}}
    model.answers.append(Answer([event(error)]))
    model.say("Yes.")
    model.say("Summary.")
    assert await answer(make(model.base_url), "Now?", long_call(2)) == ["Yes."]


class Noted:
    """The log of a call that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def write(self, event: Any) -> None:
        self.events.append(event)

    async def settle(self) -> None:
        pass


async def test_a_server_that_refuses_to_count_tokens_is_not_asked_again_and_they_are_guessed(
    make: MakeChat, model: ScriptedModel
) -> None:
    refuse(model, "Unrecognized request argument supplied: stream_options")
    model.say("Hello there.")
    model.say("And again.")
    chat, log = make(model.base_url), Noted()
    call = Call("CA1", log=log)
    assert await answer(chat, call=call) == ["Hello there."]
    await answer(chat, call=call)
    assert ["stream_options" in asked for asked in model.requests] == [True, False, False]
    used = [event for event in log.events if isinstance(event, ModelUsed)]
    assert [(event.model, event.received, event.estimated) for event in used] == [
        ("tiny", 3, True),
        ("tiny", 3, True),
    ]
    assert used[0].sent > 20


async def test_tokens_are_written_down_as_they_were_counted_and_of_a_cut_answer_as_they_are_guessed(
    make: MakeChat, model: ScriptedModel
) -> None:
    counted = {"prompt_tokens": 1000, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 512}}
    chunks = [
        {"choices": [{"delta": {"content": "Hello."}}]},
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": counted},
    ]
    model.answers.append(Answer([*(event(chunk) for chunk in chunks), b"data: [DONE]\n\n"]))
    model.answers.append(Answer([event(chunks[0]), None]))
    log = Noted()
    call, chat = Call("CA1", log=log), make(model.base_url)
    assert await answer(chat, call=call) == ["Hello."]
    async with aclosing(chat(call, Turn("Again?"))) as pieces:
        assert await anext(pieces) == "Hello."  # and the caller cuts in
    assert log.events[0] == ModelUsed("tiny", 1000, 7, 512)
    assert (log.events[1].received, log.events[1].estimated) == (2, True)
