"""Schemas that every model server reads, and functions that can or cannot be tools."""

from __future__ import annotations

import functools
import json
import typing
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import BaseModel, Field

from voice_app.agents.protocol import Call
from voice_app.agents.schemas import schema_of
from voice_app.agents.tool_calls import ArgumentsError
from voice_app.agents.tools import Tool, tool


class Place(BaseModel):
    street: str
    city: str = "Berlin"


class Tree(BaseModel):
    name: str
    branches: list[Tree] = []


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str]


def parameters(hint: Any, default: Any = ...) -> dict[str, Any]:
    """The schema of one parameter."""

    async def use(x: Any) -> None:
        """Use it."""

    use.__annotations__["x"] = hint
    if default is not ...:
        use.__defaults__ = (default,)
    schema = tool(use).parameters
    return {"required": "x" in schema.get("required", ()), **schema["properties"]["x"]}


PLACE = {
    "type": "object",
    "properties": {"street": {"type": "string"}, "city": {"type": "string", "default": "Berlin"}},
    "required": ["street"],
}


@pytest.mark.parametrize(
    ("hint", "default", "schema"),
    [
        (str, ..., {"required": True, "type": "string"}),
        (int, 3, {"required": False, "type": "integer", "default": 3}),
        (int | None, None, {"required": False, "type": "integer"}),
        (Optional[str], None, {"required": False, "type": "string"}),  # noqa: UP045 - it is the case
        (Literal["a", "b"] | None, None, {"required": False, "type": "string", "enum": ["a", "b"]}),
        (Literal["a"], ..., {"required": True, "type": "string", "enum": ["a"]}),
        (date | None, None, {"required": False, "type": "string", "format": "date"}),
        (int | str, ..., {"required": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
        (
            Annotated[int | str, Field(description="A number.")],
            ...,
            {
                "required": True,
                "anyOf": [{"type": "integer", "description": "A number."}, {"type": "string"}],
            },
        ),
        (int | None, ..., {"required": False, "type": "integer"}),
        (list[int | None], ..., {"required": True, "type": "array", "items": {"type": "integer"}}),
        (int | None, 3, {"required": False, "type": "integer", "default": 3}),
        (int | str | None, ..., {"required": False, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
        (int | str | None, None, {"required": False, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
        (Place, ..., {**PLACE, "required": True}),
        (Place | None, None, {**PLACE, "required": False}),
        (
            dict[str, int],
            ...,
            {"required": True, "type": "object", "additionalProperties": {"type": "integer"}},
        ),
        (list[int], ..., {"required": True, "type": "array", "items": {"type": "integer"}}),
    ],
)
def test_a_parameter_is_described_in_the_form_that_all_servers_read(
    hint: Any, default: Any, schema: dict[str, Any]
) -> None:
    found = parameters(hint, default)
    if hint is Place or (default is None and "properties" in found):
        found = {**found, "required": schema["required"]}
    assert found == schema


def words(value: Any) -> typing.Iterator[str]:
    """The keywords of a schema, everywhere in it."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from words(list(item.values()) if key == "properties" else item)
    elif isinstance(value, list):
        for item in value:
            yield from words(item)


def test_nothing_refers_and_nothing_stands_beside_any_of() -> None:
    class Arguments(BaseModel):
        places: list[Place | None]
        tree: Tree
        pet: Annotated[Cat | Dog, Field(discriminator="kind")]
        home: Place | None = None
        point: tuple[int, int] = (0, 0)

    schema = schema_of(Arguments)
    assert not {"$ref", "$defs", "title", "const", "discriminator", "oneOf"} & set(words(schema))

    def any_of_is_alone(value: Any) -> bool:
        if isinstance(value, dict):
            return (len(value) == 1 or "anyOf" not in value) and all(map(any_of_is_alone, value.values()))
        return not isinstance(value, list) or all(map(any_of_is_alone, value))

    assert any_of_is_alone(schema)
    assert schema["properties"]["tree"]["properties"]["branches"]["items"]["type"] == "object"


async def use_a_callable(x: Callable[[], int]) -> None:
    """Use it."""


async def use_a_connection(x: object, y: Call) -> None:
    """Use it."""


class Opaque:
    """No JSON stands for it."""


async def use_an_opaque(x: Opaque) -> None:
    """Use it."""


async def use_two_calls(call: Call, other: Call | None = None) -> None:
    """Use it."""


async def use_what_is_nowhere(x: "Nowhere") -> None:  # type: ignore[name-defined] # noqa: F821, UP037
    """Use it."""


class NoFunction:
    """It has no async call."""

    def __call__(self) -> None:
        """Use it."""


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (use_a_callable, "no JSON stands for"),
        (use_an_opaque, "no JSON stands for"),
        (functools.partial(use_an_opaque), "no JSON stands for"),
        (use_two_calls, "takes the call twice"),
        (use_what_is_nowhere, "cannot be found"),
        (NoFunction(), "must be an async function"),
        (NoFunction, "must be an async function"),
        (len, "must be an async function"),
        (lambda: None, "must be an async function"),
    ],
)
def test_what_cannot_be_a_tool_is_a_type_error(function: Any, problem: str) -> None:
    with pytest.raises(TypeError, match=problem):
        tool(function)


@tool
async def optional_call(number: int, call: Optional[Call] = None) -> str:  # noqa: UP045 - it is the case
    """Use it."""
    return f"{call and call.sid} {number}"


@tool
async def union_call(call: Call | None, number: int) -> str:
    """Use it."""
    return f"{call and call.sid} {number}"


@tool
async def annotated_call(call: Annotated[Call, "the call"], number: int) -> str:
    """Use it."""
    return f"{call.sid} {number}"


@pytest.mark.parametrize("made", [optional_call, union_call, annotated_call])
async def test_the_call_is_handed_in_however_it_is_annotated(made: Tool[..., str]) -> None:
    assert set(made.parameters["properties"]) == {"number"}
    assert await made.run(Call("CA1"), '{"number": 1}') == "CA1 1"


async def test_what_a_partial_has_been_given_is_not_the_models_to_say() -> None:
    async def look(store: object, number: int, kind: str = "order") -> str:
        """Look it up."""
        return f"{store} {number} {kind}"

    made = tool(functools.partial(look, store="S"))
    assert (made.name, made.description) == ("look", "Look it up.")
    assert set(made.parameters["properties"]) == {"number", "kind"}
    assert await made.run(Call("CA1"), '{"number": 1}') == "S 1 order"


async def test_a_default_that_is_no_json_is_not_told() -> None:
    async def look(number: int, kind: int | None = None, when: date = date(2026, 1, 2)) -> str:
        """Look it up."""
        return f"{number} {kind} {when}"

    made = tool(look)
    assert made.parameters["required"] == ["number"]
    assert await made.run(Call("CA1"), '{"number": 1}') == "1 None 2026-01-02"


class Parcel(BaseModel):
    weight: int
    note: str | None


@tool
async def send(number: int | None, parcel: Parcel, label: str | None) -> str:
    """Send it."""
    return f"{number} {parcel.weight} {parcel.note} {label}"


async def test_what_may_be_null_may_be_left_out() -> None:
    assert send.parameters["required"] == ["parcel"]
    assert send.parameters["properties"]["parcel"]["required"] == ["weight"]
    assert "null" not in json.dumps(send.parameters)
    assert await send.run(Call("CA1"), '{"parcel": {"weight": 3}}') == "None 3 None None"
    nulls = '{"number": null, "parcel": {"weight": 3}, "label": "x"}'
    assert await send.run(Call("CA1"), nulls) == "None 3 None x"
    with pytest.raises(ArgumentsError, match=r"parcel\.weight: Field required"):
        await send.run(Call("CA1"), '{"parcel": {}}')


@tool
async def deliver(number: int, size: int = 1, place: Place | None = None, tags: list[str] = ["new"]) -> str:  # noqa: B006
    """Deliver it."""
    return f"{number} {size} {place and place.city} {','.join(tags)}"


@pytest.mark.parametrize(
    ("arguments", "result"),
    [
        ('{"number": 1, "size": null}', "1 1 None new"),
        ('{"number": 1, "size": null, "place": null, "tags": null}', "1 1 None new"),
        ('"{\\"number\\": 1}"', "1 1 None new"),
        ('{"number": 1, "place": "{\\"street\\": \\"A 1\\"}"}', "1 1 Berlin new"),
        ('{"number": 1, "tags": "[\\"a\\", \\"b\\"]"}', "1 1 None a,b"),
        ('{"arguments": {"number": 1}}', "1 1 None new"),
        ('{"parameters": {"number": "1"}}', "1 1 None new"),
    ],
)
async def test_arguments_with_one_reading_are_repaired(arguments: str, result: str) -> None:
    assert await deliver.run(Call("CA1"), arguments) == result


@pytest.mark.parametrize(
    "arguments", ['{"number": null}', "null", '{"number": 1, "place": "{}"}', '{"number": 1, "colour": null}']
)
async def test_arguments_without_a_reading_are_the_models_to_mend(arguments: str) -> None:
    with pytest.raises(ArgumentsError):
        await deliver.run(Call("CA1"), arguments)
