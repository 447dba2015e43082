"""What a check found and what it rests on, as people read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from voice_app.findings import Finding, Severity, counted
from voice_app.guard.check import Verdict
from voice_app.guard.matching import VOICE, captures
from voice_app.guard.snapshot import Part, Snapshot, called
from voice_app.twilio import Configuration

if TYPE_CHECKING:  # a server that starts with a warning prints it without Rich, where nobody sees colours
    from rich.text import Text

MOST_NUMBERS = 5

Fact = tuple[str, str]
"""What it is about, and what is the case."""


def facts(snapshot: Snapshot) -> list[Fact]:
    """Everything that was read, in the order in which people ask for it."""
    return [
        *_configurations(snapshot),
        *_stores(snapshot),
        *_intelligence(snapshot),
        *_account(snapshot),
    ]


def _configurations(snapshot: Snapshot) -> Iterator[Fact]:
    if not snapshot.named:
        yield "configuration", "none is named: calls are written to no conversation"
    for named in snapshot.named:
        if named.configuration is None:
            yield "configuration", f"{named.id or named.by}: not read"
    for configuration in snapshot.in_use:
        changed = f", changed {configuration.updated_at}" if configuration.updated_at else ""
        yield "configuration", f"{called(configuration)}{changed}"
        yield "grouping", configuration.grouping or "unknown"
        yield "voice", _voice(configuration)
        for item in configuration.status_callbacks:
            yield "callback", f"{item.get('method') or 'POST'} {item.get('url', '')}"


def _voice(configuration: Configuration) -> str:
    rules = captures(configuration, VOICE)
    told = counted(len(rules), "capture rule") if rules else "no capture rules"
    timeouts: Any = configuration.channel(VOICE).get("statusTimeouts")
    if not isinstance(timeouts, dict) or not timeouts:
        return f"{told}, no timeouts"
    return f"{told}, " + ", ".join(f"{name} after {minutes} min" for name, minutes in timeouts.items())


def _stores(snapshot: Snapshot) -> Iterator[Fact]:
    for store_id, store in snapshot.stores.items():
        state = "not there" if store is None else f"{store.display_name or 'no name'}, {store.status}"
        yield "memory store", f"{store_id} ({state})"
    for configuration in snapshot.in_use:
        extracted = "extracted" if configuration.memory_extraction_enabled else "not extracted"
        yield "memories", f"{extracted} when a conversation ends"


def _intelligence(snapshot: Snapshot) -> Iterator[Fact]:
    for link, item in snapshot.intelligence.items():
        state = "not there" if item is None else f"{item.display_name or 'no name'}, {_ran(len(item.rules))}"
        yield "intelligence", f"{link} ({state})"


def _account(snapshot: Snapshot) -> Iterator[Fact]:
    numbers = snapshot.numbers
    shown = ", ".join(numbers[:MOST_NUMBERS])
    more = f" and {len(numbers) - MOST_NUMBERS} more" if len(numbers) > MOST_NUMBERS else ""
    if snapshot.incoming is not None:
        more += f"; of the account's {len(snapshot.incoming)}, {len(snapshot.leading_here)} lead here"
    elif snapshot.missed(Part.NUMBERS):
        more += "; those of the account were not read"
    yield "our numbers", (shown or "none known") + more
    if snapshot.scope.handoff_to:
        yield "handoff to", ", ".join(snapshot.scope.handoff_to)
    if snapshot.configurations is not None:
        capturing = sum(bool(captures(item, VOICE)) for item in snapshot.configurations)
        yield (
            "account",
            f"{counted(len(snapshot.configurations), 'configuration')}, {capturing or 'none'} with VOICE "
            "capture rules",
        )
    elif snapshot.missed(Part.CONFIGURATIONS):
        yield "account", "its configurations were not read"
    if snapshot.conversations is not None:
        least = "at least " if snapshot.conversations_cut else ""
        yield "open now", f"{least}{len(snapshot.conversations)} conversations"
    for allowance in snapshot.scope.allowances:
        yield "allowed", str(allowance)


def _ran(rules: int) -> str:
    return counted(rules, "rule") if rules else "no rules"


_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "bold cyan"}
_HEADLINES = {
    Verdict.FINE: ("Fine: speech-to-text is billed once", "bold green"),
    Verdict.REFUSED: ("Refused", "bold red"),
    Verdict.UNKNOWN: ("Not verified", "bold yellow"),
}
_INDENT = "  "


class StyledText:
    """Text in parts, each with one of Rich's styles; Rich can print it, and ``plain`` does without."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, str]] = []

    def append(self, text: str, style: str = "") -> None:
        self.parts.append((text, style))

    def extend(self, other: StyledText) -> None:
        self.parts += other.parts

    @property
    def plain(self) -> str:
        return "".join(text for text, _ in self.parts)

    def __rich__(self) -> Text:
        from rich.text import Text

        return Text.assemble(*self.parts)


def report(findings: Iterable[Finding]) -> StyledText:
    """All findings, the gravest first.

    What comes from Twilio is untrusted: it can neither style the text nor steer the terminal.
    """
    order = list(Severity)
    text = StyledText()
    for finding in sorted(findings, key=lambda item: order.index(item.severity)):
        if text.parts:
            text.append("\n\n")
        text.extend(_paragraph(finding))
    return text


def overview(verdict: Verdict, facts: Sequence[Fact], findings: Sequence[Finding]) -> StyledText:
    """What was found out at a glance, then what it rests on, then every finding under its severity."""
    headline, style = _HEADLINES[verdict]
    text = StyledText()
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
            text.extend(report(group))
    return text


def _tally(findings: Sequence[Finding]) -> str:
    counts = [(severity, sum(item.severity is severity for item in findings)) for severity in Severity]
    told = [counted(number, severity) for severity, number in counts if number]
    return f" — {', '.join(told)}" if told else ""


def _paragraph(finding: Finding) -> StyledText:
    text = StyledText()
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
