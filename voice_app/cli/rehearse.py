"""``voice-app rehearse``: scenarios, run without a phone."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voice_app.cli.options import AsJson, DatabaseUrl, Yes

if TYPE_CHECKING:
    from voice_app.calls import PriceList
    from voice_app.journal import Journal
    from voice_app.testing.rehearsal import Rehearsed
    from voice_app.testing.rehearsal_model import RehearsalModelSettings
    from voice_app.testing.scenario import Variant


def rehearse(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE…", help="Scenarios (YAML), or folders of them.")
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, max=1000, help="Run each so many times.")] = 1,
    parallel: Annotated[int, typer.Option(min=1, max=64, help="In so many processes.")] = 1,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the results as JUnit's XML, too.")
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Fail where a measure is worse than in this file."),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, max=10, help="How much worse is none: 0.2 is a fifth.")
    ] = 0.2,
    write_baseline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the measures as a baseline.")
    ] = None,
    lint_only: Annotated[bool, typer.Option("--lint", help="Look for mistakes in the files only.")] = False,
    print_schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of scenarios, for editors.")
    ] = False,
    from_call: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="CALL_SID",
            help="Print a scenario of a call in the journal, its names and numbers replaced.",
        ),
    ] = None,
    judged: Annotated[
        list[str] | None,
        typer.Option(
            "--judge",
            metavar="CALL_SID",
            help="Judge this call of the journal by the criteria of the files, and run nothing; repeatable.",
        ),
    ] = None,
    max_cost: Annotated[
        float | None,
        typer.Option(min=0, help="Stop before the models cost more, in the currency of the prices."),
    ] = None,
    yes: Yes = False,
    as_json: AsJson = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Run scenarios: calls of a simulated caller to your agent, with Twilio's double beside it.

    Nothing is phoned, and a silence takes no time. The agent is that of the scenario, or VOICE_APP_AGENT. A
    persona in words, and criteria in words, need a model (VOICE_APP_REHEARSE_MODEL): what that will cost is
    told first.

    Exit code: 0 all passed, as often as they have to; 1 some failed, got worse, or could not be run for
    --max-cost; 2 a file or the settings cannot be used.

    Example: voice-app rehearse scenarios/ --repeat 3 --parallel 2 --junit results.xml
    """
    from voice_app.cli.output import fail

    try:
        import yaml  # noqa: F401
    except ModuleNotFoundError:
        raise fail("Scenarios need PyYAML: pip install 'voice-app[testing]'", 2) from None
    if print_schema:
        from voice_app.testing.scenario import SCHEMA

        typer.echo(SCHEMA.read_text("utf-8"), nl=False)
    elif from_call is not None:
        typer.echo(_scenario_of(from_call, database_url), nl=False)
    elif not files:
        raise typer.BadParameter("Name files of scenarios or folders of them, or give --from CALL_SID.")
    else:
        variants = _read(files)
        if lint_only:
            typer.echo(f"{len(variants)} scenarios, no mistakes.")
            return
        rehearsing = _Rehearsing(variants, repeat, parallel, max_cost, junit, as_json=as_json)
        measuring = _Measuring(baseline, tolerance, write_baseline)
        calls = list(dict.fromkeys(judged or ()))
        rehearsing.confirm(len(calls), yes=yes)
        if calls:
            results, total = rehearsing.judge(calls, database_url), len(calls) * len(variants)
        else:
            results, total = rehearsing.run(), rehearsing.total
        raise typer.Exit(rehearsing.tell(results, total, measuring))


def _scenario_of(call_sid: str, database_url: str | None) -> str:
    from voice_app.cli.journal import ask, calls_named
    from voice_app.testing.from_journal import scenario_of

    async def read(journal: Journal) -> str:
        (call,) = await calls_named(journal, [call_sid])
        return scenario_of(call.call_sid, await journal.events(call.call_sid))

    return ask(database_url, read)


def _read(files: list[Path]) -> list[Variant]:
    from voice_app.cli.output import fail
    from voice_app.testing.scenario import ScenarioError, read_scenarios

    try:
        return read_scenarios(files)
    except ScenarioError as error:
        raise fail("\n  ".join(["The scenarios cannot be used:", *error.problems]), 2) from None


class _Measuring:
    """What measures are compared with, and where they go. Fails where the baseline cannot be used."""

    def __init__(self, baseline: Path | None, tolerance: float, write_to: Path | None) -> None:
        from voice_app.cli.output import fail
        from voice_app.testing.measures import BaselineError, read_baseline

        self._tolerance = tolerance
        self._write_to = write_to
        try:
            self._baseline = read_baseline(baseline) if baseline is not None else {}
        except BaselineError as error:
            raise fail(f"--baseline: {error}", 2) from None

    def worse(self, results: list[Rehearsed]) -> list[str]:
        """A line for each measure that got worse; what was measured is written, if that was asked for."""
        from voice_app.cli.output import fail
        from voice_app.cli.rehearsal_report import measured
        from voice_app.testing.measures import worse, written_baseline

        scenarios = measured(results)
        if self._write_to is not None:
            try:
                self._write_to.write_text(written_baseline(scenarios), "utf-8")
            except OSError as error:
                raise fail(f"--write-baseline: {self._write_to}: {error.strerror}", 2) from None
        return worse(scenarios, self._baseline, tolerance=self._tolerance)


