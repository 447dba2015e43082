"""What Twilio would refuse is told before it is sent."""

from __future__ import annotations

from typing import Any

import pytest

from voice_app.sandbox.twilio import new_id
from voice_app.sandbox.twilio.bodies import CreateConfiguration, accepted
from voice_app.twilio.configuration_schema import problems
from voice_app.twilio.limits import CHANNELS, GROUPINGS

RULE = {"from": "*", "to": "+15550100001"}
GOOD: dict[str, Any] = {
    "displayName": "a" * 32,
    "description": "d" * 512,
    "conversationGroupingType": "GROUP_BY_PROFILE",
    "memoryStoreId": new_id("mem_store_"),
    "memoryExtractionEnabled": True,
    "channelSettings": {
        "VOICE": {"statusTimeouts": None},
        "SMS": {"statusTimeouts": {"inactive": 1, "closed": 2}, "captureRules": [RULE] * 100},
    },
    "statusCallbacks": [{"url": "https://voice.example.com/x", "method": "GET"}] * 2,
    "intelligenceConfigurationIds": [f"intelligence_configuration_{number}" for number in range(5)],
    "conversationsV1Bridge": {"serviceId": "IS" + "0" * 32},
}


def test_what_twilio_takes_is_no_problem() -> None:
    assert problems(GOOD, new=True) == []
    accepted(CreateConfiguration, GOOD)


@pytest.mark.parametrize("grouping", GROUPINGS)
@pytest.mark.parametrize("channel", CHANNELS)
def test_every_grouping_and_channel_is_known(grouping: str, channel: str) -> None:
    assert problems({"conversationGroupingType": grouping, "channelSettings": {channel: {}}}) == []


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"displayName": ""}, "displayName: it should be 1 to 32 letters"),
        ({"displayName": "a" * 33}, "displayName: it should be 1 to 32 letters"),
        ({"displayName": "ünlikely"}, "displayName: it should be 1 to 32 letters"),
        ({"displayName": 5}, "displayName: Input should be a valid string (given: 5)"),
        ({"description": "d" * 513}, "description: String should have at most 512 characters"),
        ({"conversationGroupingType": "GROUP"}, "conversationGroupingType: Input should be"),
        ({"memoryStoreId": "mem_store_8"}, "memoryStoreId: it should be the id of a memory store"),
        ({"memoryExtractionEnabled": "yes"}, "memoryExtractionEnabled: Input should be a valid boolean"),
        ({"channelSettings": {"FAX": {}}}, "channelSettings.FAX: Input should be"),
        (
            {"channelSettings": {"SMS": {"statusTimeouts": {"inactive": 0}}}},
            "channelSettings.SMS.statusTimeouts.inactive: Input should be greater than or equal to 1",
        ),
        (
            {"channelSettings": {"SMS": {"statusTimeouts": {"closed": "60"}}}},
            "channelSettings.SMS.statusTimeouts.closed: Input should be a valid integer",
        ),
        (
            {"channelSettings": {"SMS": {"captureRules": [RULE] * 101}}},
            "channelSettings.SMS.captureRules: List should have at most 100 items, not 101",
        ),
        (
            {"channelSettings": {"SMS": {"captureRules": [{"from": "*"}]}}},
            "channelSettings.SMS.captureRules.0.to: Field required",
        ),
        (
            {"channelSettings": {"SMS": {"captureRules": [RULE | {"metadata": {"callType": 1}}]}}},
            "channelSettings.SMS.captureRules.0.metadata.callType: Input should be a valid string",
        ),
        ({"statusCallbacks": [{"url": "http://x.example"}]}, "statusCallbacks.0.url: it should be an https"),
        ({"statusCallbacks": [{"url": "https://x", "method": "PUT"}]}, "statusCallbacks.0.method: Input"),
        ({"intelligenceConfigurationIds": ["x"]}, "intelligenceConfigurationIds.0: it should be the id"),
        ({"conversationsV1Bridge": {"serviceId": "IS1"}}, "conversationsV1Bridge.serviceId: it should be IS"),
    ],
)
def test_each_limit_has_its_sentence(fields: dict[str, Any], told: str) -> None:
    (sentence,) = problems(fields)
    assert sentence.startswith(told)


def test_a_new_configuration_needs_its_required_fields() -> None:
    assert [sentence.partition(" ")[0] for sentence in problems({}, new=True)] == [
        *("displayName", "description", "conversationGroupingType", "memoryStoreId")
    ]
    assert problems({}) == []


def test_what_is_required_cannot_be_removed() -> None:
    (sentence,) = problems({"memoryStoreId": None, "statusCallbacks": None})
    assert sentence.startswith("memoryStoreId cannot be removed")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"display_name": "x"}, "display_name is not a field: did you mean displayName?"),
        ({"channelSetting": {}}, "channelSetting is not a field: did you mean channelSettings?"),
        (
            {"channelSettings": {"SMS": {"captureRule": []}}},
            "channelSettings.SMS: captureRule is not a field: did you mean captureRules?",
        ),
    ],
)
def test_a_misspelt_field_is_told_and_a_new_one_passes(fields: dict[str, Any], told: str) -> None:
    assert problems(fields) == [told]
    assert problems({"traitExtractionStrategyIds": [], "somethingNew": {"x": 1}}) == []


def test_a_long_value_is_quoted_in_part() -> None:
    (sentence,) = problems({"displayName": "x" * 1000})
    assert len(sentence) < 200
