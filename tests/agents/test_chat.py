from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, TypeAlias

import aiohttp
import pytest
from llmock.pytest_plugin import LLMock

from support.model import ScriptedModel
from voice_app.agents.actions import ACTIONS
from voice_app.agents.chat import Chat, ChatSettings
from voice_app.agents.failures import ModelError
from voice_app.agents.protocol import (
    Break,
    Call,
    EndCall,
    Message,
    Piece,
    SendDigits,
    SwitchLanguage,
    Transfer,
    Turn,
)
from voice_app.agents.toolbox import ToolRun
from voice_app.agents.tools import Tool, tool

MakeChat: TypeAlias = Callable[..., Chat]


@pytest.fixture
async def make() -> AsyncIterator[MakeChat]:
    """Makes agents, and closes them."""
    made: list[Chat] = []

    def make(base_url: str, *tools: Tool[..., Any], late: Any = None, **settings: Any) -> Chat:
        settings = {"model": "tiny", "api_key": "k", "base_url": base_url, **settings}
        chat = Chat(ChatSettings(**settings), tools=tools or ACTIONS, late=late)
        made.append(chat)
        return chat

    yield make
    for chat in made:
        await chat.close()


async def answer(chat: Chat, text: str = "Hello?", call: Call | None = None) -> list[Piece]:
    return [piece async for piece in chat(call or Call("CA1"), Turn(text))]


def text(pieces: list[Piece]) -> str:
    return "".join(piece for piece in pieces if isinstance(piece, str))


async def failure(chat: Chat) -> tuple[str, str]:
    """What was said before an answer failed, and the kind of the failure."""
    said = ""
    try:
        async for piece in chat(Call("CA1"), Turn("Hello?")):
            said += str(piece)
    except ModelError as error:
        return said, error.kind
    pytest.fail("it did not fail")


# --- against a mock of the API, with faults ----------------------------------------------------------


@pytest.fixture
def mock(llmock: LLMock) -> LLMock:
    return llmock.tool_mode("off")


async def asked(mock: LLMock) -> int:
    """How many requests arrived. The mock waits for those in flight, so not on this loop's time."""
    return len(await asyncio.to_thread(lambda: mock.requests))


async def test_the_words_of_the_model_are_spoken(mock: LLMock, make: MakeChat) -> None:
    mock.reply("We open at nine.")
    assert text(await answer(make(mock.base_url()))) == "We open at nine."


async def test_a_slow_first_token_is_tried_again_once(mock: LLMock, make: MakeChat) -> None:
    mock.slow_first_token(20).reply("lost").reply("Here I am.")
    assert text(await answer(make(mock.base_url(), first_token_deadline=0.3))) == "Here I am."


async def test_a_model_that_stays_slow_is_a_failure(mock: LLMock, make: MakeChat) -> None:
    mock.slow_first_token(20, times=None)
    assert await failure(make(mock.base_url(), first_token_deadline=0.1)) == ("", "slow")


async def test_a_stall_after_words_is_a_failure_and_nothing_is_said_twice(
    mock: LLMock, make: MakeChat
) -> None:
    mock.reply("one two three four").stall(after_chunks=2, seconds=20)
    said, kind = await failure(make(mock.base_url(), between_tokens_deadline=0.2))
    assert kind == "stalled"
    assert said
    assert "one two three four".startswith(said)


async def test_a_stream_that_is_cut_is_a_failure(mock: LLMock, make: MakeChat) -> None:
    chat = make(mock.base_url())
    mock.reply("Hello.")
    assert text(await answer(chat)) == "Hello."
    for cut in (mock.disconnect, mock.truncate):
        mock.reply("one two three four")
        cut(after_chunks=2)
        said, kind = await failure(chat)
        assert (kind, bool(said)) == ("broken", True)


async def test_a_stream_that_is_cut_before_the_first_word_is_asked_for_again(
    mock: LLMock, make: MakeChat
) -> None:
    mock.reply("lost").disconnect(after_chunks=0).reply("Hello.")
    assert text(await answer(make(mock.base_url()))) == "Hello."


async def test_garbage_in_the_stream_costs_no_answer(mock: LLMock, make: MakeChat) -> None:
    mock.reply("one two three four").corrupt(after_chunks=2)
    assert text(await answer(make(mock.base_url()))).startswith("one")


@pytest.mark.parametrize("status", [500, 503, 529])
async def test_a_failing_server_is_asked_once_more(status: int, mock: LLMock, make: MakeChat) -> None:
    mock.fail(status, retry_after=0.1).reply("Hello.")
    assert text(await answer(make(mock.base_url()))) == "Hello."
    await asyncio.to_thread(mock.assert_resilient, strict=True)


