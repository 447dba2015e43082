"""What the guard has to say about a change before it is made."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from voice_app.cli.account import TwilioAccount
from voice_app.findings import Finding, Severity
from voice_app.guard import Named, Snapshot, judge
from voice_app.guard.snapshot import SETTING
from voice_app.twilio import Configuration

_RULES: Final = re.compile(r"STT10[1235]|CFG11[0-8]|CFG124")
"""The rules that look at nothing but the configuration, our numbers and our people."""


def traps(account: TwilioAccount, before: Configuration, after: Configuration) -> list[Finding]:
    """The findings that the change brings; what was there before is `voice-app check`'s to report."""
    known = {_key(finding, fact) for finding in _findings(account, before) for fact in _facts(finding)}
    return [
        _raised(finding)
        for finding in _findings(account, after)
        if any(_key(finding, fact) not in known for fact in _facts(finding))
    ]


def _findings(account: TwilioAccount, configuration: Configuration) -> list[Finding]:
    named = configuration.id in account.named
    snapshot = Snapshot(
        scope=account.scope,
        named=(Named(configuration.id, SETTING, configuration),) if named else (),
        configurations=(configuration,),
    )
    return [finding for finding in judge(snapshot) if _RULES.fullmatch(finding.rule)]


def _facts(finding: Finding) -> tuple[str, ...]:
    return finding.evidence or (finding.message,)


def _key(finding: Finding, fact: str) -> tuple[str, str]:
    """A fact without the place of the rule in its list, which moves when another one goes."""
    return finding.rule, re.sub(r"capture rule \d+", "capture rule", fact)


def _raised(finding: Finding) -> Finding:
    """What is wrong with a configuration that our TwiML does not name is a note to a check. Who is just
    writing it wants to know.
    """
    if finding.severity is Severity.NOTE and finding.rule.startswith("CFG"):
        return msgspec.structs.replace(finding, severity=Severity.WARNING)
    return finding
