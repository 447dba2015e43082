"""Read what the rules need, and apply them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from voice_app.findings import Finding, Severity
from voice_app.guard.allowances import allow
from voice_app.guard.reader import read
from voice_app.guard.reading import Reading
from voice_app.guard.rules import RULES
from voice_app.guard.scope import Scope
from voice_app.twilio import TwilioApi


class Verdict(IntEnum):
    """What the findings amount to; the value is the exit code of a command."""

    FINE = 0
    REFUSED = 1
    UNKNOWN = 3
    """Nothing is known to be wrong, and not everything could be read."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a check came to, and what it rests on."""

    reading: Reading
    findings: list[Finding]

    @property
    def verdict(self) -> Verdict:
        return verdict(self.findings)

    @property
    def refusals(self) -> list[Finding]:
        """The findings that forbid to take calls; a doubt is none."""
        return [item for item in self.findings if item.severity is Severity.ERROR and item.rule != "STT106"]


async def check(
    api: TwilioApi, scope: Scope, *, templates: Sequence[Finding] = (), seconds: float = 20.0
) -> Report:
    """Look at the account and judge it. ``templates`` are what the linter found.

    Each part is given ``seconds`` to be read. Never raises for what Twilio answers: what cannot be read is a
    finding, and if it bears on double billing and the scope is strict, an error (STT106).
    """
    reading = await read(api, scope, seconds=seconds)
    # Off the loop: a large account has thousands of rules, and there may be calls on the line.
    return Report(reading, await asyncio.to_thread(judge, reading, templates))


def judge(reading: Reading, templates: Sequence[Finding] = ()) -> list[Finding]:
    """Everything that is wrong with what was read, allowances taken into account."""
    found = [*templates]
    for rule in RULES.values():
        if rule.check is not None:
            found += map(rule.finding, rule.check(reading))
    return allow(found, reading.scope.allowances, complete=not reading.unread)


def verdict(findings: Sequence[Finding], *, strict: bool = False) -> Verdict:
    """Whether to go on. ``strict``: warnings forbid it too."""
    grave = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    rules = {finding.rule for finding in findings if finding.severity in grave}
    if not rules:
        return Verdict.FINE
    return Verdict.UNKNOWN if rules == {"STT106"} else Verdict.REFUSED