async def test_a_server_that_stays_down_is_a_failure_after_two_requests(mock: LLMock, make: MakeChat) -> None:
    mock.fail(503, times=None, retry_after=0.1)
    assert await failure(make(mock.base_url())) == ("", "unavailable")
    assert await asked(mock) == 2


async def test_retry_after_is_kept(mock: LLMock, make: MakeChat) -> None:
    mock.rate_limit(retry_after=0.4).reply("Hello.")
    assert text(await answer(make(mock.base_url()))) == "Hello."
    await asyncio.to_thread(mock.assert_resilient, strict=True)


async def test_a_wait_beyond_the_deadline_is_not_worth_it(mock: LLMock, make: MakeChat) -> None:
    mock.rate_limit(retry_after=60)
    assert await failure(make(mock.base_url())) == ("", "rate-limited")
    assert await asked(mock) == 1


@pytest.mark.parametrize(("status", "kind"), [(401, "unauthorized"), (400, "rejected"), (404, "rejected")])
async def test_what_cannot_get_better_is_not_tried_again(
    status: int, kind: str, mock: LLMock, make: MakeChat
) -> None:
    mock.fail(status)
    assert await failure(make(mock.base_url())) == ("", kind)
    assert await asked(mock) == 1


async def test_a_tool_is_called_and_its_result_is_told(mock: LLMock, make: MakeChat) -> None:
    numbers = []

    @tool
    async def order_status(number: int) -> str:
        """Look up an order."""
        numbers.append(number)
        return "It was sent on Monday."

    mock.call_tool("order_status", {"number": 81}).reply("It is on its way.")
    pieces = await answer(make(mock.base_url(), order_status))
    assert (pieces[0], text(pieces)) == (Break(), "It is on its way.")
    assert numbers == [81]


async def test_a_broken_tool_call_is_told_to_the_model(mock: LLMock, make: MakeChat) -> None:
    @tool
    async def order_status(number: int) -> str:
        """Look up an order."""
        raise AssertionError("it must not run")

    mock.tool_mode("auto")
    mock.break_tool_call("malformed_arguments").break_tool_call("unknown_tool")
    pieces = await answer(make(mock.base_url(), order_status), "What about order 81?")
    assert text(pieces)


# --- against scripted answers ------------------------------------------------------------------------


async def test_the_fallback_steps_in_and_the_first_choice_rests(model: ScriptedModel, make: MakeChat) -> None:
    nobody = "http://127.0.0.1:9/v1"  # the discard port: nobody listens
    chat = make(nobody, fallback_model="other", fallback_base_url=model.base_url)
    model.say("Hello.")
    model.say("Hello again.")
    assert text(await answer(chat)) == "Hello."
    assert text(await answer(chat)) == "Hello again."
    assert [request["model"] for request in model.requests] == ["other", "other"]
    assert all("Authorization" not in headers for headers in model.headers)


async def test_a_refused_key_goes_to_the_fallback_at_once(model: ScriptedModel, make: MakeChat) -> None:
    model.say("x")
    model.answers[0].status = 401
    model.say("Hello.")
    assert text(await answer(make(model.base_url, fallback_model="other"))) == "Hello."
    assert [request["model"] for request in model.requests] == ["tiny", "other"]


async def test_a_failure_of_both_is_the_failure_of_the_last(
    model: ScriptedModel, make: MakeChat, unused_tcp_port: int
) -> None:
    model.events(finish="stop")
    chat = make(f"http://127.0.0.1:{unused_tcp_port}", fallback_model="m", fallback_base_url=model.base_url)
    assert await failure(chat) == ("", "empty")


async def test_a_note_is_told_to_the_model_and_need_not_be_answered(
    model: ScriptedModel, make: MakeChat
) -> None:
    model.say("")
    chat = make(model.base_url)
    assert [piece async for piece in chat(Call("CA1"), Turn("Order 81 was found.", "note"))] == []
    told = model.requests[0]["messages"][-1]["content"]
    assert ("Order 81 was found." in told, "colleague" in told, len(model.requests)) == (True, True, 1)


async def test_an_empty_answer_is_asked_for_again(model: ScriptedModel, make: MakeChat) -> None:
    model.events(finish="stop")
    model.say("Hello.")
    assert text(await answer(make(model.base_url))) == "Hello."


