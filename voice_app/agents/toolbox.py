"""Runs the tools that a model calls: together, each with its deadline, and safe from a barge-in.

A run outlives the turn that started it. A caller who cuts in stops the reply and the tools that only
read; a tool that acts on the world goes on, and what it returns is there for the next turn. Past its
deadline a run counts as *unknown*: neither done nor failed, since nobody can tell.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, get_args

import msgspec
from pydantic_core import to_json

from voice_app.agents.protocol import Action, Call
from voice_app.agents.runner import is_cancelled
from voice_app.agents.text import cleaned
from voice_app.agents.tool_calls import ArgumentsError, ToolRequest, read_arguments
from voice_app.agents.tools import Tool
from voice_app.journal.events import ToolCalled, ToolReturned
from voice_app.telemetry import attributes as names
from voice_app.telemetry import metrics, traces

CANCELLED: Final = "cancelled: the caller spoke before it was done; call it again if it is still needed"
LONGEST: Final = 2000
"""So many characters of arguments, and of an outcome, are written to the call's log."""
MAX_OUTCOME: Final = 20_000
"""So many characters of a result are told to the model: every turn of the call sends them again."""
_ACTIONS: Final = get_args(Action)
NO_TOOL: Final = "(none)"
"""What the metrics call a tool that does not exist: models make up names."""
_NO_DIGIT: Final = re.compile(r"\D+")

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class ToolRun:
    """One call of a tool by the model."""

    id: str
    """The model's name for it."""
    name: str
    arguments: str
    """JSON, as the model wrote it."""
    outcome: str | None = None
    """What the model is told; `None` while it runs."""
    action: Action | None = None
    """What the tool wants done on the call; whoever carries it out takes it away."""
    task: asyncio.Task[None] | None = field(default=None, repr=False)
    expires: float = 0.0
    """When it counts as unknown, on the clock of `time.monotonic`."""
    awaited: bool = True
    """Whether a turn is still waiting for it."""
    round: int = 0
    """What was called at once has the same number."""
    begun: float = 0.0
    """When it was started, on the clock of `time.monotonic`."""
    secrets: frozenset[str] = frozenset()
    """Digits that are secrets of the caller's: what holds them is not written down."""
    sensitive: bool = False
    """It answers a secret: nothing of it is written down but its name."""
    also: tuple[str, ...] = ()
    """Ids of equal calls in the same answer: this run answers them, too."""
    extras: Mapping[str, Any] = field(default_factory=dict, repr=False)
    function_extras: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Fields that came with the call and have to go back with it."""

    @property
    def ids(self) -> tuple[str, ...]:
        """All the calls that it answers."""
        return (self.id, *self.also)

    @property
    def running(self) -> bool:
        """Whether somebody should wait for it."""
        return self.outcome is None


Late: TypeAlias = Callable[[Call, ToolRun], None]


class ToolBox:
    """The tools of an agent.

    ``late`` hears of every run that finishes when no turn waits for it any more: past its deadline,
    or after a barge-in.
    """

    def __init__(self, tools: Iterable[Tool[..., Any]] = (), *, late: Late | None = None) -> None:
        self._tools: dict[str, Tool[..., Any]] = {}
        for tool in tools:
            if tool.name in self._tools:
                raise ValueError(f"two tools are called {tool.name}: give one of them another name")
            self._tools[tool.name] = tool
        self._late = late
        # The loop keeps weak references only: without this, a running tool could be collected.
        self._tasks: set[asyncio.Task[None]] = set()
        self.definitions = msgspec.Raw(msgspec.json.encode([_definition(tool) for tool in self]))
        """The tools as the ``tools`` of a chat completion request."""

    def __len__(self) -> int:
        return len(self._tools)

    def __iter__(self) -> Iterator[Tool[..., Any]]:
        return iter(self._tools.values())

    def runs(self, requests: Iterable[ToolRequest]) -> list[ToolRun]:
        """The runs that answer the calls of one model's answer, not started yet.

        A tool that acts runs once for equal arguments: models repeat themselves, and one order is meant.
        """
        runs: list[ToolRun] = []
        acting: dict[tuple[str, str], ToolRun] = {}
        for request in requests:
            run = ToolRun(
                request.id,
                request.name,
                request.arguments,
                extras=request.extras.merged(),
                function_extras=request.function_extras.merged(),
            )
            tool = self._tools.get(request.name)
            same = (request.name, _normal(request.arguments))
            if tool is not None and tool.acts and same in acting:
                acting[same].also += (request.id,)
                continue
            acting[same] = run
            runs.append(run)
        return runs

    def acts(self, run: ToolRun) -> bool:
        """Whether a run may have changed the world."""
        tool = self._tools.get(run.name)
        return tool is not None and tool.acts

    def start(self, call: Call, run: ToolRun) -> None:
        """Begin a run, and write that to the call's log. Calling a tool that does not exist is one, too."""
        tool = self._tools.get(run.name)
        run.begun = time.monotonic()
        if call.log is not None:
            acts = tool is not None and tool.acts
            call.log.write(ToolCalled(run.round, run.id, run.name, _shown(run, run.arguments), acts))
        if tool is None:
            names = ", ".join(self._tools) or "none"
            run.outcome = f"error: there is no tool {run.name}; the tools are: {names}"
            _tell(call, run, known=False)
            return
        run.expires = run.begun + tool.deadline
        work = self._run(tool, call, run)
        run.task = asyncio.create_task(_traced(work, run) if traces.on() else work, name=f"tool {run.name}")
        self._tasks.add(run.task)
        run.task.add_done_callback(self._tasks.discard)
        run.task.add_done_callback(lambda task: _tell(call, run))

    async def settle(self, runs: Iterable[ToolRun], *, within: float | None = None) -> bool:
        """Wait until every run is over or past its deadline. Returns whether they all are.

        Give up after ``within`` seconds, if given.
        """
        end = None if within is None else time.monotonic() + within
        while running := [run for run in runs if run.running]:
            now = time.monotonic()
            if end is not None and now >= end:
                return False
            for run in running:
                run.awaited = True
                if run.task is None or run.task.done():
                    run.outcome = "error: it ended without a result"
                elif now >= run.expires:
                    self._expire(run)
            waiting = [run.task for run in running if run.running and run.task is not None]
            if not waiting:
                continue
            next_stop = min(run.expires for run in running if run.running)
            timeout = (next_stop if end is None else min(next_stop, end)) - now
            await asyncio.wait(waiting, timeout=max(timeout, 0), return_when=asyncio.FIRST_COMPLETED)
        return True

    def leave(self, runs: Iterable[ToolRun]) -> None:
        """The turn is over: cancel what only reads, let go on what acts."""
        for run in runs:
            if run.running:
                run.awaited = False
                if run.task is not None and not self._tools[run.name].acts:
                    run.task.cancel()
                    run.outcome = CANCELLED

    def filler(self, runs: Iterable[ToolRun]) -> str:
        """What to say while these run: the first filler among them."""
        tools = (self._tools.get(run.name) for run in runs if run.running)
        return next((tool.filler for tool in tools if tool is not None and tool.filler), "")

    def _expire(self, run: ToolRun) -> None:
        run.awaited = False
        run.outcome = (
            f"unknown: no result within {self._tools[run.name].deadline:g} seconds. It may still have been "
            "done: do not call it again, and tell the caller that it could not be confirmed"
        )

    async def _run(self, tool: Tool[..., Any], call: Call, run: ToolRun) -> None:
        try:
            if tool.acts and call.log is not None:
                # Whoever takes the call over after a crash has to know of it, or it may be done twice.
                await call.log.settle()
            value = await tool.run(call, run.arguments)
        except ArgumentsError as error:
            outcome = f"error: {error}"
        except asyncio.CancelledError as error:
            if is_cancelled():
                if not tool.acts:
                    run.outcome = CANCELLED
                raise
            outcome = _failed(call, run, error)
        except BaseException as error:
            # What a tool raises is its failure: `sys.exit` in one must not stop the server.
            outcome = _failed(call, run, error)
        else:
            outcome = _told(call, run, value)
            if isinstance(value, _ACTIONS):
                run.action = value
        expired = run.outcome is not None
        run.outcome = f"finished after its deadline: {outcome}" if expired else outcome
        if not run.awaited and self._late is not None:
            self._late(call, run)


