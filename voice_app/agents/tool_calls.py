"""The tool calls in a model's answer: put together from fragments, and their arguments read.

Reference: ``choices[].delta.tool_calls`` of the Chat Completions API. An ``index`` is a label and no
position: some servers begin at 1, give every call the same one, or one call several.
"""

from __future__ import annotations

import ast
import json
import re
import secrets
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from voice_app.agents.failures import ModelError
from voice_app.agents.text import cleaned, cleaned_json

MAX_CALLS: Final = 64
"""Of one answer."""
MAX_ARGUMENTS: Final = 1 << 18
"""Characters of the arguments of one call."""
_MAX_WRAPPINGS: Final = 4
_ID_LETTERS: Final = string.ascii_letters + string.digits
_KNOWN: Final = frozenset({"id", "index", "type", "function"})
_KNOWN_OF_FUNCTION: Final = frozenset({"name", "arguments"})
_FENCE: Final = re.compile(r"\s*```(?:json)?\s*(.*?)\s*```\s*", re.DOTALL | re.IGNORECASE)


class ArgumentsError(Exception):
    """The model called a tool with arguments that do not fit. The text is meant for the model."""


class Extras:
    """Fields that we do not know, gathered from fragments, to be sent back as they came."""

    __slots__ = ("_fields",)

    def __init__(self) -> None:
        self._fields: dict[str, list[Any]] = {}

    def add(self, name: str, value: Any) -> bool:
        """Take in a field of a fragment. Returns whether there is anything in it."""
        if value is None or value in ("", [], {}):
            return False
        self._fields.setdefault(name, []).append(value)
        return True

    def merged(self) -> dict[str, Any]:
        """The fields as if they had come at once: texts and lists joined, of other values the last one."""
        return {name: _merged(values) for name, values in self._fields.items()}


def _merged(values: list[Any]) -> Any:
    if all(isinstance(value, str) for value in values):
        return "".join(values)
    if all(isinstance(value, list) for value in values):
        return [item for value in values for item in value]
    if all(isinstance(value, dict) for value in values):
        return {name: item for value in values for name, item in value.items()}
    return values[-1]


@dataclass(slots=True)
class ToolRequest:
    """A tool that the model wants called."""

    id: str
    name: str = ""
    arguments: str = ""
    """JSON, as the model wrote it."""
    extras: Extras = field(default_factory=Extras, repr=False)
    """Further fields of the call, e.g. a signature of the thought behind it."""
    function_extras: Extras = field(default_factory=Extras, repr=False)


class ToolCallAssembly:
    """The tool calls of one answer while they arrive."""

    def __init__(self) -> None:
        self.calls: list[ToolRequest] = []
        self._by_id: dict[str, ToolRequest] = {}
        self._by_index: dict[Any, ToolRequest] = {}

    def add(self, fragment: Mapping[str, Any]) -> None:
        """Add a fragment to the call that it belongs to. Raises `ModelError` for endless ones."""
        function = fragment.get("function")
        if not isinstance(function, dict):
            function = {}
        id_, name, index = _text(fragment.get("id")), _text(function.get("name")), fragment.get("index")
        if not isinstance(index, int | str):
            index = None
        arguments = function.get("arguments")
        call = self._find(id_, index, name) or self._begin(id_, name)
        if id_:
            self._by_id[id_] = call
        if index is not None:
            self._by_index[index] = call
        call.name = call.name or name
        if arguments is not None:
            call.arguments += arguments if isinstance(arguments, str) else json.dumps(arguments)
        if len(self.calls) > MAX_CALLS or len(call.arguments) > MAX_ARGUMENTS:
            raise ModelError("broken", f"the model calls tools without an end: {call.name[:64]}")
        for key in fragment.keys() - _KNOWN:
            call.extras.add(key, fragment[key])
        for key in function.keys() - _KNOWN_OF_FUNCTION:
            call.function_extras.add(key, function[key])

    def _find(self, id_: str, index: Any, name: str) -> ToolRequest | None:
        """The call that a fragment continues."""
        if id_ in self._by_id:
            return self._by_id[id_]
        current = self.calls[-1] if index is None and self.calls else self._by_index.get(index)
        if not name:
            # An index that nobody has begun is a server's way of counting fragments.
            return current or (self.calls[-1] if self.calls and not id_ else None)
        if current is None or (id_ and current.name):
            return None
        repeats_its_name = current.name == name and current.arguments and not _is_whole(current.arguments)
        return current if not current.name or repeats_its_name else None

    def _begin(self, id_: str, name: str) -> ToolRequest:
        call = ToolRequest(id_ or new_id(), name)
        self.calls.append(call)
        return call

    def finished(self) -> list[ToolRequest]:
        """The calls, without those that never got a name nor arguments."""
        for call in self.calls:  # a character may have come in two fragments
            call.id, call.name, call.arguments = map(cleaned, (call.id, call.name, call.arguments))
        return [call for call in self.calls if call.name or call.arguments.strip()]


def new_id() -> str:
    """An id of the kind that every server takes: nine letters and digits."""
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(9))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def _is_whole(arguments: str) -> bool:
    try:
        json.loads(arguments)
    except (ValueError, RecursionError):
        return False
    return True


def read_arguments(text: str) -> dict[str, Any]:
    """The arguments of a call, where there is one way to read them. Raises `ArgumentsError`.

    Read as well are: nothing at all, ``null``, JSON within a JSON string or a Markdown fence, a list of
    one object, the same object twice, an empty object before the real one, and a Python literal.
    """
    try:
        return _read(text)
    except RecursionError:
        raise ArgumentsError("arguments: nested too deeply") from None


def _read(text: str) -> dict[str, Any]:
    value: Any = text
    for _ in range(_MAX_WRAPPINGS):
        if isinstance(value, str):
            value = _decoded(value)
        elif isinstance(value, list) and len(value) == 1:
            value = value[0]
        elif isinstance(value, dict):
            break
        elif value is None:
            return {}
        else:
            break
    if isinstance(value, dict):
        found: dict[str, Any] = cleaned_json(value)
        return found
    raise ArgumentsError("arguments: Invalid JSON: write one JSON object with the names of the parameters")


def _decoded(text: str) -> Any:
    if (fence := _FENCE.fullmatch(text)) is not None:
        text = fence[1]
    if text.strip() in ("", "null", "None", "undefined"):
        return None
    try:
        values = [value for value in _values(text) if value not in ({}, None)]
    except (ValueError, RecursionError) as error:
        literal = _python_literal(text)
        if literal is None:
            raise ArgumentsError(f"arguments: Invalid JSON: {error}") from None
        return literal
    if not values:
        return {}
    if any(value != values[0] for value in values):
        raise ArgumentsError("arguments: Invalid JSON: more than one object; call the tool once for each")
    return values[0]


def _values(text: str) -> Iterator[Any]:
    """JSON values that stand one after the other."""
    decoder, at, text = json.JSONDecoder(strict=False), 0, text.strip()
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        yield value
        while at < len(text) and text[at].isspace():
            at += 1


def _python_literal(text: str) -> dict[str, Any] | None:
    """What a model wrote as Python instead of JSON: single quotes, a comma at the end."""
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None
    return value if isinstance(value, dict) and all(isinstance(key, str) for key in value) else None
