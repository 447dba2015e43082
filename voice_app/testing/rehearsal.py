"""Runs scenarios: each on a line of its own, one after another or in several processes."""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from voice_app.agents.loader import AgentError
from voice_app.sandbox.phone import Person
from voice_app.settings import SettingsError
from voice_app.telemetry import configure_logging
from voice_app.testing.caller import Caller, CallFailure, RungPerson
from voice_app.testing.line import PhoneLine, line_settings, open_line
from voice_app.testing.model import ScriptedModel, serve_model
from voice_app.testing.scenario import ExpectedTool, ExpectedTransfer, ModelTurn, Outcome, Step, Variant
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

    @property
    def passed(self) -> bool:
        return not self.failure


def rehearse(variants: Sequence[Variant], *, repeat: int = 1, parallel: int = 1) -> Iterator[Rehearsed]:
    """Run each so many times; results come as they are there.

    Raises:
        SettingsError: a line cannot be opened.
    """
    runs = [(variant, attempt) for variant in variants for attempt in range(1, repeat + 1)]
    if parallel == 1:
        yield from (run_variant(variant, attempt) for variant, attempt in runs)
        return
    # Spawned, as the lines of a process share its agent's module: a fork would share this one's threads too.
    with ProcessPoolExecutor(parallel, multiprocessing.get_context("spawn")) as pool:
        pending = [pool.submit(_run_elsewhere, *run) for run in runs]
        try:
            for done in as_completed(pending):
                result = done.result()
                if isinstance(result, list):
                    raise SettingsError(result)
                yield result
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _run_elsewhere(variant: Variant, attempt: int) -> Rehearsed | list[str]:
    """The same in another process; or the problems with the settings."""
    configure_logging("error")
    try:
        return run_variant(variant, attempt)
    except SettingsError as error:
        return error.problems


def run_variant(variant: Variant, attempt: int = 1) -> Rehearsed:
    """Run a scenario once, on a loop of its own. Raises `SettingsError`."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return replace(runner.run(_run(variant)), attempt=attempt)


async def _run(variant: Variant) -> Rehearsed:
    scenario = variant.scenario
    with tempfile.TemporaryDirectory() as folder:
        async with _model(scenario.given.model) as model_url:
            given: dict[str, Any] = dict(scenario.settings)
            if agent := variant.agent or scenario.agent:
                given["agent"] = agent
            if variant.language:
                given["language"] = variant.language
            try:
                async with open_line(line_settings(Path(folder), given, model_url)) as line:
                    return await _play(variant, line)
            except AgentError as error:
                raise SettingsError([f"{variant.file}: {error}"]) from None
            except SettingsError as error:
                raise SettingsError([f"{variant.file}: {problem}" for problem in error.problems]) from None


@asynccontextmanager
async def _model(turns: Sequence[ModelTurn]) -> AsyncIterator[str]:
    """Where a scripted model is served while the block runs; nothing where none is given."""
    if not turns:
        yield ""
        return
    model = ScriptedModel()
    for turn in turns:
        model.answers(
            text=turn.says,
            tools=[(name, _typed(arguments)) for name, arguments in turn.calls.items()],
            delay=turn.delay,
            status=turn.fails,
            breaks_off=turn.breaks_off,
        )
    async with serve_model(model):
        yield model.base_url


async def _play(variant: Variant, line: PhoneLine) -> Rehearsed:
    given, caller = variant.scenario.given, line.caller(variant.scenario.given.caller)
    if given.memory or given.traits:
        line.twilio.remembers(given.caller, *given.memory, **given.traits)
    for fault in given.twilio:
        line.twilio.fails(fault.path, fault.status, times=fault.times)
    person = RungPerson(line)
    line.people[:] = [Person(kind, says=["Hello, how can I help?"]) for kind in given.people]
    failure, at = "", 0
    try:
        for line_number, step in zip(variant.step_lines, variant.scenario.steps, strict=True):
            at = line_number
            await _take(variant, step, caller, person)
        at = 0
        for outcome in variant.scenario.expect:
            await _judge(variant, outcome, caller)
    except CallFailure as error:
        failure = str(error)
    if not failure and caller.problems:
        failure = f"the server misbehaved, as Twilio sees it: {'; '.join(caller.problems)}"
    return Rehearsed(
        variant.name, variant.file, at if failure else 0, failure, str(caller.dialogue), caller.seconds
    )


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
    await caller.tool_called(wanted.name, **_typed(wanted.arguments))


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


def _typed(values: dict[str, Any]) -> dict[str, Any]:
    """Values as YAML means them: what is read of a scenario is text first."""
    return {
        name: yaml.safe_load(value) if isinstance(value, str) else value for name, value in values.items()
    }