async def _traced(work: Coroutine[Any, Any, None], run: ToolRun) -> None:
    """A run as a span. A secret of the caller's is in none."""
    attributes: dict[str, traces.Attribute] = {
        names.OPERATION: "execute_tool",
        names.TOOL_NAME: run.name,
        names.TOOL_TYPE: "function",
        names.TOOL_CALL_ID: run.id,
    }
    with traces.span(f"execute_tool {run.name}", attributes) as span:
        span.content(names.TOOL_ARGUMENTS, lambda: _shown(run, run.arguments))
        await work
        outcome = run.outcome or ""
        if (kind := outcome_kind(outcome)) != "ok":
            span.fail(kind)
        span.content(names.TOOL_RESULT, lambda: _shown(run, outcome))


def _tell(call: Call, run: ToolRun, *, known: bool = True) -> None:
    """Write down what became of a run, if that is known; ``known`` is whether there is such a tool."""
    if run.outcome is None:
        return
    seconds = time.monotonic() - run.begun
    metrics.TOOL_SECONDS.labels(run.name if known else NO_TOOL, outcome_kind(run.outcome)).observe(seconds)
    if call.log is not None:
        call.log.write(ToolReturned(run.round, run.id, run.name, _shown(run, run.outcome), seconds * 1000))


def outcome_kind(outcome: str) -> str:
    """What became of a run: ``ok``, ``error``, ``unknown``, ``cancelled``, or ``finished`` after its time."""
    begin, colon, _ = outcome.partition(":")
    word = begin.partition(" ")[0]
    return word if colon and word in ("error", "unknown", "cancelled", "finished") else "ok"


def _shown(run: ToolRun, text: str) -> str:
    """As much of a text as may be written down."""
    digits = _NO_DIGIT.sub("", text) if run.secrets else ""
    if run.sensitive or any(secret in digits for secret in run.secrets):
        return ""
    return text[:LONGEST]


def _definition(tool: Tool[..., Any]) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _normal(arguments: str) -> str:
    """Arguments of which equal ones are equal texts."""
    try:
        return json.dumps(read_arguments(arguments), sort_keys=True)
    except ArgumentsError:
        return arguments


def _failed(call: Call, run: ToolRun, error: BaseException) -> str:
    log.warning("call %s: the tool %s failed", call.sid, run.name, exc_info=error)
    return cleaned(f"error: {type(error).__name__}: {error}")[:MAX_OUTCOME]


def _told(call: Call, run: ToolRun, value: object) -> str:
    """A tool's result as the model reads it."""
    if value is None or isinstance(value, _ACTIONS):
        return "done"
    try:
        told = value if isinstance(value, str) else to_json(value, fallback=str).decode()
        told.encode()
    except (ValueError, RecursionError) as error:
        log.warning("call %s: the result of the tool %s is no JSON: %s", call.sid, run.name, error)
        return (
            f"error: it ran, but its result ({type(value).__name__}) cannot be told. It may have been "
            "done: do not call it again, and tell the caller that it could not be confirmed"
        )
    if len(told) > MAX_OUTCOME:
        return f"{told[:MAX_OUTCOME]}… (the rest of {len(told)} characters is left out)"
    return told
