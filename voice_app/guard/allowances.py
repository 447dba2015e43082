"""``VOICE_APP_GUARD_ALLOW``: findings that somebody has looked at and wants to live with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Final

from voice_app.findings import Finding, Severity
from voice_app.guard.rule import Hit
from voice_app.guard.rules import RULES
from voice_app.guard.scope import Allowance
from voice_app.twiml import RULES as TWIML_RULES

SETTING: Final = "VOICE_APP_GUARD_ALLOW"
NEVER: Final = frozenset({"STT104"} | {rule.id for rule in RULES.values() if not rule.overridable})
"""Rules that nothing overrides."""

_KNOWN: Final[Mapping[str, object]] = {**TWIML_RULES, **RULES}


def allow(
    findings: Sequence[Finding], allowances: Sequence[Allowance], *, complete: bool = True
) -> list[Finding]:
    """The findings, with those that are allowed made notes, and one for every allowance that allows nothing.

    Unless everything that matters was read (``complete``), an allowance may seem idle and is not.
    """
    used: set[Allowance] = set()
    weighed: list[Finding] = []
    for finding in findings:
        matching = [item for item in allowances if item.rule not in NEVER and _about(item, finding)]
        used.update(matching)
        weighed.append(_allowed(finding, matching[0]) if matching else finding)
    idle = [item for item in allowances if item not in used]
    hits = [hit for item in dict.fromkeys(idle) if (hit := _idle(item, complete)) is not None]
    return [*weighed, *map(RULES["CFG103"].finding, hits)]


def _about(allowance: Allowance, finding: Finding) -> bool:
    """Templates are known by their names, whatever folder they are in."""
    subjects = (finding.where, PurePath(finding.where).name)
    return allowance.rule == finding.rule and allowance.subject in subjects


def _allowed(finding: Finding, allowance: Allowance) -> Finding:
    return Finding(
        rule=finding.rule,
        severity=Severity.NOTE,
        where=finding.where,
        message=f"{finding.message} (allowed by {SETTING})",
        line=finding.line,
        reason=finding.reason,
        evidence=finding.evidence,
        fix=f"If it is not wanted any more, take {allowance} out of {SETTING}.",
    )


def _idle(allowance: Allowance, complete: bool) -> Hit | None:
    if allowance.rule in NEVER:
        why = f"{allowance.rule} cannot be allowed"
    elif allowance.rule not in _KNOWN:
        why = f"there is no rule {allowance.rule}"
    elif complete:
        why = f"{allowance.rule} has nothing to say about {allowance.subject}"
    else:
        return None
    return Hit(where=SETTING, message=f"{allowance} allows nothing: {why}", fix="Take it out.")
