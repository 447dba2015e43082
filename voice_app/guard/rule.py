"""What a rule is, and what it says where it hits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from voice_app.findings import Finding, Severity
from voice_app.guard.reading import Reading
from voice_app.twilio import Configuration

MOST_EVIDENCE: Final = 10
"""Facts that are listed; the rest is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One place where a rule is broken."""

    where: str
    """What it is about: the id that an allowance names."""
    message: str
    evidence: Sequence[str] = ()
    fix: str = ""
    severity: Severity | None = None
    """None: as the rule has it."""


Check: TypeAlias = Callable[[Reading], Iterable[Hit]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that can be wrong, with the function that looks for it."""

    id: str
    """Stable: ``STT…`` double billing, ``CFG…`` configurations, ``MEM…`` memory, ``INT…`` intelligence,
    ``NUM…`` numbers. From 201 on: seen while calls run.
    """
    severity: Severity
    """How bad it usually is."""
    title: str
    explanation: str
    check: Check | None = None
    """None for a rule that is not about a reading."""
    overridable: bool = True
    """Whether ``VOICE_APP_GUARD_ALLOW`` can allow it."""

    def finding(self, hit: Hit) -> Finding:
        """A hit with what the rule knows about it."""
        evidence = list(hit.evidence[:MOST_EVIDENCE])
        if len(hit.evidence) > MOST_EVIDENCE:
            evidence.append(f"and {len(hit.evidence) - MOST_EVIDENCE} more")
        return Finding(
            rule=self.id,
            severity=hit.severity or self.severity,
            where=hit.where,
            message=hit.message,
            reason=self.explanation,
            evidence=tuple(evidence),
            fix=hit.fix,
        )


def called(configuration: Configuration) -> str:
    """A configuration as people know it: id, name and version."""
    version = "version unknown" if configuration.version is None else f"version {configuration.version}"
    return f"{configuration.id} ({configuration.display_name or 'no name'}, {version})"


def weighed(reading: Reading, configuration: Configuration, severity: Severity) -> Severity:
    """What is wrong with a configuration that our TwiML does not name is no more than a note to us."""
    return severity if any(configuration is item for item in reading.in_use) else Severity.NOTE


def counted(number: int, noun: str) -> str:
    """E.g. ``a capture rule`` or ``3 capture rules``."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}" if number == 1 else f"{number} {noun}s"
