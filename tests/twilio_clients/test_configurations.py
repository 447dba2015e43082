"""Configurations are created, changed and deleted without losing anything."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_app.sandbox.twilio import Fault, SandboxAccount, new_id
from voice_app.twilio import ApiError, Configuration, Configurations, Trouble, TwilioApi
from voice_app.twilio.configuration_edit import READ_ONLY, Difference, differences, lost, merged, writable
from voice_app.twilio.configurations import Update
from voice_app.twilio.models import Operation

RULES = [
    {"from": "+15550100001", "to": "*", "metadata": {}},
    {"from": "*", "to": "+15550100001", "metadata": {}},
]
VOICE_RULE = {"from": "*", "to": "+15550100001", "metadata": {"callType": "PSTN"}}


def everything(**fields: Any) -> dict[str, Any]:
    """A configuration with every field that is documented."""
    return {
        "displayName": "acme-voice",
        "description": "All of it",
        "conversationGroupingType": "GROUP_BY_PROFILE",
        "memoryStoreId": new_id("mem_store_"),
        "memoryExtractionEnabled": True,
        "channelSettings": {
            "VOICE": {"statusTimeouts": {"inactive": 5, "closed": 30}, "captureRules": [VOICE_RULE]},
            "SMS": {"statusTimeouts": {"inactive": 10, "closed": 60}, "captureRules": RULES},
            "WHATSAPP": {"statusTimeouts": None},
        },
        "statusCallbacks": [{"url": "https://voice.example.com/orchestrator/events", "method": "POST"}],
        "intelligenceConfigurationIds": ["intelligence_configuration_1"],
        "conversationsV1Bridge": {"serviceId": "IS" + "0" * 32},
    } | fields


@pytest.fixture
def configurations(api: TwilioApi) -> Configurations:
    return Configurations(api, deadline=5.0)


@pytest.fixture(params=["PATCH", "PUT"])
def method(request: pytest.FixtureRequest, account: SandboxAccount) -> str:
    """Accounts of both kinds."""
    account.behaviour.patch = request.param == "PATCH"
    return str(request.param)


def writes(account: SandboxAccount) -> list[str]:
    return [line[0] for line in account.requests if line[0] != "GET" and line[2] == 202]


@pytest.mark.parametrize("field", ["displayName", "uniqueName"])
async def test_a_name_is_looked_up_once(
    configurations: Configurations, account: SandboxAccount, field: str
) -> None:
    configuration_id = account.add_configuration(**{field: "support"})
    assert await configurations.id_of(configuration_id) == configuration_id
    assert not account.requests
    for _ in range(3):
        assert await configurations.id_of("support") == configuration_id
    assert len(account.requests) == 1
    assert (await configurations.named("support")).id == configuration_id


async def test_a_name_that_no_configuration_has_is_looked_up_again(
    configurations: Configurations, account: SandboxAccount
) -> None:
    assert await configurations.id_of("support") == ""
    with pytest.raises(ApiError, match="no configuration has the name support"):
        await configurations.named("support")
    configuration_id = account.add_configuration(uniqueName="support")
    assert await configurations.id_of("support") == configuration_id


async def test_one_is_created_and_read_back(configurations: Configurations) -> None:
    created = await configurations.create(everything())
    assert created.id.startswith("conv_configuration_")
    assert created.version == 1
    assert writable(created.raw) == writable(everything(memoryStoreId=created.memory_store_id))
    assert created.grouping == "GROUP_BY_PROFILE"
    assert created.memory_extraction_enabled
    assert created.intelligence_configuration_ids == ["intelligence_configuration_1"]
    assert [rule.from_ for rule in created.capture_rules("SMS")] == ["+15550100001", "*"]
    assert [rule.call_type for rule in created.capture_rules("VOICE")] == ["PSTN"]


@pytest.mark.parametrize(
    "statuses", [(), ("PENDING",), ("PENDING", "RUNNING", "IN_PROGRESS", "NEVER-HEARD-OF")]
)
async def test_an_operation_is_polled_until_it_is_over(
    configurations: Configurations, account: SandboxAccount, statuses: tuple[str, ...]
) -> None:
    account.behaviour.operation_statuses = statuses
    seen: list[Operation] = []
    await configurations.create(everything(), progress=seen.append)
    assert [operation.status for operation in seen] == [*statuses, "COMPLETED"]


@pytest.mark.parametrize("related", ["present", "null", "missing"])
async def test_the_id_comes_from_the_operation(
    configurations: Configurations, account: SandboxAccount, related: Any
) -> None:
    account.behaviour.related = related
    created = await configurations.create(everything())
    assert created.id in account.configurations


async def test_the_id_is_found_by_name_when_the_operation_does_not_tell_it(
    configurations: Configurations, account: SandboxAccount
) -> None:
    done = '{"operationId": "proc_job_1", "status": "COMPLETED"}'
    account.behaviour.operation_seconds = 0
    account.faults.add(Fault("*/Operations/*", body=done))
    created = await configurations.create(everything())
    assert created.display_name == "acme-voice"


async def test_a_failed_operation_says_why(configurations: Configurations, account: SandboxAccount) -> None:
    account.next_failure = {"type": "x", "title": "Bad request", "status": 400, "detail": "No such store."}
    with pytest.raises(ApiError, match="is FAILED: Bad request: No such store") as caught:
        await configurations.create(everything())
    assert caught.value.trouble is Trouble.FAILED
    assert account.configurations == {}


async def test_a_cancelled_operation_is_a_failure(
    configurations: Configurations, account: SandboxAccount
) -> None:
    account.behaviour.operation_statuses = ("CANCELLED",)
    with pytest.raises(ApiError, match="is CANCELLED"):
        await configurations.create(everything())


async def test_an_operation_that_is_never_over_ends_with_the_deadline(
    api: TwilioApi, account: SandboxAccount
) -> None:
    account.behaviour.operation_statuses = ("RUNNING",) * 10_000
    with pytest.raises(ApiError, match=r"was still RUNNING after 0\.2 s") as caught:
        await Configurations(api, deadline=0.2).create(everything())
    assert caught.value.trouble is Trouble.TIMEOUT


@pytest.mark.parametrize(
    "status_url",
    [
        "https://conversations.twilio.com/v2/ControlPlane/Operations/proc_job_1",
        "http://127.0.0.1:1/conversations/v2/ControlPlane/Operations/proc_job_1",
        "{base}/conversations/v2/ControlPlane/Operations/../Configurations",
        "{base}/conversations/v2/Conversations",
        "{base}/memory/v1/ControlPlane/Operations/proc_job_1",
    ],
)
async def test_credentials_go_to_no_other_host(
    configurations: Configurations, account: SandboxAccount, base_url: str, status_url: str
) -> None:
    account.behaviour.status_url = status_url.format(base=base_url)
    with pytest.raises(ApiError, match="not asked there"):
        await configurations.create(everything())
    assert [line[0] for line in account.requests] == ["POST"]


async def test_a_repeated_write_is_made_once(configurations: Configurations, account: SandboxAccount) -> None:
    """The first answer gets lost; the idempotency key keeps the second attempt from making another one."""
    lost_answer = Fault(path="*/Configurations", method="POST", status=503)
    account.faults.add(lost_answer)
    await configurations.create(everything())
    assert len(account.configurations) == 1


async def test_a_conflict_names_what_is_in_the_way(configurations: Configurations) -> None:
    first = await configurations.create(everything())
    with pytest.raises(ApiError) as caught:
        await configurations.create(everything(conversationsV1Bridge={"serviceId": "IS" + "1" * 32}))
    assert caught.value.trouble is Trouble.CONFLICT
    assert caught.value.conflicting_id == first.id
    assert first.id in str(caught.value)


async def test_all_pages_are_listed(configurations: Configurations, account: SandboxAccount) -> None:
    ids = [account.add_configuration(displayName=f"c{n}") for n in range(4)]
    assert [item.id for item in await configurations.list()] == ids


async def test_items_that_the_list_shows_in_part_are_fetched(
    configurations: Configurations, account: SandboxAccount
) -> None:
    account.add_configuration(channelSettings={"VOICE": {"captureRules": [VOICE_RULE]}})
    account.behaviour.partial_lists = True
    [item] = await configurations.list()
    assert len(item.capture_rules("VOICE")) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"description": "Another"},
        {"displayName": "renamed"},
        {"memoryExtractionEnabled": False},
        {"statusCallbacks": []},
        {"statusCallbacks": None},
        {"conversationsV1Bridge": None},
        {"intelligenceConfigurationIds": ["a", "b"]},
        {"channelSettings": {"VOICE": {"statusTimeouts": {"inactive": 5, "closed": 30}, "captureRules": []}}},
        {"channelSettings": {"VOICE": {"statusTimeouts": None}}},
        {"channelSettings": {"SMS": None}},
        {"channelSettings": {"CHAT": {"statusTimeouts": {"inactive": 15}}}},
    ],
)
async def test_a_change_touches_its_own_field_alone(
    configurations: Configurations, account: SandboxAccount, method: str, changes: dict[str, Any]
) -> None:
    """Also where the account has fields that we don't know."""
    account.behaviour.undocumented |= {"brandNew"}
    unknown = {"brandNew": {"deep": [1, None]}, "traitExtractionStrategyIds": ["x"]}
    before = (await configurations.create(everything(**unknown))).raw
    [field] = changes
    update = await configurations.update(before["id"], changes)
    after = account.configurations[before["id"]]
    assert update.method == method
    assert not update.raced
    assert update.unexpected == ()
    assert update.changed
    untouched = set(before) - {field, "version", "updatedAt"}
    assert {name: after.get(name) for name in untouched} == {name: before[name] for name in untouched}
    assert set(after) <= set(before)
    assert writable(after) == merged(before, changes)
    if field == "channelSettings":
        [channel] = changes[field]
        others = set(before[field]) - {channel}
        assert {name: after[field][name] for name in others} == {name: before[field][name] for name in others}


