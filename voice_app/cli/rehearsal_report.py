"""What came of rehearsed scenarios: a table with the failures above it, JSON, and JUnit's XML."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

from rich.table import Table

from voice_app.cli.output import console, plain
from voice_app.findings import counted, printable
from voice_app.testing.rehearsal import Rehearsed


def tell(results: Sequence[Rehearsed]) -> None:
    """For people: each failure with its call, then a row for each scenario."""
    screen = console()
    for result in results:
        if not result.passed:
            place = f"{result.file}:{result.line}" if result.line else result.file
            screen.print(plain(f"✗ {result.name}  ({place})", "bold red"))
            screen.print(plain(f"  {result.failure}"))
            for line in result.dialogue.splitlines():
                style = "bold red" if line.split()[1:2] == ["expected"] else "dim"
                screen.print(plain(f"  {line}", style))
            screen.print()
    table = Table(box=None, pad_edge=False)
    for heading in ("scenario", "passed", "call"):
        table.add_column(heading, justify="left" if heading == "scenario" else "right")
    for name, runs in _by_name(results).items():
        passed = sum(run.passed for run in runs)
        style = "green" if passed == len(runs) else "red"
        seconds = sum(run.seconds for run in runs) / len(runs)
        table.add_row(plain(name), plain(f"{passed}/{len(runs)}", style), f"{seconds:.0f} s")
    screen.print(table)
    failed = sum(not result.passed for result in results)
    verdict = f"{failed} failed" if failed else "all passed"
    screen.print()
    style = "bold red" if failed else "bold green"
    screen.print(plain(f"{counted(len(results), 'run')}: {verdict}", style))


def document(results: Sequence[Rehearsed]) -> dict[str, Any]:
    """For programs."""
    return {
        "passed": sum(result.passed for result in results),
        "failed": sum(not result.passed for result in results),
        "runs": [
            {
                "name": result.name,
                "file": result.file,
                "attempt": result.attempt,
                "passed": result.passed,
                "line": result.line or None,
                "failure": result.failure or None,
                "seconds": round(result.seconds, 1),
                "dialogue": result.dialogue.splitlines(),
            }
            for result in results
        ],
    }


def junit_of(results: Sequence[Rehearsed]) -> str:
    """For continuous integration."""
    failed = str(sum(not result.passed for result in results))
    root = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(
        root, "testsuite", name="voice-app rehearse", tests=str(len(results)), failures=failed
    )
    for result in results:
        name = result.name if result.attempt == 1 else f"{result.name} #{result.attempt}"
        case = ElementTree.SubElement(
            suite, "testcase", classname=result.file, name=printable(name), time=f"{result.seconds:.1f}"
        )
        if not result.passed:
            told = ElementTree.SubElement(case, "failure", message=printable(result.failure))
            told.text = "\n".join(map(printable, result.dialogue.splitlines()))
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _by_name(results: Sequence[Rehearsed]) -> dict[str, list[Rehearsed]]:
    found: defaultdict[str, list[Rehearsed]] = defaultdict(list)
    for result in results:
        found[result.name].append(result)
    return found
