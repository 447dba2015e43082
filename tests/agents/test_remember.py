"""The tool with which a model notes something about the caller."""

from __future__ import annotations

import json

import pytest

from voice_app.agents.actions import ACTIONS, remember
from voice_app.agents.protocol import Call
from voice_app.agents.tool_calls import ArgumentsError

FACT = "Prefers to be called in the afternoon."


class Notebook:
    """Takes facts in, or does not."""

    def __init__(self, works: bool = True) -> None:
        self.facts: list[str] = []
        self._works = works

    async def note(self, fact: str) -> bool:
        self.facts.append(fact)
        return self._works


async def test_a_fact_is_noted() -> None:
    notebook = Notebook()
    assert await remember.run(Call("CA1", remember=notebook.note), json.dumps({"fact": FACT})) == "noted"
    assert notebook.facts == [FACT]


async def test_the_model_is_told_when_it_was_not() -> None:
    told = await remember.run(Call("CA1", remember=Notebook(works=False).note), json.dumps({"fact": FACT}))
    assert told.startswith("it could not be noted")


async def test_where_there_is_nothing_to_write_to_the_call_goes_on() -> None:
    assert (await remember.run(Call("CA1"), json.dumps({"fact": FACT}))).startswith("nothing can be noted")


@pytest.mark.parametrize("fact", ["", "x", "x" * 501])
async def test_a_fact_is_a_sentence(fact: str) -> None:
    with pytest.raises(ArgumentsError, match="characters"):
        await remember.run(Call("CA1"), json.dumps({"fact": fact}))


def test_it_describes_its_parameter_and_is_no_action_that_every_agent_has() -> None:
    assert "description" in remember.parameters["properties"]["fact"]
    assert set(remember.parameters["properties"]) == {"fact"}
    assert remember not in ACTIONS
