"""Tools leave a trace in the journal, and a call that another machine takes over knows what they did."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import pytest

from voice_app.agents import messages
from voice_app.agents.protocol import Call, Message, Turn
from voice_app.agents.toolbox import CANCELLED, LONGEST, ToolBox, ToolRun
from voice_app.agents.tools import tool
from voice_app.calls import CallState
from voice_app.journal import Entry
from voice_app.journal.events import Event, Prompted, Replied, ToolCalled, ToolReturned


@dataclass
class Written:
    """A log that keeps what is written, and the moments at which it was settled."""

    events: list[Event] = field(default_factory=list)
    settled: list[int] = field(default_factory=list)

    def write(self, event: Event) -> None:
        self.events.append(event)

    async def settle(self) -> None:
        self.settled.append(len(self.events))

    def entries(self) -> list[Entry]:
        return [
            Entry(f"{number:04}", float(number), "CA1", event) for number, event in enumerate(self.events)
        ]


@tool
async def refund(order: int) -> str:
    """Pay an order back."""
    return f"refunded order {order}"


@tool(acts=False)
async def look(order: int) -> str:
    """Look an order up."""
    return f"order {order} is on its way"


@tool
async def hang() -> str:
    """Never come back."""
    await asyncio.Event().wait()
    return ""


@tool
async def identify(pin: str) -> str:
    """Check the caller's PIN."""
    return f"the PIN {pin} is right"


@tool
async def fail() -> str:
    """Fail."""
    raise ValueError("no such order")


BOX = ToolBox([refund, look, hang, identify, fail])


def called(name: str, arguments: str = "{}", id_: str = "a") -> ToolRun:
    return ToolRun(id_, name, arguments)


async def ran(call: Call, turn: Turn, *runs: ToolRun, wait: bool = True) -> None:
    """A round of tools."""
    messages.remember(call, turn, list(runs))
    for run in runs:
        BOX.start(call, run)
    if wait:
        await BOX.settle(runs)


def restored(log: Written) -> Call:
    """The call as another machine takes it over."""
    call = Call("CA1")
    messages.restore(call, CallState.of(log.entries()).tools.values())
    return call


def told(call: Call) -> Sequence[str]:
    """What the model is told of every run."""
    return [run.outcome or "" for item in messages.rounds(call) for run in item.runs]


async def test_a_run_is_written_down_before_and_after() -> None:
    log = Written()
    await ran(Call("CA1", log=log), Turn("Pay it back."), called("refund", '{"order":81}'))
    begun, over = log.events
    assert begun == ToolCalled(1, "a", "refund", '{"order":81}')
    assert isinstance(over, ToolReturned)
    assert (over.round, over.id, over.outcome) == (1, "a", "refunded order 81")
    assert over.duration_ms is not None


async def test_a_tool_that_acts_waits_until_a_crash_could_not_hide_it() -> None:
    log = Written()
    await ran(
        Call("CA1", log=log),
        Turn("Hm."),
        called("refund", '{"order":81}'),
        called("look", '{"order":81}', "b"),
    )
    assert log.settled == [2]


@pytest.mark.parametrize("name", ["fail", "unknown"])
async def test_what_goes_wrong_is_written_down_too(name: str) -> None:
    log = Written()
    await ran(Call("CA1", log=log), Turn("Hm."), called(name))
    returned = log.events[-1]
    assert isinstance(returned, ToolReturned)
    assert returned.outcome.startswith("error: ")


async def test_a_tool_that_is_cancelled_says_so() -> None:
    log, run = Written(), called("look", '{"order":81}')
    call = Call("CA1", log=log)
    await ran(call, Turn("Hm."), run, wait=False)
    BOX.leave([run])
    assert run.task is not None
    await asyncio.wait([run.task])
    assert [event.outcome for event in log.events if isinstance(event, ToolReturned)] == [CANCELLED]


async def test_long_results_are_cut() -> None:
    log = Written()
    arguments = msgspec.json.encode({"pin": "x" * 3 * LONGEST}).decode()
    await ran(Call("CA1", log=log), Turn("Hm."), called("identify", arguments))
    begun, over = log.events
    assert isinstance(begun, ToolCalled)
    assert isinstance(over, ToolReturned)
    assert len(begun.arguments) == len(over.outcome) == LONGEST


async def test_a_secret_leaves_no_trace_in_its_turn_or_later() -> None:
    log = Written()
    call = Call("CA1", log=log)
    await ran(
        call, Turn("987654321098", "keys", sensitive=True), called("identify", '{"pin":"987654321098"}')
    )
    await ran(
        call,
        Turn("Again."),
        called("identify", '{"pin":"9876 54321098"}'),
        called("look", '{"order":7}', "b"),
    )
    written = msgspec.json.encode(log.events).decode()
    assert "987654321098" not in written  # longer than what a clock shows by chance
    assert "9876 54321098" not in written
    assert '{\\"order\\":7}' in written


async def test_another_machine_knows_what_was_done() -> None:
    log = Written()
    log.write(Prompted("Pay order 81 back."))
    call = Call("CA1", log=log)
    await ran(call, Turn("Pay order 81 back."), called("refund", '{"order":81}'))
    log.write(Replied(1, "VX1", "Done.", True))
    taken_over = restored(log)
    taken_over.history = [Message("user", "Pay order 81 back."), Message("assistant", "Done.")]
    assert [
        (entry["role"], entry.get("content")) for entry in messages.entries("", taken_over, Turn("Thanks."))
    ] == [
        ("user", "Pay order 81 back."),
        ("assistant", ""),
        ("tool", "refunded order 81"),
        ("assistant", "Done."),
        ("user", "Thanks."),
    ]


async def test_a_tool_that_acts_and_never_returned_counts_as_unknown() -> None:
    log, run = Written(), called("hang")
    await ran(Call("CA1", log=log), Turn("Hm."), run, wait=False)
    assert told(restored(log)) == [messages.LOST]
    assert "do not call it again" in messages.LOST
    assert run.task is not None
    run.task.cancel()
    await asyncio.wait([run.task])


async def test_a_tool_that_only_reads_and_never_returned_may_be_called_again() -> None:
    log = Written([ToolCalled(1, "a", "look", '{"order":81}', acts=False)])
    assert told(restored(log)) == [CANCELLED]


async def test_a_result_that_was_a_secret_is_known_to_have_come() -> None:
    log = Written([ToolCalled(1, "a", "identify"), ToolReturned(1, "a", "identify")])
    assert told(restored(log)) == [messages.HIDDEN]


async def test_equal_names_in_different_rounds_are_different_runs() -> None:
    log = Written()
    call = Call("CA1", log=log)
    for order in (1, 2):
        await ran(call, Turn("Hm."), called("refund", f'{{"order":{order}}}'))
    assert told(restored(log)) == ["refunded order 1", "refunded order 2"]


async def test_the_numbers_of_rounds_go_on() -> None:
    log = Written()
    await ran(Call("CA1", log=log), Turn("Hm."), called("refund", '{"order":1}'))
    taken_over = restored(log)
    taken_over.log = log
    await ran(taken_over, Turn("Hm."), called("refund", '{"order":2}'))
    assert [event.round for event in log.events if isinstance(event, ToolCalled)] == [1, 2]


def test_a_call_without_tools_has_no_rounds() -> None:
    assert messages.ROUNDS not in restored(Written([Prompted("Hi")])).state
