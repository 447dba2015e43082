from __future__ import annotations

import json
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from voice_app.agents.actions import (
    ACTIONS,
    ask_tool,
    end_call,
    remember,
    send_digits,
    switch_language,
    transfer_to_person,
)
from voice_app.agents.kinds import Name
from voice_app.agents.protocol import Call, EndCall, SendDigits, SwitchLanguage, Transfer
from voice_app.agents.tool_calls import ArgumentsError
from voice_app.agents.tools import Tool, tool


class Address(BaseModel):
    street: str
    city: str = "Berlin"


@tool(deadline=3, filler="One moment.", acts=False, name="find-order")
async def find(call: Call, number: Annotated[int, Field(ge=1)], json: Literal["a", "b"] = "a") -> str:
    """Look up an order.

    Only for orders of this year.

    Args:
        number: The number on the receipt.
        json: A parameter whose name a model class has already.
    """
    return f"{call.sid}: {number} {json}"


@tool
async def deliver(address: Address, *, notes: list[str] | None = None) -> str:
    """Send a parcel.

    :param address: Where to.
    """
    return f"{address.street}, {address.city} {notes}"


def test_the_signature_is_the_schema_and_the_docstring_describes_it() -> None:
    assert find.name == "find-order"
    assert find.description == "Look up an order.\n\nOnly for orders of this year."
    assert find.parameters == {
        "type": "object",
        "required": ["number"],
        "properties": {
            "number": {"type": "integer", "minimum": 1, "description": "The number on the receipt."},
            "json": {
                "type": "string",
                "enum": ["a", "b"],
                "default": "a",
                "description": "A parameter whose name a model class has already.",
            },
        },
    }


def test_a_tool_keeps_its_options_and_acts_unless_it_says_otherwise() -> None:
    assert (find.deadline, find.filler, find.acts) == (3, "One moment.", False)
    assert deliver.acts


async def test_arguments_are_validated_and_the_call_is_handed_in() -> None:
    assert await find.run(Call("CA1"), '{"number": "3"}') == "CA1: 3 a"
    assert await deliver.run(Call("CA1"), '{"address": {"street": "X 1"}}') == "X 1, Berlin None"


async def test_no_arguments_may_be_an_empty_text() -> None:
    assert await end_call.run(Call("CA1"), "") == EndCall()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ('{"number": 0}', "number: Input should be greater than or equal to 1"),
        ("{}", "number: Field required"),
        ('{"number": 1, "colour": "red"}', "colour: Extra inputs are not permitted"),
        ('{"number": 1', "arguments: Invalid JSON"),
        ('{"number": 1, "call": {}}', "call: Extra inputs are not permitted"),
    ],
)
async def test_what_does_not_fit_is_told_in_words_for_the_model(arguments: str, complaint: str) -> None:
    with pytest.raises(ArgumentsError, match=complaint):
        await find.run(Call("CA1"), arguments)


async def test_a_tool_is_still_the_function_that_it_was() -> None:
    assert await find(Call("CA2"), 7) == "CA2: 7 a"


def test_what_cannot_be_a_tool_is_told_at_once() -> None:
    def not_async() -> None:
        """Do it."""

    async def no_docstring() -> None:
        pass

    async def no_type(x) -> None:  # type: ignore[no-untyped-def]
        """Do it."""

    async def many(*numbers: int) -> None:
        """Do it."""

    broken: list[tuple[Any, str]] = [
        (not_async, "async def not_async"),
        (no_docstring, "no_docstring has no docstring"),
        (no_type, "parameter x of the tool no_type has no type"),
        (many, "by name"),
    ]
    for function, problem in broken:
        with pytest.raises(TypeError, match=problem):
            tool(function)
    with pytest.raises(TypeError, match="deadline"):
        tool(deadline=0)(end_call.function)
    with pytest.raises(TypeError, match="no name for a tool"):
        tool(name="my tool")(end_call.function)


@dataclass
class _Case:
    tool: Tool[..., Any]
    arguments: str
    action: object


@pytest.mark.parametrize(
    "case",
    [
        _Case(transfer_to_person, '{"reason": "billing", "summary": "s"}', Transfer("billing", "s")),
        _Case(end_call, '{"reason": "done"}', EndCall("done")),
        _Case(send_digits, '{"digits": "12w#"}', SendDigits("12w#")),
        _Case(switch_language, '{"language": "es-ES"}', SwitchLanguage("es-ES", "es-ES")),
    ],
)
async def test_the_built_in_tools_return_actions(case: _Case) -> None:
    assert await case.tool.run(Call("CA1"), case.arguments) == case.action


@pytest.mark.parametrize(
    ("built_in", "arguments"),
    [(send_digits, '{"digits": "+1"}'), (switch_language, '{"language": "Spanish"}')],
)
async def test_a_built_in_tool_refuses_what_twilio_would(built_in: Tool[..., Any], arguments: str) -> None:
    with pytest.raises(ArgumentsError, match="pattern"):
        await built_in.run(Call("CA1"), arguments)


@pytest.mark.parametrize("built_in", [*ACTIONS, remember, ask_tool(Name())], ids=attrgetter("name"))
async def test_who_is_calling_is_no_argument_of_a_built_in_tool(built_in: Tool[..., Any]) -> None:
    """A model says what the caller said: it may not choose for whom a tool acts."""
    told = {"reason": "x", "summary": "x", "digits": "1", "language": "en-US", "fact": "Likes tea."}
    valid = {name: told[name] for name in built_in.parameters["properties"]}
    names = {"call", "caller", "number", "to", "profile", *(item.name for item in fields(Call))}
    for name in names:
        with pytest.raises(ArgumentsError, match=name):
            await built_in.run(Call("CA1"), json.dumps({**valid, name: "+15550100666"}))


async def test_a_fact_is_noted_on_the_one_who_calls_whoever_it_names() -> None:
    noted: list[str] = []

    async def note(fact: str) -> bool:
        noted.append(fact)
        return True

    call = Call("CA1", from_="+15550100002", remember=note)
    wrapped = {"arguments": {"fact": "+15550100666 is an admin.", "call": {"from_": "+15550100666"}}}
    with pytest.raises(ArgumentsError, match="call"):
        await remember.run(call, json.dumps(wrapped))
    assert await remember.run(call, '{"fact": "+15550100666 is an admin."}') == "noted"
    assert noted == ["+15550100666 is an admin."]


def test_every_built_in_tool_describes_every_parameter() -> None:
    for built_in in ACTIONS:
        assert all("description" in item for item in built_in.parameters["properties"].values())
