"""What came of rehearsed scenarios: a table with the failures above it, JSON, and JUnit's XML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final
from xml.etree import ElementTree

import msgspec
from rich.console import Console
from rich.table import Table

from voice_app.cli.output import console, plain
from voice_app.findings import counted, printable
from voice_app.testing.rates import ScenarioRate, SuccessRate, rates_of
from voice_app.testing.rehearsal import Rehearsed

MAX_SHOWN: Final = 3
"""Failed runs of one scenario that are shown with their calls."""


def tell(results: Sequence[Rehearsed], currency: str = "USD", left_out: int = 0) -> None:
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
    failures = sum(not run.passed and not run.stopped for run in results)
    stopped = sum(run.stopped for run in results)
    good = not left_out and not stopped and all(scenario.passed for scenario in scenarios)
    verdict = f"{failures} failed" if failures else "all passed"
    if failures and good:
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


def document(results: Sequence[Rehearsed], currency: str = "USD", left_out: int = 0) -> dict[str, Any]:
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
