"""STT101 and STT106 over every configuration that the API may send, and some that it should not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_app.findings import RULES, Finding, Severity
from voice_app.guard import Named, Scope, Snapshot, judge
from voice_app.twilio import Configuration

ID = "conv_configuration_00000000000000000000000001"
RULE: dict[str, Any] = {"from": "*", "to": "+15550100001", "metadata": {"callType": "PSTN"}}
ABSENT: Any = object()

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["VOICE", "captureRules", "from", "to", "metadata"]), inner)
    ),
    max_leaves=12,
)


def configuration(channel_settings: Any) -> Configuration:
    raw = {"id": ID, "displayName": "acme-voice", "version": 7}
    return Configuration(raw if channel_settings is ABSENT else raw | {"channelSettings": channel_settings})


def voice_capture(named: Configuration, *, strict: bool = True) -> list[Finding]:
    """What the two rules about the named configuration say."""
    snapshot = Snapshot(
        scope=Scope(configuration_id=ID, strict=strict),
        named=(Named(named.id, "TWILIO_CONVERSATION_CONFIGURATION_ID", named),),
    )
    return [finding for finding in judge(snapshot) if finding.rule in ("STT101", "STT106")]


@pytest.mark.parametrize(
    "channel_settings",
    [
        ABSENT,
        None,
        {},
        {"VOICE": None},
        {"VOICE": {}},
        {"VOICE": {"captureRules": None}},
        {"VOICE": {"captureRules": []}},
        {"VOICE": {"statusTimeouts": None}},
        {"VOICE": {"statusTimeouts": {"inactive": 5, "closed": 30}, "captureRules": []}},
        {"SMS": {"captureRules": [{"from": "*", "to": "+15550100001"}]}},
        {"SMS": {"captureRules": [RULE]}, "VOICE": {"captureRules": []}},
        {"WHATSAPP": [], "VOICE": {}},
        {"VOICE": {"passive": "unknown field"}},
    ],
)
def test_a_configuration_without_voice_capture_rules_is_fine(channel_settings: Any) -> None:
    assert voice_capture(configuration(channel_settings)) == []


@pytest.mark.parametrize(
    "rules",
    [
        [RULE],
        [{"from": "*", "to": "+15550100001", "metadata": {}}],
        [{"from": "*", "to": "+15550100001", "metadata": None}],
        [{"from": "*", "to": "+15550100001"}],
        [{"from": "*", "to": "*", "metadata": {"callType": "PSTN"}}],
        [{"from": "agent-1", "to": "*", "metadata": {"callType": "CLIENT"}}],
        [{"from": "*", "to": "sip:desk@example.com", "metadata": {"callType": "PUBLIC_SIP"}}],
        [RULE, RULE],
        [{}],
        [None],
        ["*"],
        [7],
        [[RULE]],
        [{"from": 1, "to": 2}],
        [{"from": "*", "to": "*", "metadata": ["PSTN"]}],
        [{"from": "*", "to": "*", "metadata": {"callType": 1}}],
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_a_voice_capture_rule_is_refused(rules: list[Any], strict: bool) -> None:
    [finding] = voice_capture(configuration({"VOICE": {"captureRules": rules}}), strict=strict)
    assert (finding.rule, finding.severity, finding.where) == ("STT101", Severity.ERROR, ID)
    assert len(finding.evidence) == len(rules)


@pytest.mark.parametrize(
    "channel_settings",
    [
        [],
        "VOICE",
        1,
        True,
        {"VOICE": []},
        {"VOICE": "off"},
        {"VOICE": 0},
        {"VOICE": False},
        {"VOICE": {"captureRules": {}}},
        {"VOICE": {"captureRules": {"from": "*", "to": "*"}}},
        {"VOICE": {"captureRules": ""}},
        {"VOICE": {"captureRules": "none"}},
        {"VOICE": {"captureRules": 0}},
        {"VOICE": {"captureRules": False}},
    ],
)
def test_what_has_a_strange_type_cannot_be_verified(channel_settings: Any) -> None:
    [doubt] = voice_capture(configuration(channel_settings))
    assert (doubt.rule, doubt.severity) == ("STT106", Severity.ERROR)
    assert "channelSettings" in doubt.message
    [warning] = voice_capture(configuration(channel_settings), strict=False)
    assert (warning.rule, warning.severity) == ("STT106", Severity.WARNING)


def test_a_rule_outweighs_a_doubt() -> None:
    """Nobody may start with a warning where there is proof."""
    settings = {"Voice": 7, "VOICE": {"captureRules": [RULE]}}
    assert [finding.rule for finding in voice_capture(configuration(settings), strict=False)] == ["STT101"]


def test_the_name_of_the_channel_is_found_in_any_case() -> None:
    [finding] = voice_capture(configuration({"voice": {"captureRules": [RULE]}}))
    assert finding.rule == "STT101"


def test_the_finding_says_which_rules_where_why_and_how_to_fix_it() -> None:
    timeouts = {"inactive": 5, "closed": 30}
    settings = {"VOICE": {"statusTimeouts": timeouts, "captureRules": [RULE, {"from": "a", "to": "b"}]}}
    [finding] = voice_capture(configuration(settings))
    assert f"{ID} (acme-voice, version 7) has 2 capture rules for VOICE" in finding.message
    assert finding.evidence == (
        "VOICE capture rule 1: from * to +15550100001 (callType PSTN)",
        "VOICE capture rule 2: from a to b (no callType: PSTN)",
    )
    assert "both are billed" in finding.reason
    assert '"VOICE":{"statusTimeouts":{"inactive":5,"closed":30},"captureRules":[]}' in finding.fix
    assert "Twilio Agent Connect" in finding.fix


@given(JSON)
def test_any_settings_give_a_finding_or_none_and_never_an_exception(channel_settings: Any) -> None:
    for finding in voice_capture(configuration(channel_settings)):
        assert finding.rule in RULES


@given(st.dictionaries(st.sampled_from(["id", "displayName", "version", "channelSettings"]), JSON))
def test_any_configuration_is_taken(raw: dict[str, Any]) -> None:
    for finding in voice_capture(Configuration(raw)):
        assert finding.where


@given(st.lists(JSON, min_size=1, max_size=4), JSON)
def test_whatever_stands_in_the_list_it_is_refused(rules: list[Any], timeouts: Any) -> None:
    settings = {"VOICE": {"statusTimeouts": timeouts, "captureRules": rules}}
    assert [finding.rule for finding in voice_capture(configuration(settings))] == ["STT101"]