async def test_nothing_is_written_where_nothing_changes(
    configurations: Configurations, account: SandboxAccount
) -> None:
    before = await configurations.create(everything())
    update = await configurations.update(before.id, {"description": before.description})
    assert (update.method, update.changed, update.raced) == ("none", [], False)
    assert writes(account) == ["POST"]


async def test_the_grouping_cannot_be_changed(
    configurations: Configurations, account: SandboxAccount
) -> None:
    before = await configurations.create(everything())
    with pytest.raises(ValueError, match="create a new configuration"):
        await configurations.update(before.id, {"conversationGroupingType": "GROUP_BY_PARTICIPANT_ADDRESSES"})
    assert writes(account) == ["POST"]


async def test_the_same_grouping_is_no_change(configurations: Configurations) -> None:
    before = await configurations.create(everything())
    update = await configurations.update(before.id, {"conversationGroupingType": before.grouping})
    assert update.method == "none"


async def test_a_field_that_a_put_cannot_carry_stops_it(
    configurations: Configurations, account: SandboxAccount
) -> None:
    """An account without PATCH, whose PUT does not take all that it shows: better nothing at all."""
    account.behaviour.patch = False
    configuration_id = account.add_configuration(notWritable="x")
    with pytest.raises(ApiError) as caught:
        await configurations.update(configuration_id, {"description": "Another"})
    assert "notWritable" in caught.value.message
    assert account.configurations[configuration_id]["version"] == 1


