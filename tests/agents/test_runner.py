"""An agent that misbehaves ends its turn, and nothing else."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from voice_app import Break, Call, EndCall, Piece, Ssml, Transfer, Turn
from voice_app.agents.runner import AgentExitError, ReadyWords, hook, in_thread, run


async def ran(agent: Any, said: list[Piece] | None = None) -> list[Piece]:
    """What an agent says, each piece taken by itself."""
    taken: list[Piece] = [] if said is None else said
    ready = ReadyWords()
    await run(agent, Call("CA1"), Turn("Hi"), ready, lambda piece: taken.extend(ready.parts(piece)))
    return taken


async def first_piece(agent: Any, meanwhile: Callable[[], Awaitable[None]] | None = None) -> Piece:
    """Have an agent say one thing, and ask it for no more."""
    said: list[Piece] = []

    async def take(piece: Piece) -> bool:
        said.append(piece)
        if meanwhile is not None:
            await meanwhile()
        return False

    await run(agent, Call("CA1"), Turn("Hi"), ReadyWords(), take)
    assert len(said) == 1
    return said[0]


async def halves(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Yields an emoji in two halves, and a half that nothing completes."""
    yield "Great \ud83d"
    yield "\ude00! \ud83d"
    yield Break()
    yield "\ude00"
    yield "\x00"
    yield "Bye\x07."
    yield Ssml("<break/>\ud83d")
    yield Transfer("billing\x1b[0m", "Wants a \ud83d\ude00 \udfff.")


async def test_text_is_repaired_and_actions_too() -> None:
    assert await ran(halves) == [
        "Great ",
        "😀! ",
        Break(),
        "Bye.",
        Ssml("<break/>"),
        Transfer("billing", "Wants a 😀 ."),
    ]


async def exits(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Ends the process, or so it thinks."""
    yield "Well, "
    sys.exit(3)


async def is_cancelled(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Waits for something that somebody else cancels."""
    yield "Well, "
    waiting = asyncio.get_running_loop().create_future()
    waiting.cancel()
    await waiting


async def cancels(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Raises what only a loop should."""
    yield "Well, "
    raise asyncio.CancelledError


async def interrupts(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """As if Ctrl-C had been pressed in it."""
    yield "Well, "
    raise KeyboardInterrupt


async def gives_up(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Raises what closes a generator."""
    yield "Well, "
    raise GeneratorExit


async def exits_in_a_group(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Ends the process in a task of its own."""
    yield "Well, "
    raise BaseExceptionGroup("all", [SystemExit(1)])


@pytest.mark.parametrize("agent", [exits, is_cancelled, cancels, interrupts, gives_up, exits_in_a_group])
async def test_what_would_stop_the_server_stops_the_turn(agent: Any) -> None:
    async def turn() -> None:
        said: list[Piece] = []
        with pytest.raises(AgentExitError):
            await ran(agent, said)
        assert said == ["Well, "]

    await asyncio.create_task(turn())


async def test_an_agent_that_exits_before_its_first_piece_is_no_different() -> None:
    def agent(call: Call, turn: Turn) -> AsyncIterator[Piece]:
        sys.exit("no configuration")

    with pytest.raises(AgentExitError, match="SystemExit"):
        await ran(agent)


async def test_an_ordinary_error_stays_what_it_is() -> None:
    async def agent(call: Call, turn: Turn) -> AsyncIterator[Piece]:
        yield "Well, "
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        await ran(agent)


async def test_a_turn_that_is_cancelled_is_cancelled() -> None:
    begun, closed = asyncio.Event(), asyncio.Event()

    async def agent(call: Call, turn: Turn) -> AsyncIterator[Piece]:
        try:
            begun.set()
            await asyncio.Event().wait()
            yield ""
        finally:
            closed.set()

    task = asyncio.create_task(ran(agent))
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert closed.is_set()


@pytest.mark.parametrize("error", [SystemExit(1), ValueError("x"), asyncio.CancelledError()])
async def test_what_fails_while_it_is_closed_is_logged_and_nothing_more(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async def agent(call: Call, turn: Turn) -> AsyncIterator[Piece]:
        try:
            yield "One"
            yield "Two"
        finally:
            raise error

    assert await first_piece(agent) == "One"
    assert "while it was closed" in caplog.text


async def test_hooks_of_an_agent_stop_no_server_either() -> None:
    async def summarise() -> str:
        sys.exit(1)

    with pytest.raises(AgentExitError, match="SystemExit"):
        await hook(summarise())


# --- in a thread --------------------------------------------------------------------------------------


class Blocking:
    """A plain generator whose steps last until the test lets them go on."""

    def __init__(self) -> None:
        self.begun, self.go, self.closed = threading.Event(), threading.Event(), threading.Event()
        self.steps: list[str] = []
        self.threads: set[str] = set()

    def __call__(self, call: Call, turn: Turn) -> Iterator[Piece]:
        try:
            for step in ("one", "two"):
                self.steps.append(step)
                self.threads.add(threading.current_thread().name)
                self.begun.set()
                self.go.wait(30)
                yield f"{step} "
            yield EndCall()
        finally:
            self.closed.set()


async def test_a_generator_that_blocks_holds_up_nobody() -> None:
    blocking = Blocking()
    task = asyncio.create_task(ran(in_thread(blocking.__call__)))
    assert await asyncio.to_thread(blocking.begun.wait, 30)  # the loop runs on
    blocking.go.set()
    assert await task == ["one ", "two ", EndCall()]
    assert blocking.threads == {"agent CA1"}


async def test_it_goes_no_further_than_it_is_asked_to() -> None:
    blocking = Blocking()
    blocking.go.set()
    assert await first_piece(in_thread(blocking.__call__), lambda: asyncio.sleep(0.02)) == "one "
    assert blocking.steps == ["one"]
    assert await asyncio.to_thread(blocking.closed.wait, 30)


async def test_a_turn_that_is_cut_off_waits_for_no_step() -> None:
    blocking = Blocking()
    task = asyncio.create_task(ran(in_thread(blocking.__call__)))
    assert await asyncio.to_thread(blocking.begun.wait, 30)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    blocking.go.set()
    assert await asyncio.to_thread(blocking.closed.wait, 30)
    assert blocking.steps == ["one"]


def raises(call: Call, turn: Turn) -> Iterator[Piece]:
    """Fails after a word."""
    yield "Well, "
    raise ValueError("x")


def exits_plainly(call: Call, turn: Turn) -> Iterator[Piece]:
    """Ends the process, or so it thinks."""
    yield "Well, "
    sys.exit(1)


def stops(call: Call, turn: Turn) -> Iterator[Piece]:
    """Fails before it is a generator."""
    raise StopIteration


@pytest.mark.parametrize(
    ("agent", "error"), [(raises, ValueError), (exits_plainly, AgentExitError), (stops, AgentExitError)]
)
async def test_what_it_raises_is_raised(
    agent: Callable[[Call, Turn], Iterator[Piece]], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await ran(in_thread(agent))
