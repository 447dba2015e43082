"""Findings as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.text import Text

from voice_app.findings import Finding, Severity
from voice_app.guard.check import Verdict
from voice_app.guard.facts import Fact

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "bold cyan"}
_HEADLINES = {
    Verdict.FINE: ("Fine: speech-to-text is billed once", "bold green"),
    Verdict.REFUSED: ("Refused", "bold red"),
    Verdict.UNKNOWN: ("Not verified", "bold yellow"),
}
_INDENT = "  "


def report(findings: Iterable[Finding]) -> Text:
    """All findings, the gravest first. For plain text take ``.plain``.

    What comes from Twilio is untrusted: it can neither style the text nor steer the terminal.
    """
    order = list(Severity)
    text = Text()
    for finding in sorted(findings, key=lambda item: order.index(item.severity)):
        if text:
            text.append("\n\n")
        text.append_text(_paragraph(finding))
    return text


def overview(verdict: Verdict, facts: Sequence[Fact], findings: Sequence[Finding]) -> Text:
    """What was found out at a glance, then what it rests on, then every finding under its severity."""
    headline, style = _HEADLINES[verdict]
    text = Text()
    text.append(f"{headline}{_tally(findings)}\n", style)
    width = max((len(name) for name, _ in facts), default=0)
    for name, value in facts:
        text.append(f"\n{_INDENT}{_tame(name):<{width}}  ", "dim")
        text.append(_tame(value))
    for severity in Severity:
        group = [finding for finding in findings if finding.severity is severity]
        if group:
            title = f"{severity}s ({len(group)})"
            text.append(f"\n\n{title}\n{'─' * len(title)}\n", _STYLES[severity])
            text.append_text(report(group))
    return text


def _tally(findings: Sequence[Finding]) -> str:
    counts = [(severity, sum(item.severity is severity for item in findings)) for severity in Severity]
    told = [f"{number} {severity}{'s' if number > 1 else ''}" for severity, number in counts if number]
    return f" — {', '.join(told)}" if told else ""


def _paragraph(finding: Finding) -> Text:
    text = Text()
    text.append(f"{finding.severity} {finding.rule}", _STYLES[finding.severity])
    text.append(f" {_tame(finding.place)}: {_tame(finding.message)}")
    for fact in finding.evidence:
        text.append(f"\n{_INDENT}- {_tame(fact)}")
    for word, sentence in (("Why", finding.reason), ("Fix", finding.fix)):
        if sentence:
            text.append(f"\n{_INDENT}{word}: ", "bold")
            text.append(_tame(sentence))
    return text


def _tame(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
