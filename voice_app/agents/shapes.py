"""The shapes of a request that some endpoints refuse, how to tell it from a refusal, and what to send.

A request begins in the shape that most servers take. A refusal that names its cause is answered once
with another shape, and the endpoint is asked in that shape from then on; ``VOICE_APP_MODEL_SHAPE`` says
so from the start.

| shape | the endpoint | the request |
|---|---|---|
| ``no-system`` | knows no system role | instructions stand in the first message of the user |
| ``no-tools`` | knows no tools | none are offered; earlier calls are told in words |
| ``short-ids`` | wants ids of nine letters and digits | they are derived from the ids that were given |
| ``no-empty-content`` | wants no empty ``content`` | it is left out beside calls |
| ``no-extras`` | refuses fields of its own kin | a call goes back without what came along with it |
| ``plain-schemas`` | knows few words of JSON Schema | parameters are described with those alone |
| ``no-temperature`` | has a temperature of its own | none is sent |
| ``no-stream`` | does not stream | the answer is asked for whole |
| ``max-tokens``, ``max-completion-tokens`` | knows one name of the limit | that name |
| ``no-usage`` | refuses to be asked for the count of tokens | it is not; the count is guessed |
| ``thinks-first`` | begins its answers within thoughts | the same; all before ``</think>`` is not spoken |
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from voice_app.settings import ModelShape

ChatEntry: TypeAlias = dict[str, Any]
"""A message of a chat completion request."""

_SHORT_ID: Final = re.compile(r"[A-Za-z0-9]{9}")
_LIMITS: Final = ("max_tokens", "max_completion_tokens")
_PLAIN: Final = frozenset({"type", "description", "properties", "required", "items", "enum", "anyOf"})
_NOT_TAKEN: Final = (
    r"(not (be )?(supported|permitted|allowed|accepted|enabled)|n[o']t support|unsupported|unknown"
    r"|unrecognized|unexpected|extra inputs?)"
)


def _cause(subject: str, *phrases: str) -> str:
    """A pattern of a refusal of a subject, the words in either order; or of one of the phrases."""
    near = [rf"({subject}).{{0,60}}{_NOT_TAKEN}", rf"{_NOT_TAKEN}.{{0,60}}({subject})"] if subject else []
    return "|".join([*near, *phrases])


_ALTERNATE: Final = (r"roles? must alternate", r"only user(,| and) assistant")
CAUSES: Final[tuple[tuple[ModelShape, str], ...]] = (
    ("no-usage", _cause(r"stream_options|include_usage")),
    ("max-completion-tokens", _cause(r"\bmax_tokens\b", r"use .{0,4}max_completion_tokens")),
    ("max-tokens", _cause(r"\bmax_completion_tokens\b")),
    ("no-temperature", _cause(r"temperature", r"temperature.{0,60}(only the default|deprecated)")),
    ("short-ids", _cause("", r"tool.?(call|use).{0,10}id.{0,120}(length|a-z|pattern|alphanumeric)")),
    (
        "no-empty-content",
        _cause(
            "",
            r"content.{0,60}(non-?empty|(be|is) (empty|blank)|min_length|at least 1 char)",
            r"empty (message )?content",
        ),
    ),
    (
        "plain-schemas",
        _cause(
            r"any_?of|\$ref|\$defs|schema|exclusive(min|max)imum|additional_?properties",
            r"invalid.{0,20}schema",
            r"function_?declarations",
            r"any_?of.{0,40}(only field|must be)",
        ),
    ),
    (
        "no-tools",
        _cause(
            r"\btools\b|\b(tool|function)s?( use| calling| choice)|role.{0,12}\btool\b",
            r"enable-auto-tool-choice",
            r"n[o']t? .{0,30}support (tool|function)",
        ),
    ),
    (
        "no-extras",
        _cause(r"reasoning|thinking|thought|extra_content|provider_specific", r"in the input messages"),
    ),
    ("no-stream", _cause(r"\bstream(ing)?\b")),
    (
        "no-system",
        _cause(
            r"system (role|message|prompt|instruction)|developer instruction|role.{0,12}system", *_ALTERNATE
        ),
    ),
    ("no-tools", _cause("", *_ALTERNATE)),
)
"""What refusals say, as patterns without case, in the order in which they are looked through."""

_OPPOSITES: Final[Mapping[ModelShape, ModelShape]] = {
    "max-tokens": "max-completion-tokens",
    "max-completion-tokens": "max-tokens",
}


def named_cause(refusal: str, body: Mapping[str, Any], shape: frozenset[ModelShape]) -> ModelShape | None:
    """The shape that a refusal asks for, if it is none that the request had already."""
    for wanted, pattern in CAUSES:
        if wanted not in shape and _makes_a_difference(wanted, body) and _says(pattern, refusal):
            return wanted
    return None


def _says(pattern: str, refusal: str) -> bool:
    return re.search(pattern, refusal, re.IGNORECASE | re.DOTALL) is not None


def with_shape(shape: frozenset[ModelShape], wanted: ModelShape) -> frozenset[ModelShape]:
    """A shape and one more change."""
    return (shape - {_OPPOSITES.get(wanted, wanted)}) | {wanted}


def _makes_a_difference(wanted: ModelShape, body: Mapping[str, Any]) -> bool:
    match wanted:
        case "max-tokens":
            return "max_completion_tokens" in body
        case "max-completion-tokens":
            return "max_tokens" in body
        case "no-temperature":
            return "temperature" in body
        case "no-tools" | "plain-schemas":
            return "tools" in body or any("tool_calls" in entry for entry in body["messages"])
        case "no-usage":
            return "stream_options" in body
        case "no-stream":
            return bool(body.get("stream"))
        case "no-system":
            return any(entry["role"] == "system" for entry in body["messages"])
        case "no-extras":
            return any(_without_extras(entry) != entry for entry in body["messages"])
        case _:
            return any("tool_calls" in entry for entry in body["messages"])


def shaped(body: Mapping[str, Any], shape: frozenset[ModelShape]) -> dict[str, Any]:
    """A request as an endpoint takes it, made of one in the usual shape. ``tools`` are JSON."""
    request = dict(body)
    if not shape:
        return request
    messages: list[ChatEntry] = request["messages"]
    if "no-tools" in shape:
        request.pop("tools", None)
        messages = _without_tools(messages)
    if "no-system" in shape:
        messages = _without_system(messages)
    if "short-ids" in shape:
        messages = [_with_short_ids(entry) for entry in messages]
    if "no-extras" in shape:
        messages = [_without_extras(entry) for entry in messages]
    if "no-empty-content" in shape:
        messages = [_without_empty_content(entry) for entry in messages]
    request["messages"] = messages
    if "plain-schemas" in shape and "tools" in request:
        request["tools"] = [_with_plain_schema(item) for item in msgspec.json.decode(request["tools"])]
    if "no-temperature" in shape:
        request.pop("temperature", None)
    if "no-usage" in shape:
        request.pop("stream_options", None)
    if "no-stream" in shape:
        request["stream"] = False
        request.pop("stream_options", None)
    for name, other, wanted in (
        (*_LIMITS, "max-completion-tokens"),
        (*_LIMITS[::-1], "max-tokens"),
    ):
        if wanted in shape and name in request:
            request[other] = request.pop(name)
    return request


def short_id(id_: str) -> str:
    """An id of nine letters and digits, the same one for the same id."""
    if _SHORT_ID.fullmatch(id_) is not None:
        return id_
    return hashlib.sha256(id_.encode("utf-8", "replace")).hexdigest()[:9]


def _with_short_ids(entry: ChatEntry) -> ChatEntry:
    if "tool_call_id" in entry:
        return {**entry, "tool_call_id": short_id(entry["tool_call_id"])}
    if "tool_calls" in entry:
        return {**entry, "tool_calls": [{**call, "id": short_id(call["id"])} for call in entry["tool_calls"]]}
    return entry


def _without_extras(entry: ChatEntry) -> ChatEntry:
    if "tool_calls" not in entry:
        return entry
    calls = []
    for call in entry["tool_calls"]:
        function = {name: call["function"][name] for name in ("name", "arguments")}
        calls.append({"id": call["id"], "type": "function", "function": function})
    return {"role": entry["role"], "content": entry["content"], "tool_calls": calls}


def _without_empty_content(entry: ChatEntry) -> ChatEntry:
    if str(entry.get("content") or "").strip():
        return entry
    if "tool_calls" in entry:
        return {name: value for name, value in entry.items() if name != "content"}
    return {**entry, "content": "(nothing)"}


def _without_system(messages: Sequence[ChatEntry]) -> list[ChatEntry]:
    system = [str(entry["content"]) for entry in messages if entry["role"] == "system"]
    others = [entry for entry in messages if entry["role"] != "system"]
    if not system or not others or others[0]["role"] != "user":
        return [{"role": "user", "content": "\n\n".join(system)}, *others] if system else others
    text = "\n\n".join([*system, str(others[0]["content"])])
    return [{**others[0], "content": text}, *others[1:]]


def _without_tools(messages: Sequence[ChatEntry]) -> list[ChatEntry]:
    """The same in words: results stand in brackets on the user's side, as all that happens does."""
    told: list[ChatEntry] = []
    for entry in messages:
        role, text = entry["role"], str(entry.get("content") or "")
        if role == "tool":
            role, text = "user", f"(A look-up found: {text})"
        if not text:
            continue
        if told and told[-1]["role"] == role:
            told[-1] = {"role": role, "content": f"{told[-1]['content']}\n{text}"}
        else:
            told.append({"role": role, "content": text})
    return told


def _with_plain_schema(item: ChatEntry) -> ChatEntry:
    function = dict(item["function"])
    parameters = _plain(function["parameters"])
    if parameters.get("properties"):
        function["parameters"] = parameters
    else:  # Gemini wants an object with something in it, or none
        del function["parameters"]
    return {**item, "function": function}


def _plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    if (branches := schema.get("anyOf")) is not None:
        # Nothing may stand beside it; a branch that is no type of its own is left out.
        kept = [_plain(item) for item in branches if item.get("type") != "null"]
        return kept[0] if len(kept) == 1 else {"anyOf": kept}
    plain = {name: value for name, value in schema.items() if name in _PLAIN}
    if "properties" in plain:
        plain["properties"] = {name: _plain(item) for name, item in plain["properties"].items()}
    if isinstance(plain.get("items"), Mapping):
        plain["items"] = _plain(plain["items"])
    return plain
