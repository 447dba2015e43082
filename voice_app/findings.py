"""What a check reports, and the rules that it reports on: one `Finding` and one registry of `Rule` for the
guard and the TwiML linter.

A rule that one function looks for is a decorator over it; one that several places can break is declared::

    @rule("MEM104", WARNING, "the memory store could not be read", "Whether ...", fix="Ask again ...")
    def store_unread(snapshot: Snapshot) -> Iterator[Hit]: ...

    TWI101 = declare("TWI101", ERROR, "not well-formed XML", "Twilio refuses ...", fix="Close every ...")
    TWI101.finding("answer.xml", "The tag <Dial> is not closed", line=4)

``RULES`` holds both kinds once the module that has them is imported.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

_JOINERS: Final = "\u200c\u200d"
"""Invisible, but part of how some scripts and emoji are written."""
MAX_EVIDENCE: Final = 10
"""Facts that a finding lists; the rest is counted."""


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    """The server refuses to run, or Twilio would refuse the document."""
    WARNING = "warning"
    """It works, but most likely not as intended."""
    NOTE = "note"
    """Worth knowing; nothing has to change."""


ERROR: Final = Severity.ERROR
WARNING: Final = Severity.WARNING
NOTE: Final = Severity.NOTE


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that a check found, with everything needed to act on it."""

    rule: str
    """Stable id of the rule, e.g. ``STT101`` or ``TWI102``. `docs/rules.md` lists all."""
    severity: Severity
    where: str
    """The file, the configuration id or the setting that it is about."""
    message: str
    """What is wrong, in one sentence."""
    line: int | None = None
    """Line in the file, counted from 1."""
    reason: str = ""
    """Why it matters."""
    evidence: tuple[str, ...] = ()
    """The facts that prove it, one per line."""
    fix: str = ""
    """What to do about it."""

    @property
    def place(self) -> str:
        return self.where if self.line is None else f"{self.where}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One place where the rule of a check is broken."""

    where: str
    """What it is about: the id that an allowance names."""
    message: str
    evidence: Sequence[str] = ()
    fix: str = ""
    """Empty: what the rule says."""
    severity: Severity | None = None
    """None: as the rule has it."""


Check: TypeAlias = Callable[[Any], Iterable[Hit]]
C = TypeVar("C", bound=Check)


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that can be wrong."""

    id: str
    """Stable: ``STT...`` double billing, ``CFG...`` configurations, ``MEM...`` memory, ``INT...``
    intelligence, ``NUM...`` numbers, ``TWI...`` TwiML. From 201 on (TwiML aside): seen while calls run.
    """
    severity: Severity
    """How bad it usually is."""
    title: str
    why: str
    """Why it matters: a finding's ``reason``."""
    fix: str
    """What to do about it where a finding knows nothing better."""
    binding: str = ""
    """Why ``VOICE_APP_GUARD_ALLOW`` cannot allow it; empty if it can."""
    check: Check | None = None
    """The function that looks for it; None where no single function does."""

    @property
    def overridable(self) -> bool:
        """Whether ``VOICE_APP_GUARD_ALLOW`` can allow it."""
        return not self.binding

    def finding(
        self,
        where: str,
        message: str,
        *,
        line: int | None = None,
        evidence: Sequence[str] = (),
        fix: str = "",
        severity: Severity | None = None,
        note: str = "",
    ) -> Finding:
        """What is wrong at one place. ``note``: what is not certain about it."""
        shown = [*evidence[:MAX_EVIDENCE]]
        if len(evidence) > MAX_EVIDENCE:
            shown.append(f"and {len(evidence) - MAX_EVIDENCE} more")
        return Finding(
            rule=self.id,
            severity=severity or self.severity,
            where=where,
            message=message,
            line=line,
            reason=f"{self.why} Note: {note}." if note else self.why,
            evidence=tuple(shown),
            fix=fix or self.fix,
        )

    def of(self, hit: Hit) -> Finding:
        """A hit of this rule's check, with what the rule knows about it."""
        return self.finding(hit.where, hit.message, evidence=hit.evidence, fix=hit.fix, severity=hit.severity)


_registry: Final[dict[str, Rule]] = {}
RULES: Final[Mapping[str, Rule]] = MappingProxyType(_registry)
"""Every rule by its id."""


def declare(rule_id: str, severity: Severity, title: str, why: str, *, fix: str, binding: str = "") -> Rule:
    """Register a rule that no single function looks for. Raises `ValueError` for an id that is taken."""
    return _register(Rule(rule_id, severity, title, why, fix, binding))


def rule(
    rule_id: str, severity: Severity, title: str, why: str, *, fix: str, binding: str = ""
) -> Callable[[C], C]:
    """Register a rule together with the function that looks for it."""

    def register(check: C) -> C:
        _register(Rule(rule_id, severity, title, why, fix, binding, check))
        return check

    return register


def _register(new: Rule) -> Rule:
    if new.id in _registry:
        raise ValueError(f"there are two rules {new.id}")
    _registry[new.id] = new
    return new


def refuses(findings: Iterable[Finding]) -> bool:
    """Whether any of the findings forbids to go on."""
    return any(finding.severity is Severity.ERROR for finding in findings)


def printable(text: str) -> str:
    """Untrusted text without what could steer a terminal; a tab or a new line becomes a space."""
    if text.isprintable():
        return text
    return "".join(
        " " if character in "\t\n" else character
        for character in text
        if character in "\t\n" or character in _JOINERS or not unicodedata.category(character).startswith("C")
    )


def counted(number: int, noun: str) -> str:
    """E.g. ``1 capture rule`` or ``2,000 capture rules``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
