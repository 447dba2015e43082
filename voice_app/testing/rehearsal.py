"""Runs scenarios: each on a line of its own, one after another or in several processes."""

from __future__ import annotations

import asyncio
import multiprocessing
import multiprocessing.context
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, cast

from voice_app.agents.loader import AgentError
from voice_app.calls import CallState
from voice_app.sandbox.phone import Person
from voice_app.settings import SettingsError
from voice_app.telemetry import configure_logging
from voice_app.testing.caller import Caller, CallFailure, RungPerson
from voice_app.testing.judge import CriterionVerdict, HeardCall
from voice_app.testing.line import PhoneLine, line_settings, open_line
from voice_app.testing.measures import CallMeasures
from voice_app.testing.model import ScriptedModel, serve_model
from voice_app.testing.scenario import (
    ExpectedTool,
    ExpectedTransfer,
    ModelTurn,
    Outcome,
    Step,
    Variant,
    moment,
    typed,
)
from voice_app.testing.simulation import Simulated, Simulation
from voice_app.testing.virtual_time import VirtualLoop


@dataclass(slots=True, frozen=True)
class Rehearsed:
    """What came of one run of a scenario."""

    name: str
    file: str
    line: int
    """Of the step that failed; 0: none did."""
    failure: str
    """What was expected, and what was instead; empty: it passed."""
    dialogue: str
    seconds: float
    """Of the call."""
    attempt: int = 1
    at_least: float = 1
    """The share of the scenario's runs that has to pass."""
    cost: float = 0.0
    """Of its models, in the currency of the prices."""
    simulated: Simulated | None = None
    """What came of its persona and its judge."""
    measures: CallMeasures | None = None
    """None of a call that was only judged."""

    @property
    def passed(self) -> bool:
        return not self.failure and not self.stopped

    @property
    def verdicts(self) -> list[CriterionVerdict]:
        """On each criterion."""
        return [] if self.simulated is None else self.simulated.verdicts

    @property
    def stopped(self) -> bool:
        """It was broken off because of what may be spent."""
        return self.simulated is not None and self.simulated.stopped


@dataclass(slots=True)
class Spending:
    """What runs may cost, and have cost, in the currency of the prices."""

    cap: float | None = None
    spent: float = 0.0
    dearest: float = 0.0
    """What the dearest run has cost."""
    free: int = 1
    """Runs that may begin beside those that are under way."""
    given: float = 0.0
    """What those that are under way may still cost."""
    stopped: bool = False
    """A run had to be broken off: there is too little for another."""

    def share(self) -> float | None:
        """What the next run may cost; `None`: whatever it costs."""
        return None if self.cap is None else max(0.0, self.cap - self.spent - self.given) / self.free

    def begin(self) -> bool:
        """Whether a run may begin: it could cost as much as the dearest one."""
        share = self.share()
        if share is None or (share >= self.dearest and not self.stopped):
            self.given, self.free = self.given + (share or 0.0), self.free - 1
            return True
        return False

    def end(self, share: float | None, run: Rehearsed) -> None:
        """A run is over."""
        self.stopped |= run.stopped
        self.given, self.free = self.given - (share or 0.0), self.free + 1
        self.spent, self.dearest = self.spent + run.cost, max(self.dearest, run.cost)


def rehearse(
    variants: Sequence[Variant], *, repeat: int = 1, parallel: int = 1, max_cost: float | None = None
) -> Iterator[Rehearsed]:
    """Run each so many times; results come as they are there. None begins that could exceed ``max_cost``.

    Raises:
        SettingsError: a line cannot be opened.
    """
    runs = [
        (variant, attempt) for variant in variants for attempt in range(1, repeat * variant.scenario.runs + 1)
    ]
    spending = Spending(max_cost, free=parallel)
    if parallel == 1:
        yield from _one_by_one(runs, spending)
    else:
        yield from _together(runs, spending, parallel)


def _one_by_one(runs: Sequence[tuple[Variant, int]], spending: Spending) -> Iterator[Rehearsed]:
    for variant, attempt in runs:
        share = spending.share()
        if not spending.begin():
            return
        result = run_variant(variant, attempt, share)
        spending.end(share, result)
        yield result


