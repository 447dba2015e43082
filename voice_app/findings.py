"""What a check reports: one shape for the TwiML linter and for the guard."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    """The server refuses to run, or Twilio would refuse the document."""
    WARNING = "warning"
    """It works, but most likely not as intended."""
    NOTE = "note"
    """Worth knowing; nothing has to change."""


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that a check found, with everything needed to act on it."""

    rule: str
    """Stable id of the rule, e.g. ``STT101`` or ``TWI102``. Every id is listed in the README."""
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


def refuses(findings: list[Finding]) -> bool:
    """Whether any of the findings forbids to go on."""
    return any(finding.severity is Severity.ERROR for finding in findings)