async def test_a_request_holds_instructions_history_and_options(model: ScriptedModel, make: MakeChat) -> None:
    model.say("Yes.")
    call = Call("CA1", from_="+15550100002", history=[Message("assistant", "Welcome."), Message("user", "A")])
    chat = make(model.base_url, temperature=0.2, max_tokens=90, extra={"seed": 1})
    await answer(chat, "B", call)
    request = model.requests[0]
    roles = [(entry["role"], entry["content"]) for entry in request["messages"][1:]]
    assert roles == [("user", "(The call begins.)"), ("assistant", "Welcome."), ("user", "A\nB")]
    assert "+15550100002" in request["messages"][0]["content"]
    assert (request["stream"], request["temperature"], request["max_tokens"], request["seed"]) == (
        True, 0.2, 90, 1,
    )  # fmt: skip
    assert [item["function"]["name"] for item in request["tools"]] == [
        "transfer_to_person", "end_call", "send_digits", "switch_language",
    ]  # fmt: skip


async def test_what_was_said_before_a_tool_is_a_stretch_of_its_own(
    model: ScriptedModel, make: MakeChat
) -> None:
    @tool(filler="never said")
    async def look() -> str:
        """Look."""
        return "42"

    model.call(("a", "look", "{}"), ("b", "look", "{}"), text="Let me see. ")
    model.say("It is 42.")
    pieces = await answer(make(model.base_url, look))
    assert pieces == ["Let me see. ", Break(), "It is 42."]
    said, first, second = model.requests[1]["messages"][-3:]
    assert (said["content"], [item["id"] for item in said["tool_calls"]]) == ("Let me see. ", ["a", "b"])
    assert [(item["tool_call_id"], item["content"]) for item in (first, second)] == [("a", "42"), ("b", "42")]


async def test_a_filler_is_said_while_a_tool_takes_its_time(model: ScriptedModel, make: MakeChat) -> None:
    go = asyncio.Event()

    @tool(filler="One moment. ")
    async def look() -> str:
        """Look."""
        await go.wait()
        return "42"

    model.call(("a", "look", "{}"))
    model.say("It is 42.")
    pieces: list[Piece] = []
    async for piece in make(model.base_url, look, filler_after=0.01)(Call("CA1"), Turn("?")):
        pieces.append(piece)
        if piece == "One moment. ":
            go.set()
    assert pieces == [Break(), "One moment. ", Break(), "It is 42."]


@pytest.mark.parametrize(
    ("name", "arguments", "action"),
    [
        ("transfer_to_person", '{"reason": "billing", "summary": "s"}', Transfer("billing", "s")),
        ("end_call", "{}", EndCall()),
    ],
)
async def test_an_action_that_ends_the_call_ends_the_turn(
    name: str, arguments: str, action: Piece, model: ScriptedModel, make: MakeChat
) -> None:
    model.call(("a", name, arguments), text="Goodbye.")
    assert await answer(make(model.base_url)) == ["Goodbye.", Break(), action]


async def test_other_actions_are_done_and_the_model_goes_on(model: ScriptedModel, make: MakeChat) -> None:
    model.call(("a", "switch_language", '{"language": "es-ES"}'), ("b", "send_digits", '{"digits": "1"}'))
    model.say("¡Hola!")
    pieces = await answer(make(model.base_url))
    assert pieces == [Break(), SwitchLanguage("es-ES", "es-ES"), SendDigits("1"), "¡Hola!"]


async def test_nothing_to_say_after_an_action_is_fine(model: ScriptedModel, make: MakeChat) -> None:
    model.call(("a", "send_digits", '{"digits": "1"}'))
    model.events(finish="stop")
    assert await answer(make(model.base_url)) == [Break(), SendDigits("1")]


async def test_calling_tools_over_and_over_is_a_failure(model: ScriptedModel, make: MakeChat) -> None:
    runs = []

    @tool(acts=False)
    async def look() -> None:
        """Look."""
        runs.append(1)

    for _ in range(3):
        model.call(("a", "look", "{}"))
    assert (await failure(make(model.base_url, look, max_rounds=3)))[1] == "too-many-rounds"
    assert len(runs) == 2  # the last ones would have had nobody to tell


async def test_no_tool_runs_before_its_break_is_taken(model: ScriptedModel, make: MakeChat) -> None:
    runs = []

    @tool
    async def act() -> None:
        """Act."""
        runs.append(1)

    model.call(("a", "act", "{}"))
    async with aclosing(make(model.base_url, act)(Call("CA1"), Turn("?"))) as pieces:
        assert await anext(pieces) == Break()
        await asyncio.sleep(0)
    assert runs == []


