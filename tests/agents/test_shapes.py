"""Requests that some endpoints refuse: the causes that refusals name, and what is sent instead."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest

from voice_app.agents.failures import refusal
from voice_app.agents.shapes import CAUSES, named_cause, shaped, with_shape
from voice_app.settings import ModelShape

TOOLS = msgspec.Raw(
    msgspec.json.encode(
        [
            {
                "type": "function",
                "function": {
                    "name": "look",
                    "description": "Look.",
                    "parameters": {
                        "type": "object",
                        "properties": {
                            "n": {"type": "integer", "exclusiveMinimum": 0, "default": 1},
                            "x": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                            "l": {"type": "array", "items": {"type": "string", "pattern": "a"}},
                        },
                    },
                },
            },
            {
                "type": "function",
                "function": {
                    "name": "end",
                    "description": "",
                    "parameters": {"type": "object", "properties": {}},
                },
            },
        ]
    )
)


def body(**changes: Any) -> dict[str, Any]:
    """A request with everything in it that may be refused."""
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "look", "arguments": "{}"},
        "thought_signature": "s",
    }
    return {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.2,
        "max_tokens": 9,
        "tools": TOOLS,
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Where is it?"},
            {"role": "assistant", "content": "", "tool_calls": [call], "reasoning_content": "Hm."},
            {"role": "tool", "tool_call_id": "call_1", "content": "Berlin"},
        ],
        **changes,
    }


WITH_NEW_LIMIT = {"max_completion_tokens": 9}

REFUSALS: list[tuple[ModelShape, str]] = [
    ("max-completion-tokens", "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
     "'max_completion_tokens' instead."),
    ("max-tokens", "max_completion_tokens: Extra inputs are not permitted"),
    ("max-tokens", 'json: unknown field "max_completion_tokens"'),
    ("max-tokens", "Unrecognized request argument supplied: max_completion_tokens"),
    ("no-temperature", "Unsupported value: 'temperature' does not support 0.2 with this model. Only the "
     "default (1) value is supported."),
    ("no-temperature", "`temperature` is deprecated for this model."),
    ("short-ids", "Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9."),
    ("short-ids", "Invalid 'messages[2].tool_calls[0].id': string does not match pattern '^[a-zA-Z0-9]{9}$'"),
    ("no-empty-content", "messages: text content blocks must be non-empty"),
    ("no-empty-content", "The content field in the Message object at messages.2 is empty. Add content."),
    ("no-empty-content", "messages.2.content: String should have at least 1 character"),
    ("plain-schemas", "Unable to submit request because `look` functionDeclaration `parameters.x` schema "
     "specified other fields alongside any_of. When using any_of, it must be the only field set."),
    ("plain-schemas", "Invalid JSON payload received. Unknown name \"exclusiveMinimum\" at 'tools[0]"
     ".function_declarations[0].parameters.properties[0].value': Cannot find field."),
    ("plain-schemas", "Invalid schema for function 'look': $ref is not supported"),
    ("no-tools", "registry.ollama.ai/library/gemma2:2b does not support tools"),
    ("no-tools", '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'),
    ("no-tools", "No endpoints found that support tool use. Try disabling 'look'."),
    ("no-tools", "tools param is not supported"),
    ("no-tools", "`tool calling` is not supported with this model"),
    ("no-extras", "'messages.2' : for 'role:assistant' the following must be satisfied[('messages.2' : "
     "property 'reasoning_content' is unsupported)]"),
    ("no-extras", "The reasoning_content is an intermediate result and is not allowed in the input messages"),
    ("no-usage", "Unrecognized request argument supplied: stream_options"),
    ("no-usage", '"loc":["body","stream_options"],"msg":"Extra inputs are not permitted"'),
    ("no-usage", "Additional properties are not allowed ('stream_options' was unexpected)"),
    ("no-stream", "Streaming is not supported for this model"),
    ("no-stream", "Unsupported value: 'stream' does not support true with this model."),
    ("no-system", "System role not supported"),
    ("no-system", "Developer instruction is not enabled for models/gemma-3-1b-it"),
    ("no-system", "Unsupported role: system"),
    ("no-system", "Conversation roles must alternate user/assistant/user/assistant/..."),
]  # fmt: skip


@pytest.mark.parametrize(("wanted", "message"), REFUSALS)
def test_a_refusal_names_its_cause(wanted: ModelShape, message: str) -> None:
    request = body(**WITH_NEW_LIMIT) if wanted == "max-tokens" else body()
    if wanted == "max-tokens":
        del request["max_tokens"]
    text = msgspec.json.encode({"error": {"message": message}})
    error = refusal("x", "m", 400, {}, text)
    assert error.kind == "rejected"
    assert named_cause(error.refusal, request, frozenset()) == wanted


@pytest.mark.parametrize(
    "message",
    [
        "The model `m` does not exist",
        "Invalid API key",
        "max_tokens is too large: 9000. This model supports at most 4096 completion tokens",
        "you must provide a model parameter",
        "Your organization must be verified",
    ],
)
def test_other_refusals_name_none(message: str) -> None:
    assert named_cause(message, body(), frozenset()) is None


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
        "the request exceeds the available context size. try increasing the context size",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "Input is too long for requested model.",
        "Please reduce the length of the messages or completion.",
        "The input token count (1200000) exceeds the maximum number of tokens allowed",
        "Requested token count exceeds the model's maximum context length",
    ],
)
def test_a_context_that_is_full_is_told_from_other_refusals(message: str) -> None:
    assert refusal("x", "m", 400, {}, message.encode()).kind == "context-full"
    assert refusal("x", "m", 413, {}, b"").kind == "context-full"


def test_every_shape_has_a_cause_and_changes_a_request() -> None:
    shapes = set(get_args(ModelShape)) - {"thinks-first"}  # of answers, not of requests
    assert {shape for shape, _ in CAUSES} == shapes
    for shape in shapes:
        request = body()
        if shape == "max-tokens":
            request["max_completion_tokens"] = request.pop("max_tokens")
        assert shaped(request, frozenset({shape})) != request, shape


def test_a_cause_that_was_met_already_is_none() -> None:
    assert named_cause("System role not supported", body(), frozenset({"no-system"})) is None
    assert named_cause("roles must alternate", body(), frozenset({"no-system"})) == "no-tools"
    assert named_cause("does not support tools", body(tools=[], messages=[]), frozenset()) == "no-tools"


def test_opposites_take_each_others_place() -> None:
    assert with_shape(frozenset({"max-tokens", "no-stream"}), "max-completion-tokens") == {
        "max-completion-tokens",
        "no-stream",
    }


def messages(*shape: ModelShape) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shaped(body(), frozenset(shape))["messages"]
    return found


def test_without_a_system_role_the_instructions_stand_before_the_first_words() -> None:
    assert messages("no-system")[0] == {"role": "user", "content": "Be kind.\n\nWhere is it?"}


def test_without_tools_their_results_are_told_in_words() -> None:
    assert messages("no-tools")[1:] == [
        {"role": "user", "content": "Where is it?\n(A look-up found: Berlin)"}
    ]
    assert "tools" not in shaped(body(), frozenset({"no-tools"}))


def test_short_ids_match_each_other() -> None:
    *_, called, result = messages("short-ids")
    assert called["tool_calls"][0]["id"] == result["tool_call_id"]
    assert len(result["tool_call_id"]) == 9
    assert result["tool_call_id"].isalnum()


def test_empty_content_is_left_out() -> None:
    assert "content" not in messages("no-empty-content")[2]


def test_extras_are_left_out() -> None:
    called = messages("no-extras")[2]
    assert set(called) == {"role", "content", "tool_calls"}
    assert set(called["tool_calls"][0]) == {"id", "type", "function"}


def test_plain_schemas_hold_few_words() -> None:
    look, end = shaped(body(), frozenset({"plain-schemas"}))["tools"]
    assert look["function"]["parameters"]["properties"] == {
        "n": {"type": "integer"},
        "x": {"type": "integer"},
        "l": {"type": "array", "items": {"type": "string"}},
    }
    assert "parameters" not in end["function"]


def test_a_request_itself_is_not_changed() -> None:
    request = body()
    shaped(request, frozenset(get_args(ModelShape)))
    assert request == body()