def _together(runs: Sequence[tuple[Variant, int]], spending: Spending, parallel: int) -> Iterator[Rehearsed]:
    waiting = deque(runs)
    with ProcessPoolExecutor(parallel, _fresh_processes()) as pool:
        pending: dict[Future[Rehearsed | list[str]], float | None] = {}
        try:
            while waiting or pending:
                while waiting and spending.free:
                    share = spending.share()
                    if not spending.begin():
                        if not pending:
                            return
                        break
                    pending[pool.submit(_run_elsewhere, *waiting.popleft(), share)] = share
                done, _ = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    result = future.result()
                    if isinstance(result, list):
                        raise SettingsError(result)
                    spending.end(pending.pop(future), result)
                    yield result
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _fresh_processes() -> multiprocessing.context.BaseContext:
    """Processes without this one's threads and its agent's module, which the lines of a process share."""
    if sys.platform != "linux":  # elsewhere, the system's own libraries take a fork amiss
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # all of this is loaded once, not by each of them
    return context


def _run_elsewhere(variant: Variant, attempt: int, money: float | None) -> Rehearsed | list[str]:
    """The same in another process; or the problems with the settings."""
    configure_logging("error")
    try:
        return run_variant(variant, attempt, money)
    except SettingsError as error:
        return error.problems


