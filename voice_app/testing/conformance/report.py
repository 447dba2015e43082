"""A report for people, for programs, and for CI."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from xml.etree import ElementTree

from rich.table import Table
from rich.text import Text

from voice_app.testing.conformance.case import ConformanceCase
from voice_app.testing.conformance.suite import CaseOutcome, ConformanceReport

_STYLES: Final = {
    CaseOutcome.PASS: "green",
    CaseOutcome.FAIL: "bold red",
    CaseOutcome.WARN: "yellow",
    CaseOutcome.SKIP: "dim",
}


def table(report: ConformanceReport) -> Table:
    """A row for each case; what was seen instead, and what a caller hears then, stand below it."""
    found = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("case", "", "what must hold"):
        found.add_column(title)
    for result in report.results:
        told = Text(result.case.holds)
        if result.outcome is not CaseOutcome.PASS and result.detail:
            told.append(f"\n{_printable(result.detail)}", _STYLES[result.outcome])
        if result.outcome in (CaseOutcome.FAIL, CaseOutcome.WARN):
            told.append(f"\nsent: {result.case.sends}", "dim")
            told.append(f"\nheard: {result.case.heard}", "dim")
            told.append(f"\nsource: {result.case.source} ({result.case.grade})", "dim")
        found.add_row(result.case.name, Text(result.outcome, _STYLES[result.outcome]), told)
    return found


def summary(report: ConformanceReport) -> str:
    """E.g. ``60 cases: 58 pass, 0 fail, 1 warn, 1 skip.``"""
    counts = report.counts
    return f"{len(report.results)} cases: {', '.join(f'{counts[kind]} {kind}' for kind in CaseOutcome)}."


def list_table(cases: Iterable[ConformanceCase]) -> Table:
    """Cases, and where each is written."""
    found = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("case", "what is sent", "what must hold", "source", "grade"):
        found.add_column(title)
    for case in cases:
        found.add_row(case.name, Text(case.sends), Text(case.holds), Text(case.source), case.grade)
    return found


def case_facts(case: ConformanceCase) -> dict[str, Any]:
    """A case for programs."""
    names = ("name", "sends", "holds", "source", "heard", "grade")
    return {name: getattr(case, name) for name in names} | {"needs": sorted(case.needs)}


def report_facts(report: ConformanceReport) -> dict[str, Any]:
    """The report for programs."""
    return {
        "backend": report.backend,
        "counts": {kind: report.counts[kind] for kind in CaseOutcome},
        "cases": [
            case_facts(result.case)
            | {"outcome": result.outcome, "detail": result.detail, "seconds": result.seconds}
            for result in report.results
        ],
    }


def junit(report: ConformanceReport) -> bytes:
    """The report as JUnit's XML; a warning is a test that passes and says something."""
    counts = report.counts
    suite = ElementTree.Element(
        "testsuite",
        name="conformance",
        tests=str(len(report.results)),
        failures=str(counts[CaseOutcome.FAIL]),
        errors="0",
        skipped=str(counts[CaseOutcome.SKIP]),
        time=f"{sum(result.seconds for result in report.results):.3f}",
    )
    for result in report.results:
        test = ElementTree.SubElement(
            suite, "testcase", classname="conformance", name=result.case.name, time=f"{result.seconds:.3f}"
        )
        detail = _printable(result.detail)
        match result.outcome:
            case CaseOutcome.FAIL:
                failure = ElementTree.SubElement(test, "failure", message=detail)
                failure.text = (
                    f"{result.case.holds}\nheard: {result.case.heard}\nsource: {result.case.source}"
                )
            case CaseOutcome.SKIP:
                ElementTree.SubElement(test, "skipped", message=detail)
            case CaseOutcome.WARN:
                ElementTree.SubElement(test, "system-out").text = f"warning: {detail}"
            case CaseOutcome.PASS:
                pass
    return bytes(ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)) + b"\n"


def _printable(text: str) -> str:
    """What a backend said, without what could steer a terminal or is not allowed in XML."""
    return "".join(character if character.isprintable() else " " for character in text)