class Desk:
    """An agent with a tool that acts, and waits to be let go."""

    def __init__(self, model: ScriptedModel, make: MakeChat) -> None:
        self.begun, self.go = asyncio.Event(), asyncio.Event()
        self.late: asyncio.Queue[str | None] = asyncio.Queue()

        @tool
        async def refund(order: int) -> str:
            """Refund an order."""
            self.begun.set()
            await self.go.wait()
            return f"order {order} was refunded"

        def late(call: Call, run: ToolRun) -> None:
            self.late.put_nowait(run.outcome)

        self.chat = make(model.base_url, refund, late=late)
        self.call = Call("CA1")

    async def barge_in(self) -> None:
        """Ask for a refund, and cut in while it is being made."""

        async def turn() -> None:
            async with aclosing(self.chat(self.call, Turn("Refund it."))) as pieces:
                async for _ in pieces:
                    pass

        task = asyncio.create_task(turn())
        await self.begun.wait()
        task.cancel()
        await asyncio.wait([task])


async def test_a_barge_in_spares_an_acting_tool_and_the_next_turn_knows_its_result(
    model: ScriptedModel, make: MakeChat
) -> None:
    desk = Desk(model, make)
    model.call(("a", "refund", '{"order": 81}'), text="I do it now.")
    await desk.barge_in()
    desk.call.history += [Message("user", "Refund it."), Message("assistant", "I do it")]
    model.say("It is done.")
    desk.go.set()
    assert text(await answer(desk.chat, "Hello?", desk.call)) == "It is done."
    called, result, said, prompt = model.requests[1]["messages"][-4:]
    assert called["tool_calls"][0]["id"] == "a"
    assert (result["role"], result["content"]) == ("tool", "order 81 was refunded")
    assert (said["content"], prompt["content"]) == ("I do it", "Hello?")


async def test_a_prompt_that_joins_the_waiting_one_stands_after_the_result(
    model: ScriptedModel, make: MakeChat
) -> None:
    desk = Desk(model, make)
    model.call(("a", "refund", '{"order": 81}'))
    await desk.barge_in()
    desk.go.set()
    model.say("It is done.")
    await answer(desk.chat, "Refund it. Hello?", desk.call)
    roles = [entry["role"] for entry in model.requests[1]["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "user"]


async def test_a_result_that_nobody_waits_for_is_reported(model: ScriptedModel, make: MakeChat) -> None:
    desk = Desk(model, make)
    model.call(("a", "refund", '{"order": 81}'))
    await desk.barge_in()
    desk.go.set()
    assert await desk.late.get() == "order 81 was refunded"


async def test_an_action_of_a_tool_that_outlived_its_turn_is_not_lost(
    model: ScriptedModel, make: MakeChat
) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    @tool
    async def find_a_person() -> Transfer:
        """Find a person."""
        begun.set()
        await go.wait()
        return Transfer("billing")

    chat, call = make(model.base_url, find_a_person), Call("CA1")
    model.call(("a", "find_a_person", "{}"))
    task = asyncio.create_task(answer(chat, "A person, please.", call))
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    go.set()
    assert await answer(chat, "Hello?", call) == [Transfer("billing")]


async def test_a_cancelled_turn_closes_its_request_at_once(model: ScriptedModel, make: MakeChat) -> None:
    model.events({"content": "Well"}, finish=None, done=False)
    model.answers[0].parts.append(None)
    task = asyncio.create_task(answer(make(model.base_url)))
    await model.asked.wait()
    task.cancel()
    await asyncio.wait([task])
    await model.left.wait()
    assert task.cancelled()


async def test_warming_opens_the_connection_that_the_first_turn_uses(
    model: ScriptedModel, make: MakeChat
) -> None:
    chat = make(model.base_url)
    await chat.warm(Call("CA1"))
    model.say("Hello.")
    await answer(chat)
    assert (model.warmed, len(model.connections)) == (1, 1)


async def test_a_summary_is_written_of_what_was_said(model: ScriptedModel, make: MakeChat) -> None:
    model.say("Wants a refund ", "for order 81.")
    history = [Message("user", "My order is broken."), Message("assistant", "Which one?")]
    assert await make(model.base_url).summarise(history) == "Wants a refund for order 81."
    (request,) = model.requests
    assert "user: My order is broken.\nassistant: Which one?" in request["messages"][1]["content"]
    assert "tools" not in request


async def test_warming_never_fails(make: MakeChat, unused_tcp_port: int) -> None:
    await make(f"http://127.0.0.1:{unused_tcp_port}").warm(Call("CA1"))
    await make("no address").warm(Call("CA1"))


async def test_a_shared_session_is_left_open(model: ScriptedModel) -> None:
    async with aiohttp.ClientSession() as http:
        chat = Chat(ChatSettings(model="m", base_url=model.base_url), http=http)
        model.say("Hello.")
        await answer(chat)
        await chat.close()
        assert not http.closed


def test_keys_do_not_show() -> None:
    settings = ChatSettings(model="m", api_key="secret-1", fallback_model="f", fallback_api_key="secret-2")
    assert "secret" not in repr(settings) + repr(settings.endpoints)