async def test_somebody_else_writing_is_noticed(
    configurations: Configurations, account: SandboxAccount, method: str
) -> None:
    before = await configurations.create(everything())
    other = account.configurations[before.id]

    def meddle(operation: Operation) -> None:
        other_now = account.configurations[before.id]
        if operation.status == "PENDING":
            other_now |= {"version": other_now["version"] + 1, "description": "Somebody else's"}

    update = await configurations.update(before.id, {"memoryExtractionEnabled": False}, progress=meddle)
    assert other["description"] == "Somebody else's"
    assert update.raced
    overwritten = method == "PUT"
    assert [item.path for item in update.unexpected] == ([] if overwritten else ["description"])


async def test_one_is_deleted(configurations: Configurations, account: SandboxAccount) -> None:
    created = await configurations.create(everything())
    await configurations.delete(created.id)
    assert account.configurations == {}
    with pytest.raises(ApiError) as caught:
        await configurations.fetch(created.id)
    assert caught.value.trouble is Trouble.NOT_FOUND


@pytest.mark.parametrize("value", ["", "conv_conversation_1", "../Operations", "conv_configuration_1?x=y"])
async def test_an_id_that_is_none_is_not_sent(
    configurations: Configurations, account: SandboxAccount, value: str
) -> None:
    with pytest.raises(ValueError, match="is not the id of a configuration"):
        await configurations.fetch(value)
    assert len(account.requests) == 0


