"""Read what the rules need, apply them, and weigh what ``VOICE_APP_GUARD_ALLOW`` allows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath
from typing import Final

from voice_app.findings import RULES, WARNING, Finding, Hit, Severity, declare
from voice_app.guard import rules
from voice_app.guard.collector import collect
from voice_app.guard.snapshot import Allowance, Scope, Snapshot
from voice_app.twilio import TwilioApi
from voice_app.twiml import RULES as TWIML_RULES

SETTING: Final = "VOICE_APP_GUARD_ALLOW"

CFG103: Final = declare(
    "CFG103",
    WARNING,
    "an allowance that allows nothing",
    "What VOICE_APP_GUARD_ALLOW names is gone, is misspelt, or cannot be allowed. An allowance that is left "
    "behind hides the next finding of its kind.",
    fix="Take it out of VOICE_APP_GUARD_ALLOW.",
)

_CHECKS: Final = tuple(
    (item, item.check)
    for item in RULES.values()
    if item.check is not None and item.check.__module__.startswith(rules.__name__)
)
_NEVER: Final = frozenset({"STT104"} | {item.id for item in RULES.values() if not item.overridable})
"""Rules that nothing overrides."""
_PROOFS: Final = frozenset({"STT101", "STT102", "STT103", "STT105"})
"""The rules that see a second engine in what was read of the account."""
_KNOWN: Final = frozenset({*TWIML_RULES, *RULES})


class Verdict(StrEnum):
    """What the findings amount to."""

    FINE = "fine"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """Nothing is known to be wrong, and not everything could be read."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a check came to, and what it rests on."""

    snapshot: Snapshot
    findings: list[Finding]

    @property
    def verdict(self) -> Verdict:
        return verdict(self.findings)

    @property
    def exit_code(self) -> int:
        """0: the server may start."""
        return exit_code(self.findings)

    @property
    def refusals(self) -> list[Finding]:
        """What proves that speech-to-text is billed twice. A doubt proves nothing."""
        return [item for item in self.findings if item.severity is Severity.ERROR and item.rule in _PROOFS]


async def check_account(
    api: TwilioApi, scope: Scope, *, templates: Sequence[Finding] = (), seconds: float = 20.0
) -> Report:
    """Look at the account and judge it. ``templates`` are what the linter found.

    Each part is given ``seconds`` to be read. Never raises for what Twilio answers: what cannot be read is a
    finding, and if it bears on double billing and the scope is strict, an error (STT106).
    """
    snapshot = await collect(api, scope, seconds=seconds)
    # Off the loop: a large account has thousands of rules, and there may be calls on the line.
    return Report(snapshot, await asyncio.to_thread(judge, snapshot, templates))


def judge(snapshot: Snapshot, templates: Sequence[Finding] = ()) -> list[Finding]:
    """Everything that is wrong with what was read, allowances taken into account."""
    found = [*templates]
    for rule, check in _CHECKS:
        found += map(rule.of, check(snapshot))
    return allow(found, snapshot.scope.allowances, complete=not snapshot.unread)


def verdict(findings: Sequence[Finding], *, strict: bool = False) -> Verdict:
    """What to call it. ``strict``: warnings forbid to go on, too.

    A doubt whether speech-to-text is billed once is never fine, not even where it does not refuse.
    """
    if _grave(findings, strict) - {"STT106"}:
        return Verdict.REFUSED
    doubtful = any(item.rule == "STT106" and item.severity is not Severity.NOTE for item in findings)
    return Verdict.UNKNOWN if doubtful else Verdict.FINE


def exit_code(findings: Sequence[Finding], *, strict: bool = False) -> int:
    """0: nothing forbids to go on; 1: something does; 3: what could not be found out does."""
    grave = _grave(findings, strict)
    return 0 if not grave else 3 if grave == {"STT106"} else 1


def _grave(findings: Sequence[Finding], strict: bool) -> set[str]:
    severities = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    return {finding.rule for finding in findings if finding.severity in severities}


def allow(
    findings: Sequence[Finding], allowances: Sequence[Allowance], *, complete: bool = True
) -> list[Finding]:
    """The findings, with those that are allowed made notes, and one for every allowance that allows nothing.

    Unless everything that matters was read (``complete``), an allowance may seem idle and is not.
    """
    used: set[Allowance] = set()
    weighed: list[Finding] = []
    for finding in findings:
        matching = [item for item in allowances if item.rule not in _NEVER and _about(item, finding)]
        used.update(matching)
        weighed.append(_allowed(finding, matching[0]) if matching else finding)
    idle = [item for item in allowances if item not in used]
    hits = [hit for item in dict.fromkeys(idle) if (hit := _idle(item, complete)) is not None]
    return [*weighed, *map(CFG103.of, hits)]


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
    if allowance.rule in _NEVER:
        why = f"{allowance.rule} cannot be allowed"
    elif allowance.rule not in _KNOWN:
        why = f"there is no rule {allowance.rule}"
    elif complete:
        why = f"{allowance.rule} has nothing to say about {allowance.subject}"
    else:
        return None
    return Hit(where=SETTING, message=f"{allowance} allows nothing: {why}", fix="Take it out.")
