from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import aiohttp
import pytest

from support.model import ScriptedModel
from voice_app.agents.completions import Completion
from voice_app.agents.endpoints import Endpoint
from voice_app.agents.failures import ModelError


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def completion(model: ScriptedModel, *, first_token: float = 5.0, between_tokens: float = 5.0) -> Completion:
    endpoint = Endpoint("tiny", model.base_url, "secret")
    return Completion(endpoint, first_token=first_token, between_tokens=between_tokens)


async def words(completion: Completion, http: aiohttp.ClientSession) -> list[str]:
    return [text async for text in completion.stream(http, {"messages": []})]


async def test_words_are_yielded_in_order(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    model.say("Hel", "lo ", "there.")
    answer = completion(model)
    assert "".join(await words(answer, http)) == "Hello there."
    assert answer.finish_reason == "stop"
    assert model.headers[0]["Authorization"] == "Bearer secret"


async def test_the_connection_is_used_again(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    for _ in range(3):
        model.say("Hello.")
        await words(completion(model), http)
    assert len(model.connections) == 1


def fragment(**fields: Any) -> dict[str, Any]:
    function = {name: fields.pop(name) for name in ("name", "arguments") if name in fields}
    return {"tool_calls": [{**fields, "function": function}]}


@pytest.mark.parametrize(
    "deltas",
    [
        pytest.param(
            [
                fragment(index=0, id="a", name="one", arguments=""),
                fragment(index=0, arguments='{"x"'),
                fragment(index=1, id="b", name="two", arguments=""),
                fragment(index=0, arguments=":1}"),
                fragment(index=1, arguments="{}"),
            ],
            id="fragments by index",
        ),
        pytest.param(
            [
                fragment(index=0, id="a", name="one", arguments='{"x"'),
                fragment(index=0, id="a", name="one", arguments=":1}"),
                fragment(index=1, id="b", name="two", arguments="{}"),
            ],
            id="id and name in every fragment",
        ),
        pytest.param(
            [
                fragment(id="a", name="one", arguments='{"x":1}'),
                fragment(id="b", name="two", arguments="{}"),
            ],
            id="no index",
        ),
        pytest.param(
            [
                fragment(id="a", name="one", arguments='{"x"'),
                fragment(arguments=":1}"),
                fragment(id="b", name="two", arguments="{}"),
            ],
            id="no index, fragments",
        ),
        pytest.param(
            [
                fragment(index=0, id="a", name="one", arguments='{"x":1}'),
                fragment(index=0, id="b", name="two", arguments="{}"),
            ],
            id="whole calls under one index",
        ),
        pytest.param(
            [
                fragment(index=0, id="a", name="one", arguments={"x": 1}),
                fragment(index=1, id="b", name="two", arguments={}),
            ],
            id="arguments as objects",
        ),
    ],
)
async def test_tool_calls_are_assembled(
    deltas: list[dict[str, Any]], model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    model.events(*deltas, finish="tool_calls")
    answer = completion(model)
    assert await words(answer, http) == []
    assert [(call.id, call.name, json.loads(call.arguments or "{}")) for call in answer.calls] == [
        ("a", "one", {"x": 1}),
        ("b", "two", {}),
    ]


async def test_calls_without_any_id_get_one_each(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    model.events(fragment(name="one", arguments="{}"), fragment(name="two", arguments="{}"), finish="stop")
    answer = completion(model)
    await words(answer, http)
    assert [call.name for call in answer.calls] == ["one", "two"]
    assert len({call.id for call in answer.calls}) == 2


async def test_an_answer_that_is_not_streamed_is_read(
    model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    model.say("x")
    body = json.dumps({"choices": [{"message": {"content": "Whole."}, "finish_reason": "stop"}]}).encode()
    model.answers[0].parts = [body]
    model.answers[0].headers = {"Content-Type": "application/json"}
    assert await words(completion(model), http) == ["Whole."]


async def test_content_in_parts_and_thoughts_are_told_apart(
    model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    parts = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "Yes."}]
    model.events({"reasoning_content": "hm"}, {"content": parts})
    assert await words(completion(model), http) == ["Yes."]


async def test_a_refusal_in_words_is_spoken(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    model.events({"refusal": "I cannot help with that."})
    assert await words(completion(model), http) == ["I cannot help with that."]


async def test_an_end_without_done_is_an_end(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    model.events({"content": "Hi."}, done=False)
    assert await words(completion(model), http) == ["Hi."]


async def test_done_without_a_reason_is_an_end(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    model.events({"content": "Hi."}, finish=None)
    assert await words(completion(model), http) == ["Hi."]


async def test_nothing_is_waited_for_after_the_end(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    model.say("Hi.")
    model.answers[0].parts.append(None)
    assert await words(completion(model), http) == ["Hi."]


@pytest.mark.parametrize(
    ("deltas", "finish", "done", "kind"),
    [
        ([], "stop", True, "empty"),
        ([{"content": ""}], "stop", True, "empty"),
        ([], "length", True, "too-long"),
        ([{"content": "Well"}], "content_filter", True, "filtered"),
        ([{"content": "Well"}], None, False, "broken"),
    ],
)
async def test_an_answer_that_is_none_is_an_error(
    deltas: list[dict[str, Any]],
    finish: str | None,
    done: bool,
    kind: str,
    model: ScriptedModel,
    http: aiohttp.ClientSession,
) -> None:
    model.events(*deltas, finish=finish, done=done)
    with pytest.raises(ModelError) as raised:
        await words(completion(model), http)
    assert raised.value.kind == kind


async def test_a_cut_by_length_after_words_is_an_answer(
    model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    model.say("Well", finish="length")
    assert await words(completion(model), http) == ["Well"]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b'{"error": {"code": "invalid_api_key", "message": "no"}}', "unauthorized"),
        (403, b"forbidden", "unauthorized"),
        (429, b'{"error": {"code": "insufficient_quota", "message": "pay"}}', "unauthorized"),
        (429, b"{}", "rate-limited"),
        (404, b'{"error": {"message": "no such model"}}', "rejected"),
        (400, b"[]", "rejected"),
        (500, b"<html>", "unavailable"),
        (503, b"", "unavailable"),
    ],
)
async def test_a_status_becomes_an_error_of_its_kind(
    status: int, body: bytes, kind: str, model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    model.say("x")
    model.answers[0].status, model.answers[0].parts = status, [body]
    with pytest.raises(ModelError) as raised:
        await words(completion(model), http)
    assert raised.value.kind == kind
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
async def test_the_wait_that_was_asked_for_is_told(
    headers: dict[str, str], seconds: float | None, model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    model.say("x")
    model.answers[0].status, model.answers[0].headers = 429, headers
    with pytest.raises(ModelError) as raised:
        await words(completion(model), http)
    assert raised.value.retry_after == seconds


async def test_an_error_within_the_stream_is_an_error(
    model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    model.say("x")
    model.answers[0].parts = [b'data: {"error": {"code": 429, "message": "slow down"}}\n\n']
    with pytest.raises(ModelError, match="slow down") as raised:
        await words(completion(model), http)
    assert raised.value.kind == "rate-limited"


async def test_no_first_token_in_time_is_slow(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    model.events({"role": "assistant"}, finish=None, done=False)
    model.answers[0].parts.append(None)
    with pytest.raises(ModelError) as raised:
        await words(completion(model, first_token=0.05), http)
    assert raised.value.kind == "slow"


async def test_no_next_token_in_time_is_a_stall(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    model.events({"content": "Well"}, finish=None, done=False)
    model.answers[0].parts.append(None)
    answer = completion(model, between_tokens=0.05)
    stream = answer.stream(http, {})
    assert await anext(stream) == "Well"
    with pytest.raises(ModelError) as raised:
        await anext(stream)
    assert raised.value.kind == "stalled"


async def test_an_endpoint_that_is_not_there_is_unavailable(
    http: aiohttp.ClientSession, unused_tcp_port: int
) -> None:
    answer = Completion(Endpoint("m", f"http://127.0.0.1:{unused_tcp_port}"), first_token=5, between_tokens=5)
    with pytest.raises(ModelError, match="OPENAI_BASE_URL") as raised:
        await words(answer, http)
    assert raised.value.kind == "unavailable"


async def test_leaving_closes_the_response_at_once(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    model.events({"content": "Well"}, finish=None, done=False)
    model.answers[0].parts.append(None)
    async with aclosing(completion(model).stream(http, {})) as stream:
        assert await anext(stream) == "Well"
    await model.left.wait()
