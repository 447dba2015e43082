"""Read what the rules need, apply them, weigh what ``VOICE_APP_GUARD_ALLOW`` allows: once, or on a clock."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath
from typing import Final

from voice_app.findings import RULES, WARNING, Finding, Hit, Severity, declare
from voice_app.guard import rules
from voice_app.guard.collector import Collector
from voice_app.guard.snapshot import Allowance, Scope, Snapshot
from voice_app.telemetry import metrics
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
    binding="it is gone as soon as the allowance is",
)
# What a start finds beside the account: `voice_app.server.startup`.
CFG105: Final = declare(
    "CFG105",
    WARNING,
    "the model does not answer as it should",
    "The agent `chat` asks this endpoint on every call: callers would hear that something went wrong.",
    fix="Put it right, or name a VOICE_APP_FALLBACK_MODEL.",
)
CFG106: Final = declare(
    "CFG106",
    WARNING,
    "a setting that nothing uses",
    "It has no effect: most likely another setting is missing beside it.",
    fix="Set what it goes with, or take it out.",
)

_CHECKS: Final = tuple(
    (item, item.check)
    for item in RULES.values()
    if item.check is not None and item.check.__module__.startswith(rules.__name__)
)
_PROOFS: Final = frozenset({"STT101", "STT102", "STT103", "STT105"})
"""The rules that see a second engine in what was read of the account."""
FIRST_LOOK_SECONDS: Final = 5.0
"""How long a worker that was restarted waits for what the account says before it takes calls."""

log = logging.getLogger(__name__)


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
    api: TwilioApi,
    scope: Scope,
    *,
    templates: Sequence[Finding] = (),
    beside: Awaitable[Sequence[Finding]] | None = None,
    seconds: float = 20.0,
) -> Report:
    """Look at the account and judge it. ``templates`` are what the linter found, ``beside`` what is found
    meanwhile in places that Twilio knows nothing of: they may be allowed like everything else.

    Each part is given ``seconds`` to be read. Never raises for what Twilio answers: what cannot be read is a
    finding, and if it bears on double billing and the scope is strict, an error (STT106).
    """
    looked = Collector(api, scope, seconds).collect()
    snapshot, found = (await looked, ()) if beside is None else await asyncio.gather(looked, beside)
    # Off the loop: a large account has thousands of rules, and there may be calls on the line.
    return Report(snapshot, await asyncio.to_thread(judge, snapshot, (*templates, *found)))


def judge(snapshot: Snapshot, others: Sequence[Finding] = ()) -> list[Finding]:
    """Everything that is wrong with what was read, and what ``others`` found. Allowances count for all."""
    found = [*others]
    for rule, check in _CHECKS:
        found += map(rule.of, check(snapshot))
    return allow(found, snapshot.scope.allowances, complete=not snapshot.gaps)


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
        matching = [item for item in allowances if _overridable(item.rule) and _about(item, finding)]
        used.update(matching)
        weighed.append(_allowed(finding, matching[0]) if matching else finding)
    idle = [item for item in allowances if item not in used]
    hits = [hit for item in dict.fromkeys(idle) if (hit := _idle(item, complete)) is not None]
    return [*weighed, *map(CFG103.of, hits)]


def _overridable(rule_id: str) -> bool:
    return rule_id in RULES and RULES[rule_id].overridable


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
    rule = RULES.get(allowance.rule) or TWIML_RULES.get(allowance.rule)
    if rule is not None and rule.binding:
        why = f"{rule.id} cannot be allowed: {rule.binding}"
    elif rule is None:
        why = f"there is no rule {allowance.rule}"
    elif complete:
        why = f"{allowance.rule} has nothing to say about {allowance.subject}"
    else:
        return None
    return Hit(where=SETTING, message=f"{allowance} allows nothing: {why}", fix="Take it out.")


class Watch:
    """Looks again and again. ``seconds`` lie between two looks; 0 looks on demand only.

    ``refuse``: new calls are refused while speech-to-text is billed twice.
    """

    def __init__(
        self, look: Callable[[], Awaitable[Report]], *, seconds: float, refuse: bool = False
    ) -> None:
        self._look = look
        self._seconds = seconds
        self._refuse = refuse
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()
        self._known: frozenset[tuple[str, str]] = frozenset()
        self._counted: Counter[tuple[str, str]] = Counter()
        self._doubted = False
        self._others: dict[str, str] = {}
        self.report: Report | None = None
        """What the latest look came to; `None` before the first."""

    def tell(self, topic: str, alarm: str) -> None:
        """Raise an alarm about something else, for those who watch this one; empty: it is over."""
        if self._others.get(topic, "") == alarm:
            return
        self._others[topic] = alarm
        self._tell_change()

    def _tell_change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def refusals(self) -> list[str]:
        """The ids of the rules that prove it now."""
        return sorted({rule for rule, _ in self._known})

    @property
    def alarm(self) -> str:
        """What is wrong, for people; empty while nothing is."""
        told = f"speech-to-text is billed twice ({', '.join(self.refusals)}), see voice-app check"
        return "; ".join(filter(None, (told if self._known else "", *self._others.values())))

    @property
    def refusing(self) -> bool:
        """Whether new calls are refused now."""
        return self._refuse and bool(self._known)

    async def changed(self) -> None:
        """Wait until the alarm is another one."""
        await self._changed.wait()

    async def look_first(self, seconds: float = FIRST_LOOK_SECONDS) -> None:
        """Look before the first call comes. What takes longer is left to `run`, which looks at once then."""
        try:
            async with asyncio.timeout(seconds):
                self._take(await self._look())
        except TimeoutError:
            log.warning("the guard did not find out within %g s, and looks on", seconds)
            self.look()

    async def check(self) -> Report:
        """Look now, and wait for what it comes to."""
        self._take(report := await self._look())
        return report

    def look(self) -> None:
        """Look now, instead of when it is time."""
        self._wanted.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await self._pause()
            try:
                self._take(await self._look())
            except Exception:
                # Whatever it is: the calls do not depend on it, and the next look may work.
                log.exception("the guard's check failed")

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._seconds or None):
                await self._wanted.wait()
        except TimeoutError:
            pass
        self._wanted.clear()

    def _take(self, report: Report) -> None:
        self.report = report
        metrics.GUARD_CHECKS.labels(report.verdict).inc()
        self._count(report)
        self._doubt(report)
        refusals = {(item.rule, item.where): item for item in report.refusals}
        now = frozenset(refusals) | (self._known if _in_doubt(report) else frozenset())
        appeared = now - self._known
        for key in appeared:
            log.error(
                "speech-to-text is billed twice, and %s: %s %s: %s; see voice-app check",
                "new calls go to people or busy.xml" if self._refuse else "calls go on",
                *key,
                refusals[key].message,
            )
        if self._known and not now:
            log.warning("speech-to-text is billed once again: %s is gone", ", ".join(self.refusals))
        for rule in self.refusals:
            metrics.GUARD_REFUSALS.labels(rule).set(0)
        changed, self._known = now != self._known, now
        for rule in self.refusals:
            metrics.GUARD_REFUSALS.labels(rule).set(1)
        if changed:
            self._tell_change()

    def _count(self, report: Report) -> None:
        """Tell the metrics what was found; what was found before and is gone is 0."""
        found = Counter((item.rule, str(item.severity)) for item in report.findings)
        for rule, severity in {*found, *self._counted}:
            metrics.FINDINGS.labels(rule, severity).set(found[rule, severity])
        self._counted = found

    def _doubt(self, report: Report) -> None:
        doubted = bool(report.snapshot.gaps)
        if doubted and not self._doubted:
            for item in report.snapshot.gaps:
                log.warning("the guard cannot read %s %s: %s", item.part, item.where, item.error.answer)
        self._doubted = doubted


def _in_doubt(report: Report) -> bool:
    """Whether something could not be read that may still be wrong, in either mode of the guard."""
    return any(item.rule == "STT106" and item.severity is not Severity.NOTE for item in report.findings)
