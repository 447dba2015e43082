"""Numbers that no engine of ours ever listens on may be captured by a rule."""

from __future__ import annotations

from typing import Any

from voice_app.guard import Scope, Snapshot, judge
from voice_app.twilio import Configuration

AGENT, PEOPLE = "+15550100001", "+15550100002"


def found(number: str, **scope: Any) -> list[str]:
    """The rules that hit when another configuration captures the calls to ``number``."""
    rule = {"from": "*", "to": number, "metadata": {"callType": "PSTN"}}
    other = Configuration(
        {
            "id": "conv_configuration_00000000000000000000000002",
            "displayName": "people",
            "version": 1,
            "channelSettings": {"VOICE": {"captureRules": [rule]}},
        }
    )
    snapshot = Snapshot(scope=Scope(numbers=(AGENT, PEOPLE), **scope), configurations=(other,))
    return [finding.rule for finding in judge(snapshot) if finding.rule in ("STT102", "STT103")]


def test_a_rule_that_catches_calls_to_people_only_is_legitimate() -> None:
    assert found(PEOPLE, for_people=lambda number: number == PEOPLE) == []


def test_the_same_rule_on_a_number_that_the_agent_answers_is_not() -> None:
    assert found(AGENT, for_people=lambda number: number == PEOPLE) == ["STT102"]
    assert found(PEOPLE) == ["STT102"]
