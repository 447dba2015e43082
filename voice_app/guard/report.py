"""Findings as people read them."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from voice_app.findings import Finding, Severity

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "bold cyan"}
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
