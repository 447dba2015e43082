"""Tool calls as servers send them, and arguments as models write them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from voice_app.agents.failures import ModelError
from voice_app.agents.tool_calls import MAX_CALLS, ArgumentsError, ToolCallAssembly, read_arguments


def fragment(**fields: Any) -> dict[str, Any]:
    function = {name: fields.pop(name) for name in ("name", "arguments") if name in fields}
    return {**fields, "function": function}


def assembled(*fragments: dict[str, Any]) -> list[tuple[str, str, Any]]:
    assembly = ToolCallAssembly()
    for item in fragments:
        assembly.add(item)
    return [(call.id, call.name, json.loads(call.arguments or "{}")) for call in assembly.finished()]


@pytest.mark.parametrize(
    "fragments",
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
                fragment(index=1, id="a", name="one"),
                fragment(index=1, arguments='{"x":1}'),
                fragment(index=2, id="b", name="two"),
                fragment(index=2, arguments="{}"),
            ],
            id="an index that begins at 1 (LiteLLM, Bedrock)",
        ),
        pytest.param(
            [
                fragment(index=0, id="a", name="one", arguments='{"x"'),
                fragment(index=1, id="a", arguments=":1}"),
                fragment(index=2, id="b", name="two", arguments="{}"),
            ],
            id="one id at several indexes",
        ),
        pytest.param(
            [
                fragment(index=0, id="a", name="one", arguments=""),
                fragment(index=0, id="z1", arguments='{"x"'),
                fragment(index=0, id="z2", arguments=":1}"),
                fragment(index=1, id="b", name="two", arguments=""),
                fragment(index=1, id="z3", arguments="{}"),
            ],
            id="a new id in every delta",
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
                fragment(index=0, id="a", name="one", arguments='{"x":1}'),
                fragment(index=0, id="b", name="two", arguments="{}"),
            ],
            id="whole calls under one index",
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
                fragment(index=0, id="a", name="one", arguments='{"x"'),
                fragment(index=3, arguments=":1}"),
                fragment(index=4, id="b", name="two"),
            ],
            id="an index that counts fragments",
        ),
        pytest.param(
            [
                fragment(index=0, id="a"),
                fragment(index=0, name="one"),
                fragment(index=0, arguments='{"x":1}'),
                fragment(index=1, id="b", name="two"),
            ],
            id="the id first, then the name",
        ),
        pytest.param(
            [
                fragment(index=0, id="a", name="one", arguments={"x": 1}),
                fragment(index=1, id="b", name="two", arguments={}),
            ],
            id="arguments as objects",
        ),
        pytest.param(
            [
                fragment(index="0", id="a", name="one", arguments=None),
                fragment(index="0", id="", name=None, arguments='{"x":1}'),
                fragment(index="1", id="b", name="two", arguments="{}"),
            ],
            id="an index in words, empty and null fields",
        ),
    ],
)
def test_tool_calls_are_assembled(fragments: list[dict[str, Any]]) -> None:
    assert assembled(*fragments) == [("a", "one", {"x": 1}), ("b", "two", {})]


def test_the_same_id_twice_is_one_call() -> None:
    call = fragment(index=0, id="a", name="one", arguments="")
    assert assembled(call, {**call, "index": 1}) == [("a", "one", {})]


def test_calls_without_an_id_get_one_that_every_server_takes() -> None:
    found = assembled(
        fragment(index=0, name="one", arguments='{"x":1}'), fragment(index=0, name="two", arguments="{}")
    )
    assert [name for _, name, _ in found] == ["one", "two"]
    assert len({id_ for id_, *_ in found}) == 2
    assert all(len(id_) == 9 and id_.isalnum() for id_, *_ in found)


def test_a_name_that_is_repeated_while_the_arguments_arrive_begins_no_call() -> None:
    found = assembled(
        fragment(index=0, name="one", arguments='{"x"'), fragment(index=0, name="one", arguments=":1}")
    )
    assert [(name, arguments) for _, name, arguments in found] == [("one", {"x": 1})]


@pytest.mark.parametrize("junk", [{}, {"function": None}, {"function": []}, fragment(arguments=" ")])
def test_a_fragment_of_nothing_is_no_call(junk: dict[str, Any]) -> None:
    assert assembled(junk) == []


def test_unknown_fields_are_kept_as_they_came() -> None:
    assembly = ToolCallAssembly()
    assembly.add({**fragment(id="a", name="one"), "extra_content": {"google": {"thought_signature": "s"}}})
    assembly.add({"index": 0, "id": "a", "function": {"arguments": "{}", "sig": "x"}, "signature": None})
    (call,) = assembly.finished()
    assert call.extras.merged() == {"extra_content": {"google": {"thought_signature": "s"}}}
    assert call.function_extras.merged() == {"sig": "x"}


def test_a_character_in_two_fragments_is_whole() -> None:
    assert assembled(
        fragment(index=0, id="a", name="one", arguments='{"x":"\ud83d'),
        fragment(index=0, arguments='\ude00\udfff"}'),
    ) == [("a", "one", {"x": "😀"})]


def test_halves_that_are_escaped_are_repaired_in_arguments() -> None:
    assert read_arguments('{"x": ["\\ud83d\\ude00 \\ud83d", 1], "\\udfff": 2}') == {"x": ["😀 ", 1], "": 2}


def test_calls_without_an_end_are_an_error() -> None:
    with pytest.raises(ModelError, match="without an end"):
        assembled(*(fragment(id=str(number), name="one") for number in range(MAX_CALLS + 1)))
    with pytest.raises(ModelError, match="without an end"):
        assembled(*(fragment(id="a", name="one", arguments="x" * 100_000) for _ in range(3)))


@pytest.mark.parametrize(
    "text",
    [
        '{"x": 1}',
        ' {"x": 1}\n',
        '"{\\"x\\": 1}"',
        '"\\"{\\\\\\"x\\\\\\": 1}\\""',
        '```json\n{"x": 1}\n```',
        '```\n{"x": 1}```',
        '[{"x": 1}]',
        '{}{"x": 1}',
        '{"x": 1}{"x": 1}',
        '{"x": 1}\n{}',
        "{'x': 1}",
        '{"x": 1,}',
    ],
)
def test_arguments_with_one_reading_are_read(text: str) -> None:
    assert read_arguments(text) == {"x": 1}


@pytest.mark.parametrize("text", ["", " ", "null", "None", "{}", '"{}"', "{}{}", '""', '"null"', "undefined"])
def test_no_arguments_have_many_spellings(text: str) -> None:
    assert read_arguments(text) == {}


@pytest.mark.parametrize(
    "text",
    ['{"x": 1', '{"x": 1}{"x": 2}', "[1, 2]", "5", "true", "nonsense", '"text"', "[" * 100_000, "(1,)"],
)
def test_arguments_with_no_reading_or_several_are_refused(text: str) -> None:
    with pytest.raises(ArgumentsError, match="Invalid JSON"):
        read_arguments(text)
