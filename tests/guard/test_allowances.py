"""``VOICE_APP_GUARD_ALLOW``."""

from __future__ import annotations

import re

import pytest

from support.accounts import NUMBER, OURS, THEIRS, capturing, judged, others, rule, snapshot, trouble
from voice_app.findings import RULES, Finding, Severity
from voice_app.guard import Allowance, judge
from voice_app.guard.check import allow
from voice_app.guard.snapshot import Part, Unread

PSTN_IN = rule("*", NUMBER)


def allowing(*texts: str) -> dict[str, tuple[Allowance, ...]]:
    return {"allowances": tuple(map(Allowance.read, texts))}


def by_rule(findings: list[Finding]) -> dict[str, Severity]:
    return {finding.rule: finding.severity for finding in findings}


def test_an_allowed_finding_becomes_a_note_that_says_so() -> None:
    [finding] = judged(configurations=others(PSTN_IN), scope=allowing(f"STT102:{THEIRS}"))
    assert finding.severity is Severity.NOTE
    assert "allowed by VOICE_APP_GUARD_ALLOW" in finding.message
    assert finding.evidence


def test_an_allowance_is_for_one_rule_and_one_thing() -> None:
    findings = judged(configurations=others(PSTN_IN), scope=allowing(f"STT102:{OURS}", f"STT103:{THEIRS}"))
    assert by_rule(findings) == {"STT102": Severity.ERROR, "CFG103": Severity.WARNING}


def test_what_bills_twice_for_certain_is_never_allowed() -> None:
    findings = judged(capturing(PSTN_IN), scope=allowing(f"STT101:{OURS}"))
    assert by_rule(findings)["STT101"] is Severity.ERROR
    [idle] = [finding for finding in findings if finding.rule == "CFG103"]
    assert "STT101 cannot be allowed" in idle.message


def test_two_engines_in_one_document_are_never_allowed() -> None:
    both = Finding("STT104", Severity.ERROR, "answer.xml", "two engines")
    findings = judge(snapshot(scope=allowing("STT104:answer.xml")), [both])
    assert by_rule(findings) == {"STT104": Severity.ERROR, "CFG103": Severity.WARNING}


def test_a_finding_of_the_linter_is_allowed_by_the_name_of_the_template() -> None:
    found = Finding("TWI118", Severity.WARNING, "/srv/twiml_templates/answer.xml", "no action", line=3)
    [finding] = judge(snapshot(scope=allowing("TWI118:answer.xml")), [found])
    assert (finding.severity, finding.line) == (Severity.NOTE, 3)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"STT102:{THEIRS}", "STT102 has nothing to say about"),
        ("STT999:x", "there is no rule STT999"),
    ],
)
def test_an_allowance_that_allows_nothing_is_a_finding(text: str, told: str) -> None:
    [finding] = judged(scope=allowing(text))
    assert (finding.rule, finding.severity) == ("CFG103", Severity.WARNING)
    assert told in finding.message
    assert text in finding.message


@pytest.mark.parametrize("rule_id", sorted(rule_id for rule_id in RULES if not rule_id.startswith("TWI")))
def test_every_finding_can_be_allowed_or_says_why_not(rule_id: str) -> None:
    allowance = Allowance(rule_id, "this")
    allowed = [RULES[rule_id].finding("this", "Something is wrong.", severity=Severity.ERROR)]
    weighed = allow(allowed, [allowance])
    if RULES[rule_id].overridable:
        [finding] = weighed
        assert (finding.rule, finding.severity) == (rule_id, Severity.NOTE)
    else:
        finding, idle = weighed
        assert (finding.rule, finding.severity) == (rule_id, Severity.ERROR)
        assert idle.rule == "CFG103"
        assert re.search(rf"{rule_id} cannot be allowed: {RULES[rule_id].binding}", idle.message)


def test_an_allowance_is_not_called_idle_while_something_is_unread() -> None:
    unread = (Unread(Part.STORE, "mem_store_1", trouble()),)
    findings = judged(scope=allowing(f"STT102:{THEIRS}", "STT999:x"), unread=unread)
    idle = [finding.message for finding in findings if finding.rule == "CFG103"]
    assert idle == ["STT999:x allows nothing: there is no rule STT999"]