@dataclass(frozen=True)
class _Rehearsing:
    """Scenarios that are to be run, or by which calls are to be judged."""

    variants: list[Variant]
    repeat: int
    parallel: int
    max_cost: float | None
    junit: Path | None
    as_json: bool

    def confirm(self, calls: int, *, yes: bool) -> None:
        """Tell what models will cost, and let people think it over; ``calls`` are only judged."""
        from voice_app.cli.output import note
        from voice_app.testing.expected_use import expected_use
        from voice_app.testing.simulation import model_settings

        settings = model_settings([variant.scenario for variant in self.variants], only_judged=calls > 0)
        if self.max_cost is not None:
            self._look_for_prices(settings, judging=calls > 0)
        if settings is None:
            return
        times = [(item.scenario, calls or self.repeat * item.scenario.runs) for item in self.variants]
        note(str(expected_use(times, settings, self.prices, only_judged=bool(calls))))
        if sys.stdin.isatty() and sys.stderr.isatty() and not yes:
            typer.confirm("Go on?", abort=True, err=True)

    def _look_for_prices(self, settings: RehearsalModelSettings | None, *, judging: bool) -> None:
        """Raises `SettingsError` where a model may be asked that has none."""
        from voice_app.settings import SettingsError, load

        asked: set[str | None] = {settings.model, settings.judge_model} if settings else set()
        if not judging and not all(variant.scenario.given.model for variant in self.variants):
            asked.add(load().model)  # the agent's own
        if unknown := sorted(name for name in asked if name and name not in self.prices.models):
            told = f"{unknown[0]} has no price: name it in a list of prices (VOICE_APP_PRICES)"
            raise SettingsError([f"--max-cost: {told}"])

    @cached_property
    def prices(self) -> PriceList:
        from voice_app.calls import price_list
        from voice_app.settings import load

        return price_list(load())

    def run(self) -> list[Rehearsed]:
        """Run them. Raises `SettingsError`."""
        from rich.console import Console
        from rich.progress import Progress

        from voice_app.cli.output import fail
        from voice_app.telemetry import configure_logging
        from voice_app.testing.rehearsal import rehearse as run

        for variant in self.variants:
            if not variant.scenario.steps and variant.scenario.persona is None:
                which = f"{variant.file}: {variant.name}"
                raise fail(f"{which} has no steps and no persona: it can only judge (--judge)", 2)
        configure_logging("error")
        results: list[Rehearsed] = []
        screen = Console(stderr=True)
        with Progress(console=screen, transient=True, disable=not screen.is_terminal) as progress:
            bar = progress.add_task("Rehearsing", total=self.total)
            for result in run(
                self.variants, repeat=self.repeat, parallel=self.parallel, max_cost=self.max_cost
            ):
                results.append(result)
                progress.advance(bar)
        order = {variant.name: place for place, variant in enumerate(self.variants)}
        return sorted(results, key=lambda result: (order[result.name], result.attempt))

    @property
    def total(self) -> int:
        return sum(self.repeat * variant.scenario.runs for variant in self.variants)

    def judge(self, call_sids: list[str], database_url: str | None) -> list[Rehearsed]:
        """Judge calls of the journal instead, as if each were a run."""
        from voice_app.calls import CallState
        from voice_app.cli.journal import ask, calls_named
        from voice_app.testing.rehearsal import judge_calls

        async def judged(journal: Journal) -> list[Rehearsed]:
            calls = await calls_named(journal, call_sids)
            states = {call.call_sid: CallState.of(await journal.events(call.call_sid)) for call in calls}
            return await judge_calls(self.variants, states, self.max_cost)

        return ask(database_url, judged)

    def tell(self, results: list[Rehearsed], total: int, measuring: _Measuring) -> int:
        """Tell what came of them; the exit code."""
        from voice_app.cli.output import fail, print_json
        from voice_app.cli.rehearsal_report import document, junit_of, tell
        from voice_app.testing.rates import rates_of

        if self.junit is not None:
            try:
                self.junit.write_text(junit_of(results), "utf-8")
            except OSError as error:
                raise fail(f"--junit: {self.junit} cannot be written: {error.strerror}", 2) from None
        left_out, worse = total - len(results), measuring.worse(results)
        if self.as_json:
            print_json(document(results, self.prices.currency, left_out, worse))
        else:
            tell(results, self.prices.currency, left_out, worse)
        incomplete = left_out > 0 or any(result.stopped for result in results)
        return int(bool(worse) or incomplete or not all(rate.passed for rate in rates_of(results)))
