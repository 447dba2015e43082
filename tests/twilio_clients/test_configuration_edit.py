"""Drafts and changes of configurations, as values."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_app.twilio import Configuration
from voice_app.twilio.configuration_edit import (
    TIMEOUTS,
    Changes,
    DraftError,
    another,
    changed,
    channel_setting,
    completed,
    differences,
    linked,
    merged,
    regrouped,
    rule,
    rules_of,
    same_version,
    set_up,
    unlinked,
    with_rules,
    without,
    without_rules,
)

RULES = [rule("+15550100003", "*"), rule("*", "+15550100003")]


def configuration(**fields: Any) -> Configuration:
    return Configuration(
        {
            "id": "conv_configuration_1",
            "version": 4,
            "displayName": "shop",
            "conversationGroupingType": "GROUP_BY_PROFILE",
            "channelSettings": {
                "VOICE": {"statusTimeouts": {"inactive": 5, "closed": 30}, "captureRules": []},
                "SMS": {"statusTimeouts": None, "captureRules": copy.deepcopy(RULES), "new": 1},
            },
            "intelligenceConfigurationIds": ["i1", "i2"],
            "conversationsV1Bridge": {"serviceId": "IS1"},
            "somethingNew": [1],
        }
        | fields
    )


def after(before: Configuration, changes: Changes) -> dict[str, Any]:
    return merged(before.raw, changes)


@pytest.mark.parametrize(
    ("channel", "number", "sides"),
    [
        ("VOICE", "+1 555 010 0001", [("*", "+15550100001")]),
        ("SMS", "+15550100001", [("+15550100001", "*"), ("*", "+15550100001")]),
        ("WHATSAPP", "+15550100001", [("whatsapp:+15550100001", "*"), ("*", "whatsapp:+15550100001")]),
        ("RCS", "rcs:larkspur", [("rcs:larkspur", "*"), ("*", "rcs:larkspur")]),
    ],
)
def test_a_number_is_captured_as_its_channel_wants_it(
    channel: str, number: str, sides: list[tuple[str, str]]
) -> None:
    assert [(item["from"], item["to"]) for item in rules_of(channel, number)] == sides


def test_every_channel_has_recommended_timeouts() -> None:
    assert TIMEOUTS == {
        "VOICE": (5, 30),
        "SMS": (10, 60),
        "RCS": (10, 60),
        "WHATSAPP": (10, 60),
        "CHAT": (15, 60),
    }
    assert channel_setting("SMS", timeouts=None) == {"statusTimeouts": None, "captureRules": []}


def test_a_new_configuration_is_grouped_by_profile_and_described() -> None:
    assert completed({"displayName": "shop"}) == {
        "conversationGroupingType": "GROUP_BY_PROFILE",
        "description": "Conversations of shop",
        "displayName": "shop",
    }
    assert completed({"displayName": "shop", "description": ""})["description"] == ""
    assert "description" not in completed({"displayName": 1})


def test_voice_is_set_up_where_there_was_nothing_at_all() -> None:
    assert set_up(None) == {"VOICE": channel_setting("VOICE", timeouts=(5, 30))}
    assert set_up({}) == {}


def test_what_exists_keeps_what_is_not_given() -> None:
    settings = configuration().channel_settings
    found = set_up(settings, ["SMS"], numbers={"SMS": ["+15550100004"]})
    assert found["SMS"] == settings["SMS"] | {"captureRules": [*RULES, *rules_of("SMS", "+15550100004")]}
    assert found["VOICE"] == settings["VOICE"]
    assert set_up(settings, timeouts={"SMS": (1, 2)})["SMS"]["statusTimeouts"] == {"inactive": 1, "closed": 2}
    assert settings == configuration().channel_settings


def test_rules_are_added_once_and_beside_everything_else() -> None:
    before = configuration()
    wanted = [*rules_of("SMS", "+15550100004"), RULES[0], *rules_of("SMS", "+15550100004")]
    (difference,) = differences(before.raw, after(before, with_rules(before, "SMS", wanted)))
    assert difference.path == "channelSettings.SMS.captureRules"
    assert difference.new == [*RULES, *rules_of("SMS", "+15550100004")]
    assert with_rules(before, "SMS", RULES) == {}


def test_a_channel_that_was_not_there_is_set_up_with_its_first_rule() -> None:
    changes = with_rules(configuration(), "RCS", [rule("*", "rcs:x")])
    assert changes["channelSettings"] == {
        "RCS": {"statusTimeouts": {"inactive": 10, "closed": 60}, "captureRules": [rule("*", "rcs:x")]}
    }
    kept = with_rules(configuration(channelSettings={"RCS": {}}), "RCS", [rule("*", "rcs:x")])
    assert kept["channelSettings"] == {"RCS": {"captureRules": [rule("*", "rcs:x")]}}


def test_the_hundredth_rule_is_the_last() -> None:
    many = [rule("*", f"+1555{number:07}") for number in range(99)]
    full = configuration(channelSettings={"VOICE": {"captureRules": many}})
    assert with_rules(full, "VOICE", [rule("*", "a")])
    with pytest.raises(DraftError, match="would have 101 capture rules for VOICE, and 100 is the limit"):
        with_rules(full, "VOICE", [rule("*", "a"), rule("*", "b")])


def test_rules_are_removed_by_what_they_say() -> None:
    before = configuration()
    (difference,) = differences(before.raw, after(before, without_rules(before, "SMS", RULES[:1])))
    assert (difference.path, difference.new) == ("channelSettings.SMS.captureRules", RULES[1:])


def test_a_call_type_that_is_not_given_stands_for_every_one() -> None:
    voice = [rule("*", "a", "PSTN"), rule("*", "a", "CLIENT"), {"from": "*", "to": "a"}, "odd"]
    before = configuration(channelSettings={"VOICE": {"captureRules": voice}})

    def left(call_type: str | None) -> list[Any]:
        changes = without_rules(before, "VOICE", [rule("*", "a", call_type)])
        found: list[Any] = changes["channelSettings"]["VOICE"]["captureRules"]
        return found

    assert left(None) == ["odd"]
    assert left("PSTN") == [voice[1], "odd"]
    assert left("CLIENT") == [voice[0], voice[2], "odd"]


def test_a_rule_that_is_not_there_is_an_error_with_those_that_are() -> None:
    with pytest.raises(DraftError, match=r"no SMS rule from a to b\. Its SMS rules are: from \+1555"):
        without_rules(configuration(), "SMS", [rule("a", "b")])
    with pytest.raises(DraftError, match=r"from a to b \(callType CLIENT\)\. It has no capture rules for"):
        without_rules(configuration(), "VOICE", [rule("a", "b", "CLIENT")])


def test_intelligence_is_linked_once_and_unlinked() -> None:
    before = configuration()
    assert linked(before, ["i2", "i3", "i3"]) == {"intelligenceConfigurationIds": ["i1", "i2", "i3"]}
    assert linked(before, ["i1"]) == {}
    assert unlinked(before, ["i1"]) == {"intelligenceConfigurationIds": ["i2"]}
    with pytest.raises(DraftError, match="would have 6 Intelligence configurations, and 5 is the limit"):
        linked(before, ["i3", "i4", "i5", "i6"])
    with pytest.raises(DraftError, match="i9 is not linked to conv_configuration_1; linked: i1, i2"):
        unlinked(before, ["i1", "i9"])


def test_another_one_is_like_it_but_for_its_bridge_and_what_twilio_keeps() -> None:
    fields = another(configuration(), displayName="shop-2")
    assert fields["displayName"] == "shop-2"
    assert fields["somethingNew"] == [1]
    assert not {"id", "version", "conversationsV1Bridge"} & fields.keys()


def test_only_whole_fields_and_channels_can_be_removed() -> None:
    assert without({"description": "x"}, "statusCallbacks") == {"description": "x", "statusCallbacks": None}
    assert without({"channelSettings": {"RCS": {}}}, "channelSettings.SMS") == {
        "channelSettings": {"RCS": {}, "SMS": None}
    }
    for path in ("channelSettings.FAX", "channelSettings.SMS.captureRules", "statusCallbacks.0"):
        with pytest.raises(DraftError, match="cannot be removed"):
            without({}, path)


def test_what_was_read_earlier_tells_its_version() -> None:
    same_version({}, configuration())
    same_version({"id": "conv_configuration_1", "version": 4}, configuration())
    with pytest.raises(DraftError, match="made from version 3, and conv_configuration_1 is at version 4"):
        same_version({"version": 3}, configuration())
    with pytest.raises(DraftError, match="about conv_configuration_2, not about"):
        same_version({"id": "conv_configuration_2"}, configuration())


def test_another_grouping_is_noticed() -> None:
    assert not regrouped(configuration(), {"description": "x"})
    assert not regrouped(configuration(), {"conversationGroupingType": "GROUP_BY_PROFILE"})
    assert regrouped(configuration(), {"conversationGroupingType": "GROUP_BY_PARTICIPANT_ADDRESSES"})


SIDES = st.sampled_from(["*", "+15550100001", "+15550100002", "alice"])
ANY_RULE = st.builds(rule, SIDES, SIDES, st.sampled_from([None, "PSTN", "CLIENT"]))


@given(st.lists(ANY_RULE, max_size=8), st.lists(ANY_RULE, max_size=8))
def test_adding_and_removing_the_same_rules_changes_nothing(
    present: list[dict[str, Any]], added: list[dict[str, Any]]
) -> None:
    before = configuration(channelSettings={"VOICE": {"captureRules": present}})
    with_them = changed(before, with_rules(before, "VOICE", added))
    assert (with_them.id, with_them.version) == (before.id, before.version)
    rules = with_them.channel("VOICE")["captureRules"]
    assert rules[: len(present)] == present
    fresh = rules[len(present) :]
    assert all(item in added and item not in present for item in fresh)
    assert all(item in rules for item in added)
    kinds = [(item["from"], item["to"], item["metadata"].get("callType", "PSTN")) for item in fresh]
    known = [(item["from"], item["to"], item["metadata"].get("callType", "PSTN")) for item in present]
    if fresh and not set(kinds) & set(known):
        exact = [rule(from_, to, call_type) for from_, to, call_type in dict.fromkeys(kinds)]
        again = changed(with_them, without_rules(with_them, "VOICE", exact))
        assert again.channel("VOICE")["captureRules"] == present