async def test_many_at_once_share_the_session(
    configurations: Configurations, account: SandboxAccount
) -> None:
    configuration_id = account.add_configuration()
    found = await asyncio.gather(*(configurations.fetch(configuration_id) for _ in range(20)))
    assert {item.id for item in found} == {configuration_id}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["VOICE", "SMS", "a"]), inner)
    ),
    max_leaves=6,
)
FIELDS = st.dictionaries(st.sampled_from(["displayName", "channelSettings", "new", "id", "version"]), JSON)
SENSIBLE = FIELDS.filter(lambda raw: isinstance(raw.get("channelSettings", {}), dict))


@given(SENSIBLE, SENSIBLE)
def test_merging_changes_what_is_named_and_nothing_else(raw: dict[str, Any], changes: dict[str, Any]) -> None:
    kept = copy.deepcopy(raw)
    result = merged(raw, changes)
    assert raw == kept
    for name in set(raw) - set(changes) - READ_ONLY:
        assert result.get(name) == raw[name]
    assert lost(raw, result, changes) == []


@given(SENSIBLE)
def test_a_configuration_does_not_differ_from_itself(raw: dict[str, Any]) -> None:
    assert differences(raw, copy.deepcopy(raw)) == []


def test_differences_name_the_place() -> None:
    old = {"version": 1, "channelSettings": {"VOICE": {"captureRules": [1]}, "SMS": None}, "gone": "x"}
    new = {"version": 2, "channelSettings": {"VOICE": {"captureRules": []}}, "added": None}
    assert [str(item) for item in differences(old, new)] == [
        "channelSettings.VOICE.captureRules: [1] -> []",
        'gone: "x" -> null',
    ]


def test_a_field_that_would_be_lost_is_named() -> None:
    assert lost({"id": "x", "a": 1, "b": 2, "c": None}, {"a": 1}, {}) == ["b"]
    assert lost({"a": 1, "b": 2}, {"a": 1}, {"b": None}) == []


async def test_two_of_the_same_name_leave_the_id_open(
    configurations: Configurations, account: SandboxAccount
) -> None:
    account.behaviour.operation_seconds = 0
    account.add_configuration(displayName="other")
    account.faults.add(Fault("*/Operations/*", body='{"status": "COMPLETED"}'))
    both = '{"c": [{"displayName": "acme-voice"}, {"displayName": "acme-voice"}], "meta": {"key": "c"}}'
    account.faults.add(Fault("*/Configurations", method="GET", body=both))
    with pytest.raises(ApiError, match="2 are called 'acme-voice'"):
        await configurations.create(everything())


async def test_a_patch_that_is_refused_is_not_tried_as_a_put(
    configurations: Configurations, account: SandboxAccount
) -> None:
    configuration_id = account.add_configuration()
    with pytest.raises(ApiError) as caught:
        await configurations.update(configuration_id, {"displayName": "a/b"})
    assert caught.value.trouble is Trouble.REFUSED
    assert writes(account) == []


@pytest.mark.parametrize(
    ("old", "new", "unexpected", "raced"),
    [(1, 2, (), False), (1, 3, (), True), (1, 1, (), True), (None, 2, (), False), (None, None, ("x",), True)],
)
def test_the_version_tells_a_race(
    old: int | None, new: int | None, unexpected: tuple[str, ...], raced: bool
) -> None:
    before, after = Configuration({"version": old}), Configuration({"version": new})
    places = tuple(Difference(place, None, None) for place in unexpected)
    assert Update(before, after, "PATCH", places).raced is raced


@pytest.mark.parametrize("partial", [False, True], ids=["whole rows", "partial rows"])
async def test_what_twiml_names_is_read_by_id_or_name(
    configurations: Configurations, account: SandboxAccount, partial: bool
) -> None:
    account.behaviour.partial_lists = partial
    account.add_configuration(displayName="other")
    own = account.add_configuration(**everything(uniqueName="support"))
    for value in (own, "acme-voice") if partial else (own, "acme-voice", "support"):
        assert (await configurations.named(value)).raw == account.configurations[own]
        assert await configurations.id_of(value) == own
    with pytest.raises(ApiError) as refused:
        await configurations.named("nobody")
    assert refused.value.trouble is Trouble.NOT_FOUND
