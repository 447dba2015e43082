"""JSON Schemas of tools' parameters in the form that all model servers read.

Reference: JSON Schema 2020-12, as pydantic writes it, and the "function calling" pages of OpenAI, Gemini
and Mistral. References are resolved in place, ``X | None`` becomes an ``X`` that may be left out (some
servers refuse the type ``null``), nothing stands beside ``anyOf``, and there are no titles: every word is
paid for in every turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

_DROPPED: Final = frozenset({"$defs", "additionalProperties", "discriminator"})
"""Of no help to a model: what it sends is validated anyhow. ``additionalProperties`` stays in a mapping."""


class _Generator(GenerateJsonSchema):
    ignored_warning_kinds: set[JsonSchemaWarningKind] = {  # noqa: RUF012 - as the base class has it
        "skipped-choice",
        "non-serializable-default",
    }

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def schema_of(arguments: type[BaseModel]) -> dict[str, Any]:
    """The schema of a tool's arguments. Raises pydantic's `PydanticUserError` where there is none."""
    schema = arguments.model_json_schema(schema_generator=_Generator)
    simple = _simple(schema, schema.get("$defs", {}), ())
    return {"type": "object", "properties": {}, **simple}


def _simple(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], within: Sequence[str]
) -> dict[str, Any]:
    """A schema without references. ``within`` are the definitions that it stands in."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        if name in within:  # a tree: its branches are described once, deeper ones are any object
            return {"type": definitions[name].get("type", "object"), **beside}
        return {**_simple(definitions[name], definitions, (*within, name)), **beside}
    simple: dict[str, Any] = {}
    for key, value in schema.items():
        match key:
            case "title" if isinstance(value, str):
                continue
            case "properties":
                simple[key] = {name: _simple(item, definitions, within) for name, item in value.items()}
            case "items":
                simple[key] = _simple(value, definitions, within) if isinstance(value, Mapping) else value
            case "additionalProperties" if isinstance(value, Mapping):
                simple[key] = _simple(value, definitions, within)
            case "anyOf" | "oneOf":
                simple["anyOf"] = [_simple(item, definitions, within) for item in value]
            case "prefixItems":
                simple[key] = [_simple(item, definitions, within) for item in value]
            case "const":
                simple["enum"] = [value]
            case _ if key not in _DROPPED:
                simple[key] = value
    if "properties" in schema and "required" in schema:
        optional = {name for name, item in schema["properties"].items() if _may_be_null(item)}
        simple["required"] = [name for name in schema["required"] if name not in optional]
        if not simple["required"]:
            del simple["required"]
    return _without_siblings(simple)


def _may_be_null(schema: Mapping[str, Any]) -> bool:
    return any(item.get("type") == "null" for item in schema.get("anyOf", ()))


def _without_siblings(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema in which ``anyOf`` stands alone, and not at all where one type may be left out."""
    branches = schema.pop("anyOf", None)
    if branches is None:
        return schema
    if schema.get("default", ...) is None:
        del schema["default"]
    branches = [item for item in branches if item.get("type") != "null"] or branches
    if len(branches) == 1:
        return {**branches[0], **schema}
    first = {**branches[0]}
    if "description" in schema:
        first["description"] = schema["description"]
    if "default" in schema:  # it is told in words: beside `anyOf` it would be refused
        first["description"] = f"{first.get('description', '')} Default: {schema['default']!r}.".strip()
    return {"anyOf": [first, *branches[1:]]}
