"""The matcher against its own definition, spelt out for single calls."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voice_app.guard.matching import ANYONE, CALL_TYPES, Line, Match, call_type_of, match, normalised
from voice_app.twilio.models import CaptureRule

OURS = "+15550100001"
THEIRS = "+15550100002"

ADDRESSES = st.sampled_from(
    [OURS, THEIRS, "+442071838750", "client:agent-1", "client:Agent-1", "sip:desk@example.com", "anonymous"]
)
VALUES = ADDRESSES | st.sampled_from(
    ["*", "+1555*", "agent-1", "+1 (555) 010-0001", "sip:desk@EXAMPLE.com:5060", " * "]
)
TYPES = st.sampled_from([*CALL_TYPES, "SIP", "VIDEO", ""]) | st.none()


def rule(from_: str, to: str, call_type: str | None = None) -> CaptureRule:
    return CaptureRule(from_, to, {} if call_type is None else {"callType": call_type})


RULES = st.builds(rule, VALUES, VALUES, TYPES)
LINES = st.builds(Line, ADDRESSES, ADDRESSES, st.sampled_from(CALL_TYPES))


def catches(item: CaptureRule, line: Line) -> bool:
    """The definition for one call between two known parties, word for word."""

    def side(wanted: str, address: str | None) -> bool:
        return "*" in wanted or (address is not None and normalised(wanted) == normalised(address))

    kind = {"SIP": "PUBLIC_SIP", None: "PSTN"}.get(item.call_type, item.call_type)
    doubtful = item.call_type is None or kind not in CALL_TYPES
    same_kind = kind == line.call_type or (doubtful and line.call_type != "PSTN") or kind not in CALL_TYPES
    return side(item.from_, line.from_) and side(item.to, line.to) and same_kind


@given(RULES, LINES)
def test_a_rule_catches_a_call_if_both_sides_and_the_type_do(item: CaptureRule, line: Line) -> None:
    assert (match(item, line) is not Match.NO) == catches(item, line)


@given(RULES, LINES)
def test_what_catches_one_call_catches_calls_with_anyone(item: CaptureRule, line: Line) -> None:
    """Not knowing the other side never hides a match."""
    if match(item, line) is not Match.NO:
        assert match(item, Line(ANYONE, line.to, line.call_type)) is not Match.NO
        assert match(item, Line(line.from_, ANYONE, line.call_type)) is not Match.NO


@given(RULES, LINES)
def test_a_wildcard_catches_at_least_what_the_address_did(item: CaptureRule, line: Line) -> None:
    if match(item, line) is not Match.NO:
        wider = CaptureRule("*", item.to, item.metadata)
        assert match(wider, line) is not Match.NO


@given(RULES, LINES)
def test_a_rule_and_a_call_turned_round_match_as_before(item: CaptureRule, line: Line) -> None:
    turned = CaptureRule(item.to, item.from_, item.metadata)
    assert match(turned, Line(line.to, line.from_, line.call_type)) is match(item, line)


@given(st.text(max_size=30))
@example("sip:")
@example("SIPS:a@b@c")
def test_normalising_twice_is_normalising_once(address: str) -> None:
    once = normalised(address)
    if call_type_of(once) == call_type_of(address):
        assert normalised(once) == once


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_any_text_is_matched_without_an_exception(from_: str, to: str, address: str) -> None:
    assert match(rule(from_, to), Line(address, ANYONE)) in Match


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (rule("*", OURS), Match.EXACT),
        (rule("*", OURS, "PSTN"), Match.EXACT),
        (rule(THEIRS, OURS), Match.EXACT),
        (rule("*", "+1 (555) 010-0001"), Match.EXACT),
        (rule("*", "*"), Match.ACCOUNT),
        (rule("*", "*", "PSTN"), Match.ACCOUNT),
        (rule(THEIRS, "*"), Match.ELSEWHERE),
        (rule("*", "+1555*"), Match.POSSIBLE),
        (rule("+44*", OURS), Match.POSSIBLE),
        (rule("*", OURS, "VIDEO"), Match.POSSIBLE),
        (rule("*", THEIRS), Match.NO),
        (rule(OURS, "*"), Match.ELSEWHERE),
        (rule("*", OURS, "CLIENT"), Match.NO),
        (rule("*", OURS, "SIP"), Match.NO),
    ],
)
def test_a_call_to_us_from_anyone(item: CaptureRule, expected: Match) -> None:
    assert match(item, Line(ANYONE, OURS)) is expected


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (rule(OURS, "*"), Match.EXACT),
        (rule("*", OURS), Match.ELSEWHERE),
        (rule("*", THEIRS), Match.ELSEWHERE),
        (rule("*", "*"), Match.ACCOUNT),
        (rule(THEIRS, "*"), Match.NO),
    ],
)
def test_a_call_from_us_to_anyone(item: CaptureRule, expected: Match) -> None:
    assert match(item, Line(OURS, ANYONE)) is expected


@pytest.mark.parametrize(
    ("call_type", "expected"),
    [
        ("CLIENT", Match.EXACT),
        ("PSTN", Match.NO),
        (None, Match.POSSIBLE),
    ],
)
def test_a_browser_call_needs_its_call_type(call_type: str | None, expected: Match) -> None:
    line = Line(ANYONE, "client:agent-1", "CLIENT")
    assert match(rule("*", "agent-1", call_type), line) is expected
    assert match(rule("*", "Agent-1", call_type), line) is Match.NO


@pytest.mark.parametrize("call_type", ["PUBLIC_SIP", "SIP"])
def test_a_sip_call_is_known_by_either_name_and_by_its_host_in_any_case(call_type: str) -> None:
    line = Line(ANYONE, "sip:desk@Example.com:5060;transport=tls", "PUBLIC_SIP")
    assert match(rule("*", "sip:desk@example.com", call_type), line) is Match.EXACT
    assert match(rule("*", "sip:Desk@example.com", call_type), line) is Match.NO