def run_variant(variant: Variant, attempt: int = 1, money: float | None = None) -> Rehearsed:
    """Run a scenario once, on a loop of its own; ``money`` is what it may cost. Raises `SettingsError`."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return replace(runner.run(_run(variant, attempt, money)), attempt=attempt)


async def _run(variant: Variant, attempt: int, money: float | None) -> Rehearsed:
    scenario = variant.scenario
    if scenario.given.at is not None:
        try:
            cast(VirtualLoop, asyncio.get_running_loop()).set_time_of_day(moment(scenario.given.at))
        except ModuleNotFoundError:
            told = f"{variant.file}: `at` needs time-machine: pip install 'voice-app[testing]'"
            raise SettingsError([told]) from None
    with tempfile.TemporaryDirectory() as folder:
        async with _model(scenario.given.model) as model:
            given: dict[str, Any] = dict(scenario.settings)
            if agent := variant.agent or scenario.agent:
                given["agent"] = agent
            if variant.language:
                given["language"] = variant.language
            try:
                async with open_line(line_settings(Path(folder), given, model.base_url)) as line:
                    result = await _play(variant, line, attempt, money)
            except AgentError as error:
                raise SettingsError([f"{variant.file}: {error}"]) from None
            except SettingsError as error:
                raise SettingsError([f"{variant.file}: {problem}" for problem in error.problems]) from None
    if result.failure and model.unanswered:
        told = f'{result.failure}; `given: model` has no answer to "{model.unanswered[0]}"'
        return replace(result, failure=told)
    return result


@asynccontextmanager
async def _model(turns: Sequence[ModelTurn]) -> AsyncIterator[ScriptedModel]:
    """A scripted model, served while the block runs; nowhere if no answers are given."""
    model = ScriptedModel()
    if not turns:
        yield model
        return
    for turn in turns:
        model.answers(
            text=turn.says,
            tools=[(name, typed(arguments)) for name, arguments in turn.calls.items()],
            delay=turn.delay,
            status=turn.fails,
            breaks_off=turn.breaks_off,
        )
    async with serve_model(model):
        yield model


async def judge_calls(
    variants: Sequence[Variant], calls: Mapping[str, CallState], max_cost: float | None = None
) -> list[Rehearsed]:
    """Judge calls, by their ids, as if each were a run of each scenario; none that could exceed ``max_cost``.

    Raises:
        SettingsError: words are to be judged, and there is no model.
    """
    results: list[Rehearsed] = []
    spending = Spending(max_cost)
    for variant, (call_sid, state) in product(variants, calls.items()):
        share = spending.share()
        if not spending.begin():
            break
        simulated = await Simulation(variant, None, 1, share).judged(state)
        results.append(_judged(variant, call_sid, state, simulated))
        spending.end(share, results[-1])
    return results


def _judged(variant: Variant, call_sid: str, state: CallState, simulated: Simulated) -> Rehearsed:
    return Rehearsed(
        variant.name,
        call_sid,
        0,
        simulated.failure,
        "\n".join(HeardCall(state).lines),
        (state.ended_at or state.last_at) - (state.began_at or 0.0),
        at_least=variant.scenario.at_least,
        cost=simulated.cost,
        simulated=simulated,
    )


async def _play(variant: Variant, line: PhoneLine, attempt: int, money: float | None) -> Rehearsed:
    given, caller = variant.scenario.given, line.caller(variant.scenario.given.caller)
    if given.memory or given.traits:
        line.twilio.remembers(given.caller, *given.memory, **given.traits)
    for fault in given.twilio:
        line.twilio.fails(fault.path, fault.status, times=fault.times)
    if given.database.away_seconds:
        line.database.is_away(given.database.away_seconds)
    if given.database.slow_seconds:
        line.database.is_slow(given.database.slow_seconds)
    line.degrade(seed=variant.scenario.seed + attempt - 1, **given.line.model_dump())
    person = RungPerson(line)
    line.people[:] = [Person(kind, says=["Hello, how can I help?"]) for kind in given.people]
    simulation = Simulation(variant, caller, attempt, money)
    at, failure = await _act(variant, caller, person, simulation)
    simulated = await simulation.judged(await caller.state())
    if not failure and caller.problems:
        failure = f"the server misbehaved, as Twilio sees it: {'; '.join(caller.problems)}"
    return Rehearsed(
        variant.name,
        variant.file,
        at,
        failure or simulated.failure,
        str(caller.dialogue),
        caller.seconds,
        at_least=variant.scenario.at_least,
        cost=simulated.cost,
        simulated=simulated if variant.scenario.is_simulated else None,
        measures=caller.measures,
    )


async def _act(
    variant: Variant, caller: Caller, person: RungPerson, simulation: Simulation
) -> tuple[int, str]:
    """Steps, persona, expectations. Returns the line of the step that failed, or 0, and what failed."""
    at = 0
    try:
        for line_number, step in zip(variant.step_lines, variant.scenario.steps, strict=True):
            at = line_number
            await _take(variant, step, caller, person)
        at = 0
        await simulation.play()
        for outcome in variant.scenario.expect if not simulation.stopped else ():
            await _judge(variant, outcome, caller)
    except CallFailure as error:
        return at, str(error)
    return 0, ""


async def _take(variant: Variant, step: Step, caller: Caller, person: RungPerson) -> None:
    """Do, or expect, one thing. Raises `CallFailure`."""
    value = step.value
    match step.verb:
        case "says":
            await caller.says(variant.text(value))
        case "interrupts":
            await caller.interrupts(variant.text(value.says), after_words=value.after_words)
        case "presses":
            await caller.presses(value)
        case "is_silent":
            await caller.is_silent(value)
        case "hears":
            await caller.hears(variant.expected(value))
        case "does_not_hear":
            await caller.does_not_hear(variant.expected(value))
        case "is_transferred":
            await _is_transferred(variant, value, caller)
        case "tool_called":
            await _tool_called(value, caller)
        case "person_says":
            await person.says(variant.text(value))
        case "person_hears":
            await person.hears(variant.expected(value))
        case "person_hangs_up":
            await person.hangs_up()
        case verb:  # what is done with nothing
            await getattr(caller, verb)()


async def _is_transferred(variant: Variant, value: ExpectedTransfer | bool, caller: Caller) -> None:
    wanted = value if isinstance(value, ExpectedTransfer) else ExpectedTransfer()
    summary = None if wanted.summary is None else variant.expected(wanted.summary)
    await caller.is_transferred(reason=wanted.reason, summary=summary)


async def _tool_called(value: ExpectedTool | str, caller: Caller) -> None:
    wanted = ExpectedTool(name=value) if isinstance(value, str) else value
    await caller.tool_called(wanted.name, **typed(wanted.arguments))


async def _judge(variant: Variant, expected: Outcome, caller: Caller) -> None:
    """Expect something of the whole call. Raises `CallFailure`."""
    if expected.heard is not None:
        await caller.hears(variant.expected(expected.heard), ever=True)
    if expected.not_heard is not None:
        await caller.does_not_hear(variant.expected(expected.not_heard), ever=True)
    if expected.tool is not None:
        await _tool_called(expected.tool, caller)
    match expected.outcome:
        case "transferred":
            await caller.is_transferred()
        case "ended":
            await caller.is_hung_up_on()
        case "open":
            await caller.is_still_on_the_line()
        case _:
            pass
