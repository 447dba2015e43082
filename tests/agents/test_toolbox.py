from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
from typing import Any

import pytest

from voice_app.agents.protocol import Call, Transfer
from voice_app.agents.tool_calls import ToolRequest
from voice_app.agents.toolbox import CANCELLED, MAX_OUTCOME, ToolBox, ToolRun
from voice_app.agents.tools import tool


class World:
    """What the tools of a test act on."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.begun = asyncio.Event()
        self.done: list[str] = []
        self.late: list[ToolRun] = []

        @tool(deadline=30)
        async def act() -> str:
            """Change the world."""
            return await self._wait("acted")

        @tool(deadline=0.02, filler="One moment.")
        async def act_slowly() -> str:
            """Change the world, slowly."""
            return await self._wait("acted late")

        @tool(deadline=30, acts=False, filler="Let me see.")
        async def look() -> str:
            """Look at the world."""
            return await self._wait("looked")

        @tool
        async def fail() -> str:
            """Fail."""
            raise ValueError("no such order")

        @tool
        async def hand_over() -> Transfer:
            """Hand over."""
            return Transfer("billing")

        @tool
        async def tell() -> dict[str, list[int]]:
            """Tell something."""
            return {"orders": [1, 2]}

        tools = (act, act_slowly, look, fail, hand_over, tell)
        self.box = ToolBox(tools, late=lambda call, run: self.late.append(run))

    async def _wait(self, what: str) -> str:
        self.begun.set()
        await self.go.wait()
        self.done.append(what)
        return what

    def start(self, *names: str) -> list[ToolRun]:
        runs = [ToolRun(f"call_{index}", name, "{}") for index, name in enumerate(names)]
        for run in runs:
            self.box.start(Call("CA1"), run)
        return runs

    async def idle(self) -> None:
        """Until no tool is running any more."""
        while self.box._tasks:
            await asyncio.wait(self.box._tasks)


@pytest.fixture
async def world() -> World:
    return World()


async def test_tools_run_together_and_each_tells_its_outcome(world: World) -> None:
    runs = world.start("act", "look", "fail", "hand_over", "tell", "dance")
    world.go.set()
    assert await world.box.settle(runs)
    assert [run.outcome for run in runs] == [
        "acted",
        "looked",
        "error: ValueError: no such order",
        "done",
        '{"orders":[1,2]}',
        "error: there is no tool dance; the tools are: act, act_slowly, look, fail, hand_over, tell",
    ]
    assert runs[3].action == Transfer("billing")
    assert world.late == []


async def test_arguments_that_do_not_fit_are_told_to_the_model(world: World) -> None:
    run = ToolRun("call_1", "tell", '{"x": 1}')
    world.box.start(Call("CA1"), run)
    await world.box.settle([run])
    assert run.outcome == "error: x: Extra inputs are not permitted"


async def test_a_barge_in_cancels_what_reads_and_spares_what_acts(world: World) -> None:
    acting, looking = world.start("act", "look")
    await world.begun.wait()
    world.box.leave([acting, looking])
    world.go.set()
    await world.idle()
    assert world.done == ["acted"]
    assert (acting.outcome, looking.outcome) == ("acted", CANCELLED)
    assert world.late == [acting]


async def test_whoever_waits_may_be_cancelled_and_the_tool_goes_on(world: World) -> None:
    runs = world.start("act")
    waiting = asyncio.create_task(world.box.settle(runs))
    await world.begun.wait()
    waiting.cancel()
    await asyncio.wait([waiting])
    world.go.set()
    assert await world.box.settle(runs)
    assert runs[0].outcome == "acted"


async def test_past_its_deadline_a_tool_is_unknown_and_its_result_is_not_lost(world: World) -> None:
    (run,) = world.start("act_slowly")
    assert await world.box.settle([run])
    assert run.outcome is not None
    assert run.outcome.startswith("unknown: no result within 0.02 seconds")
    assert "failed" not in run.outcome
    world.go.set()
    await world.idle()
    assert run.outcome == "finished after its deadline: acted late"
    assert world.late == [run]


async def test_waiting_can_be_given_up_to_say_something(world: World) -> None:
    runs = world.start("act", "look")
    assert not await world.box.settle(runs, within=0.01)
    assert world.box.filler(runs) == "Let me see."
    world.go.set()
    assert await world.box.settle(runs, within=30)
    assert world.box.filler(runs) == ""


async def test_a_running_tool_is_not_collected(world: World) -> None:
    world.start("act")
    await world.begun.wait()
    gc.collect()
    world.go.set()
    await world.idle()
    assert world.done == ["acted"]


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    "result", [b"\xff", CIRCLE, {"a": CIRCLE}, "half \ud83d", ["half \ud83d"], {"\udfff": 1}]
)
async def test_a_result_that_is_no_json_is_told_at_once(result: Any) -> None:
    @tool
    async def look() -> Any:
        """Look."""
        return result

    box, run = ToolBox([look]), ToolRun("a", "look", "{}")
    box.start(Call("CA1"), run)
    assert await box.settle([run], within=5)
    assert run.outcome is not None
    assert run.outcome.startswith("error: it ran, but its result")


async def test_a_result_without_a_measure_is_cut() -> None:
    @tool
    async def look() -> str:
        """Look."""
        return "x" * (MAX_OUTCOME + 1)

    box, run = ToolBox([look]), ToolRun("a", "look", "{}")
    box.start(Call("CA1"), run)
    await box.settle([run])
    assert run.outcome is not None
    assert len(run.outcome) < MAX_OUTCOME + 100
    assert run.outcome.endswith("is left out)")


async def test_an_empty_text_is_a_result() -> None:
    @tool
    async def look() -> str:
        """Look."""
        return ""

    box, run = ToolBox([look]), ToolRun("a", "look", "{}")
    box.start(Call("CA1"), run)
    await box.settle([run])
    assert (run.outcome, run.running) == ("", False)


@pytest.mark.parametrize(
    "error",
    [SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit(), ValueError("\x00")],
)
async def test_whatever_a_tool_raises_is_its_own_failure(error: BaseException) -> None:
    @tool
    async def fail() -> None:
        """Fail."""
        raise error

    box, run = ToolBox([fail]), ToolRun("a", "fail", "{}")
    box.start(Call("CA1"), run)
    assert await box.settle([run], within=5)
    assert run.outcome is not None
    assert run.outcome.startswith(f"error: {type(error).__name__}")
    assert "\x00" not in run.outcome


def test_equal_calls_of_an_acting_tool_are_one_run(world: World) -> None:
    requests = [
        ToolRequest("a", "act", '{"x": 1, "y": 2}'),
        ToolRequest("b", "act", '{"y":2,"x":1}'),
        ToolRequest("c", "act", '{"x": 2}'),
        ToolRequest("d", "look", "{}"),
        ToolRequest("e", "look", "null"),
    ]
    assert [run.ids for run in world.box.runs(requests)] == [("a", "b"), ("c",), ("d",), ("e",)]


def test_two_tools_of_one_name_are_refused() -> None:
    @tool
    async def twice() -> None:
        """Do it."""

    with pytest.raises(ValueError, match="two tools are called twice"):
        ToolBox([twice, twice])


async def test_the_definitions_are_what_a_request_needs(world: World) -> None:
    first = json.loads(bytes(world.box.definitions))[0]
    assert first == {
        "type": "function",
        "function": {
            "name": "act",
            "description": "Change the world.",
            "parameters": {"type": "object", "properties": {}},
        },
    }


ENDLESS = """
import asyncio
from voice_app.agents.protocol import Call
from voice_app.agents.toolbox import ToolBox, ToolRun
from voice_app.agents.tools import tool

@tool(deadline=0.01)
async def forever() -> None:
    "Never return."
    await asyncio.Event().wait()

async def main():
    box = ToolBox([forever])
    run = ToolRun("1", "forever", "{}")
    box.start(Call("CA1"), run)
    await box.settle([run])
    print(run.outcome[:7])

asyncio.run(main())
"""


def test_a_tool_that_never_ends_does_not_keep_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", ENDLESS], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr, done.returncode) == ("unknown\n", "", 0)
