"""What came of rehearsed scenarios: a table with the failures above it, JSON, and JUnit's XML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from xml.etree import ElementTree

import msgspec
from rich.console import Console
from rich.table import Table

from voice_app.cli.output import console, plain
from voice_app.findings import counted, printable
from voice_app.testing.measures import Figures, figures
from voice_app.testing.rates import ScenarioRate, SuccessRate, rates_of
from voice_app.testing.rehearsal import Rehearsed

MAX_SHOWN: Final = 3
"""Failed runs of one scenario that are shown with their calls."""
_HEADINGS: Final[Mapping[str, str]] = {
    "turns": "turns",
    "first_token_s": "first token",
    "ear_to_ear_s": "ear to ear",
    "words_per_answer": "words",
    "interruptions_missed": "missed cut-ins",
    "silences": "silences",
    "stale_words": "stale words",
    "double_questions": "double questions",
    "failure_lines": "failures",
}
_WHERE_THERE_ARE: Final = frozenset(
    {"interruptions_missed", "stale_words", "double_questions", "failure_lines"}
)
"""Columns that are shown only if there is something in them."""


def tell(
    results: Sequence[Rehearsed], currency: str = "USD", left_out: int = 0, worse: Sequence[str] = ()
) -> None:
    """For people: each failure with its call, then a row for each scenario. ``left_out``: runs not made."""
    screen = console()
    scenarios = rates_of(results)
    for scenario in scenarios:
        failed = [run for run in scenario.runs if not run.passed]
        for run in failed[:MAX_SHOWN]:
            _tell_failure(screen, run)
        if len(failed) > MAX_SHOWN:
            more = f"{scenario.name}: {len(failed) - MAX_SHOWN} more runs failed; --json has them all"
            screen.print(plain(more, "bold red"))
            screen.print()
    screen.print(_table(scenarios))
    screen.print()
    _tell_measures(screen, measured(results), worse)
    failures = sum(not run.passed and not run.stopped for run in results)
    stopped = sum(run.stopped for run in results)
    good = not left_out and not stopped and not worse and all(scenario.passed for scenario in scenarios)
    verdict = f"{failures} failed" if failures else "all passed"
    if worse:
        verdict += f", {counted(len(worse), 'measure')} worse"
    elif failures and good:
        verdict += ", as many as may"
    elif stopped:
        verdict = f"{failures} failed, {stopped} broken off"
    screen.print(plain(f"{counted(len(results), 'run')}: {verdict}", "bold green" if good else "bold red"))
    if (cost := sum(run.cost for run in results)) or left_out:
        screen.print(plain(f"The models cost about {cost:.4f} {currency}", "dim"))
    if left_out:
        told = f"{counted(left_out, 'run')} not made: they could cost more than may be spent (--max-cost)"
        screen.print(plain(told, "bold red"))


def _tell_failure(screen: Console, run: Rehearsed) -> None:
    place = f"{run.file}:{run.line}" if run.line else run.file
    which = f" #{run.attempt}" if run.simulated is not None and run.attempt > 1 else ""
    screen.print(plain(f"✗ {run.name}{which}  ({place})", "bold red"))
    screen.print(plain(f"  {run.failure}"))
    for verdict in run.verdicts:
        if verdict.fails:
            for text in verdict.evidence:
                screen.print(plain(f"    {verdict.name}: {text}", "yellow"))
            for text in verdict.refused:
                screen.print(plain(f"    {verdict.name}: not in the call: {text}", "yellow"))
    for line in run.dialogue.splitlines():
        style = "bold red" if line.split()[1:2] == ["expected"] else "dim"
        screen.print(plain(f"  {line}", style))
    if run.simulated is not None and run.simulated.ended:
        screen.print(plain(f"  ({run.simulated.ended})", "dim"))
    screen.print()


def _table(scenarios: Sequence[ScenarioRate]) -> Table:
    judged = any(scenario.runs[0].simulated is not None for scenario in scenarios)
    headings = ("scenario", "passed", *(("95 % interval",) if judged else ()), "call")
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "scenario" else "right")
    for scenario in scenarios:
        seconds = sum(run.seconds for run in scenario.runs) / len(scenario.runs)
        style = "green" if scenario.passed else "red"
        between = [_between(scenario.rate)] if judged else []
        table.add_row(plain(scenario.name), plain(f"{scenario.rate}", style), *between, f"{seconds:.0f} s")
        for name, rate in scenario.criteria.items():
            shown = str(rate) if rate.of else "not judged"
            table.add_row(plain(f"  {name}"), shown, _between(rate) if rate.of else "", "", style="dim")
    return table


def _between(rate: SuccessRate) -> str:
    low, high = rate.interval
    return f"{100 * low:.0f}–{100 * high:.0f} %"


def measured(results: Sequence[Rehearsed]) -> dict[str, Figures]:
    """The measures of each scenario, of the runs that passed."""
    return {
        scenario.name: figures([run.measures for run in scenario.runs if run.passed and run.measures])
        for scenario in rates_of(results)
    }


def _tell_measures(screen: Console, scenarios: Mapping[str, Figures], worse: Sequence[str]) -> None:
    """A row for each scenario, and what is worse than in the baseline."""
    shown = [
        name
        for name in _HEADINGS
        if name not in _WHERE_THERE_ARE or any(found.get(name) for found in scenarios.values())
    ]
    table = Table(box=None, pad_edge=False)
    for heading in ("measured", *(_HEADINGS[name] for name in shown)):
        table.add_column(heading, justify="left" if heading == "measured" else "right")
    for scenario, found in scenarios.items():
        if found:
            table.add_row(plain(scenario), *(_figure(name, found.get(name)) for name in shown))
    if table.rows:
        screen.print(table)
        screen.print()
    if worse:
        screen.print(plain(f"✗ {counted(len(worse), 'measure')} worse than in the baseline", "bold red"))
        for line in worse:
            screen.print(plain(f"  {line}"))
        screen.print()


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1f} s" if name.endswith("_s") else f"{value:g}"


def document(
    results: Sequence[Rehearsed], currency: str = "USD", left_out: int = 0, worse: Sequence[str] = ()
) -> dict[str, Any]:
    """For programs."""
    return {
        "passed": sum(result.passed for result in results),
        "failed": sum(not result.passed and not result.stopped for result in results),
        "stopped": sum(result.stopped for result in results),
        "not_made": left_out,
        "cost": {"amount": round(sum(result.cost for result in results), 6), "currency": currency},
        "scenarios": [
            {
                "name": scenario.name,
                "ok": scenario.passed,
                "at_least": scenario.at_least,
                **_rate(scenario.rate),
                "criteria": {name: _rate(rate) for name, rate in scenario.criteria.items()},
            }
            for scenario in rates_of(results)
        ],
        "measures": measured(results),
        "worse": list(worse),
        "runs": list(map(_run, results)),
    }


def _rate(rate: SuccessRate) -> dict[str, Any]:
    low, high = rate.interval
    return {
        "passed": rate.passed,
        "of": rate.of,
        "rate": rate.share,
        "low": round(low, 4),
        "high": round(high, 4),
    }


def _run(result: Rehearsed) -> dict[str, Any]:
    return {
        "name": result.name,
        "file": result.file,
        "attempt": result.attempt,
        "passed": result.passed,
        "line": result.line or None,
        "failure": result.failure or None,
        "seconds": round(result.seconds, 1),
        "dialogue": result.dialogue.splitlines(),
        "simulated": msgspec.to_builtins(result.simulated),
        "measures": msgspec.to_builtins(result.measures),
    }


def junit_of(results: Sequence[Rehearsed]) -> str:
    """For continuous integration. Of a scenario that passes as often as it has to, no run is a failure."""
    root = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(root, "testsuite", name="voice-app rehearse", tests=str(len(results)))
    for scenario in rates_of(results):
        for result in scenario.runs:
            name = result.name if result.attempt == 1 else f"{result.name} #{result.attempt}"
            case = ElementTree.SubElement(
                suite, "testcase", classname=result.file, name=printable(name), time=f"{result.seconds:.1f}"
            )
            _tell_case(case, result, failed=not scenario.passed)
    for kind, attribute in (("failure", "failures"), ("skipped", "skipped")):
        suite.set(attribute, str(len(suite.findall(f"testcase/{kind}"))))
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _tell_case(case: ElementTree.Element, result: Rehearsed, *, failed: bool) -> None:
    properties = ElementTree.SubElement(case, "properties")
    for name, value in (msgspec.to_builtins(result.measures) or {}).items():
        if value is not None:
            ElementTree.SubElement(properties, "property", name=name, value=f"{value:g}")
    if result.stopped:
        ElementTree.SubElement(case, "skipped", message="broken off because of what may be spent")
    elif not result.passed and failed:
        told = ElementTree.SubElement(case, "failure", message=printable(result.failure))
        told.text = "\n".join(map(printable, result.dialogue.splitlines()))
    elif not result.passed:
        ElementTree.SubElement(case, "system-out").text = "\n".join(_shown(result))


def _shown(result: Rehearsed) -> Iterator[str]:
    yield printable(result.failure)
    yield from map(printable, result.dialogue.splitlines())
