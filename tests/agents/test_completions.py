from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import aiohttp
import pytest

from support.model import Answer, ScriptedModel, event
from voice_app.agents.completions import MAX_TOKEN, Completion
from voice_app.agents.endpoints import Endpoint
from voice_app.agents.failures import ModelError
from voice_app.agents.sse import MAX_EVENT


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def completion(
    model: ScriptedModel,
    *,
    first_token: float = 5.0,
    between_tokens: float = 5.0,
    announces_its_end: bool = False,
) -> Completion:
    endpoint = Endpoint("tiny", model.base_url, "secret")
    return Completion(
        endpoint,
        first_token=first_token,
        between_tokens=between_tokens,
        announces_its_end=announces_its_end,
    )


async def words(completion: Completion, http: aiohttp.ClientSession) -> list[str]:
    return [text async for text in completion.stream(http, {"messages": []})]


async def test_words_are_yielded_in_order(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    model.say("Hel", "lo ", "there.")
    answer = completion(model)
    assert "".join(await words(answer, http)) == "Hello there."
    assert answer.finish_reason == "stop"
    assert model.headers[0]["Authorization"] == "Bearer secret"


async def test_words_that_come_together_are_one_text_and_those_before_a_failure_are_said(
    model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    model.events({"content": "Hel"}, {"content": "lo."}, finish="error", done=False)
    answer = model.answers[0]
    answer.parts = [b"".join(part for part in answer.parts if part is not None)]
    stream = completion(model).stream(http, {"messages": []})
    assert await anext(stream) == "Hello."
    with pytest.raises(ModelError, match="broke off"):
        await anext(stream)


async def test_the_connection_is_used_again(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    for _ in range(3):
        model.say("Hello.")
        await words(completion(model), http)
    assert len(model.connections) == 1


async def test_an_answer_that_is_not_streamed_is_read(
    model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    model.say("x")
    body = json.dumps({"choices": [{"message": {"content": "Whole."}, "finish_reason": "stop"}]}).encode()
    model.answers[0].parts = [body]
    model.answers[0].headers = {"Content-Type": "application/json"}
    assert await words(completion(model), http) == ["Whole."]


async def test_a_refusal_in_words_is_spoken(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    model.events({"refusal": "I cannot help with that."})
    assert await words(completion(model), http) == ["I cannot help with that."]


async def test_an_end_without_done_is_an_end(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    model.events({"content": "Hi."}, done=False)
    assert await words(completion(model), http) == ["Hi."]


async def test_a_body_that_is_whole_is_an_end(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    model.events({"content": "Hi."}, finish=None, done=False)
    asked = completion(model)
    assert await words(asked, http) == ["Hi."]
    assert not asked.announced


async def test_a_body_that_stops_is_cut_where_the_server_announces_its_ends(
    model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    model.events({"content": "Hi."}, finish=None, done=False)
    with pytest.raises(ModelError, match="stops without an end"):
        await words(completion(model, announces_its_end=True), http)


async def test_done_without_a_reason_is_an_end(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    model.events({"content": "Hi."}, finish=None)
    assert await words(completion(model), http) == ["Hi."]


def chunk(delta: dict[str, Any], **choice: Any) -> bytes:
    return event({"choices": [{"delta": delta, **choice}]})


DONE = b"data: [DONE]\n\n"
HI = chunk({"content": "Hi "})
THERE = chunk({"content": "there."})
STOP = chunk({}, finish_reason="stop")
WHOLE = b'{"choices":[{"message":{"role":"assistant","content":"Hi there."},"finish_reason":"stop"}]}'
TYPED = {"json": "application/json", "text": "text/plain", "events": "text/event-stream", "none": "x/y"}


@pytest.mark.parametrize(
    "framed",
    [
        pytest.param(b"Content-Length: 1000\r\n\r\n" + HI, id="fewer bytes than were told"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(HI), HI), id="no last chunk"),
    ],
)
async def test_a_body_that_http_shows_to_be_cut_is(framed: bytes, http: aiohttp.ClientSession) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b'{"messages"')
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + framed)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        endpoint = Endpoint("tiny", f"http://127.0.0.1:{port}/v1")
        asked = Completion(endpoint, first_token=5, between_tokens=5)
        with pytest.raises(ModelError, match="cut the answer off"):
            await words(asked, http)
        assert asked.spoke


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([b""], id="nothing"),
        pytest.param([HI, THERE[:20]], id="half an event"),
        pytest.param([HI, b'data: {"choices":\ndata: [{"delta"'], id="half an event of two lines"),
    ],
)
async def test_a_body_that_stops_in_the_middle_is_cut(
    parts: list[bytes | None], model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    model.answers.append(Answer(parts))
    with pytest.raises(ModelError, match=r"stops without an end|no chat completion"):
        await words(completion(model), http)


@pytest.mark.parametrize(
    ("body", "type_"),
    [
        pytest.param(
            chunk({"content": "Hi "}, finish_reason="stop")
            + chunk({"content": "there."}, finish_reason="stop")
            + DONE,
            "events",
            id="a reason on every chunk",
        ),
        pytest.param(
            chunk({"role": "assistant"}, finish_reason="stop") + HI + THERE + DONE,
            "events",
            id="a reason on the first chunk",
        ),
        pytest.param(HI + STOP + THERE, "events", id="words after the reason, no [DONE]"),
        pytest.param(
            chunk({"content": "Hi "}, finish_reason="")
            + chunk({"content": "there."}, finish_reason="null")
            + DONE,
            "events",
            id="reasons that are none",
        ),
        pytest.param(
            chunk({"content": "Hi "}, finish_reason={"x": 1}) + THERE + STOP,
            "events",
            id="a reason that is no text",
        ),
        pytest.param(b"data:\n\n" + HI + b"data: \n\n" + THERE + STOP + DONE, "events", id="empty data"),
        pytest.param(
            b'event: ping\ndata: {"type":"ping"}\n\n' + HI + b"data: 1\n\ndata: []\n\n" + THERE + DONE,
            "events",
            id="foreign events and other values",
        ),
        pytest.param(HI + b"data: {bro\n\n" + THERE + DONE, "events", id="garbage between words"),
        pytest.param(b"\xef\xbb\xbf" + (HI + THERE + DONE).replace(b"\n", b"\r"), "events", id="BOM and CR"),
        pytest.param((HI + THERE + DONE).replace(b"\n\n", b"\n"), "events", id="no blank lines"),
        pytest.param(HI + THERE + DONE, "json", id="events that are typed as JSON"),
        pytest.param(HI + THERE + DONE, "text", id="events that are typed as text"),
        pytest.param(WHOLE, "json", id="JSON"),
        pytest.param(WHOLE, "events", id="JSON that is typed as events"),
        pytest.param(WHOLE, "text", id="JSON that is typed as text"),
        pytest.param(json.dumps(json.loads(WHOLE), indent=1).encode(), "none", id="JSON over many lines"),
        pytest.param(b"data: " + WHOLE + b"\n\n", "events", id="a whole answer as one event"),
        pytest.param(
            (HI + THERE + DONE).replace(b"data: ", b"").replace(b"\n\n", b"\n"), "none", id="lines of JSON"
        ),
        pytest.param(HI + THERE + b"data: " + WHOLE + b"\n\n" + DONE, "events", id="the message once more"),
        pytest.param(
            b'data: {"choices":{"delta":{"content":"Hi "}}}\n\n' + THERE + DONE,
            "events",
            id="choices as an object",
        ),
        pytest.param(
            b'data: {"error":null,"choices":[{"delta":{"content":"Hi ","tool_calls":null},"index":"0"}]}\n\n'
            b'data: {"choices":[],"usage":{}}\n\ndata: {"choices":null}\n\n' + THERE + DONE,
            "events",
            id="null fields and a chunk without a choice",
        ),
        pytest.param(
            chunk({"content": [{"type": "text", "text": "Hi "}, {"type": "thinking", "thinking": []}, 5]})
            + chunk({"content": {"type": "text", "text": "there."}})
            + DONE,
            "events",
            id="content in parts",
        ),
        pytest.param(
            HI + b'data: {"choices":[{"delta":{"content":"there\x07."}}]}\n\n' + DONE,
            "events",
            id="a control character",
        ),
        pytest.param(
            HI + chunk({"content": "\ufffd"}) + THERE + DONE, "events", id="a replacement character"
        ),
    ],
)
async def test_nothing_of_it_costs_an_answer(
    body: bytes, type_: str, model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    model.answers.append(Answer([body], headers={"Content-Type": TYPED[type_]}))
    assert "".join(await words(completion(model), http)) == "Hi there."


@pytest.mark.parametrize(
    "pieces",
    [
        (b'"Great \\ud83d"', b'"\\ude00!"'),
        (b'"Great \xf0\x9f"', b'"\x98\x80!"'),
        (b'"Great \xf0"', b'"\x9f\x98"', b'"\x80!"'),
    ],
)
async def test_a_character_in_two_events_is_whole(
    pieces: tuple[bytes, ...], model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    body = b"".join(b'data: {"choices":[{"delta":{"content":' + piece + b"}}]}\n\n" for piece in pieces)
    model.answers.append(Answer([body + DONE]))
    assert "".join(await words(completion(model), http)) == "Great 😀!"


async def test_thoughts_are_not_words(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    model.events({"reasoning_content": "Hm. "}, {"reasoning_content": "Well."}, {"content": "Yes."})
    answer = completion(model)
    assert await words(answer, http) == ["Yes."]
    assert answer.extras == {"reasoning_content": "Hm. Well."}


async def test_calls_after_a_reason_count(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    call = {"index": 1, "id": "a", "function": {"name": "look", "arguments": "{}"}}
    model.answers.append(Answer([STOP, chunk({"tool_calls": [call]}), DONE]))
    answer = completion(model)
    assert await words(answer, http) == []
    assert [item.name for item in answer.calls] == ["look"]


async def test_a_call_of_the_old_kind_counts(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    model.events(
        {"function_call": {"name": "look", "arguments": '{"x"'}}, {"function_call": {"arguments": ":1}"}}
    )
    answer = completion(model)
    await words(answer, http)
    assert [(item.name, item.arguments) for item in answer.calls] == [("look", '{"x":1}')]


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("error", "broken"),
        ("network_error", "broken"),
        ("abort", "broken"),
        ("SAFETY", "filtered"),
        ("content_filter", "filtered"),
    ],
)
async def test_some_reasons_are_failures(
    reason: str, kind: str, model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    model.say("Well", finish=reason)
    with pytest.raises(ModelError) as raised:
        await words(completion(model), http)
    assert raised.value.kind == kind


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"<html>502 Bad Gateway</html>", "502 Bad Gateway"),
        (b"upstream connect error", "upstream connect error"),
        (b"data: hello\n\n", "hello"),
        (b'{"object":"error","message":"no such model"}', "no such model"),
        (b'event: error\ndata: {"message":"overloaded"}\n\n', "overloaded"),
        (b"event: error\ndata: overloaded\n\n", "overloaded"),
        (b'{"error":"out of memory"}', "out of memory"),
        (b'data: {"error":{"message":"out of memory"}}\n\n', "out of memory"),
        (b"[" * 100_000, "[[["),
        (b"data: " + b'{"choices":' * 50_000 + b"\n\n", '{"choices":{"choices":'),
    ],
)
async def test_what_is_no_answer_at_all_is_an_error_that_says_what_came(
    body: bytes, told: str, model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    model.answers.append(Answer([body]))
    with pytest.raises(ModelError) as raised:
        await words(completion(model), http)
    assert told in raised.value.detail
    assert told not in str(raised.value)


@pytest.mark.parametrize(
    "text", ["", " \n", "👍", "🎉 🎉", "…", "<think>Hm.</think>", "<think>never closed", "[THINK]x[/THINK] "]
)
async def test_an_answer_without_a_word_is_empty(
    text: str, model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    model.say(*text)
    answer = completion(model)
    with pytest.raises(ModelError) as raised:
        await words(answer, http)
    assert (raised.value.kind, answer.spoke) == ("empty", False)


async def test_a_piece_of_text_without_a_measure_is_an_error(
    model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    model.say("x" * (MAX_TOKEN + 1))
    with pytest.raises(ModelError, match="at once"):
        await words(completion(model), http)


async def test_a_document_without_a_measure_is_an_error(
    model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    model.answers.append(Answer([b'{"choices":[', b" " * (MAX_EVENT + 1)]))
    with pytest.raises(ModelError, match="more than"):
        await words(completion(model), http)


async def test_thoughts_keep_a_stream_alive_but_do_not_move_the_first_word(
    model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    thought = chunk({"reasoning_content": "hm"})
    model.answers.append(Answer([thought, None]))
    with pytest.raises(ModelError) as stalled:
        await words(completion(model, first_token=30, between_tokens=0.05), http)
    model.answers.append(Answer([thought, None]))
    with pytest.raises(ModelError) as slow:
        await words(completion(model, first_token=0.05, between_tokens=30), http)
    assert (stalled.value.kind, slow.value.kind) == ("stalled", "slow")


async def test_a_role_and_comments_are_no_sign_of_life(
    model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    model.answers.append(Answer([chunk({"role": "assistant", "content": ""}), b": waiting\n\n", None]))
    with pytest.raises(ModelError) as raised:
        await words(completion(model, first_token=0.1, between_tokens=0.01), http)
    assert raised.value.kind == "slow"


async def test_texts_that_utf_8_cannot_hold_are_repaired_in_a_request(
    model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    model.say("Yes.")
    body = {"messages": [{"role": "user", "content": "a\ud83d"}]}
    assert [text async for text in completion(model).stream(http, body)] == ["Yes."]
    assert model.requests[0]["messages"][0]["content"] == "a"


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
    with pytest.raises(ModelError) as raised:
        await words(completion(model), http)
    assert (raised.value.kind, raised.value.detail) == ("rate-limited", "slow down")


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


async def test_an_endpoint_whose_answers_begin_in_thoughts_is_heard_from_their_end(
    model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    model.say("They want", " a refund.</th", "ink>", "Of course.")
    endpoint = Endpoint("tiny", model.base_url, shape=frozenset({"thinks-first"}))
    answer = Completion(endpoint, first_token=5, between_tokens=5)
    assert "".join(await words(answer, http)) == "Of course."


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
