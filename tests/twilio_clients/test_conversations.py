"""Conversations, who takes part in them, and what was said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support.conversations import open_conversation
from voice_app.sandbox.twilio import CallStart, Fault, LocalTranscriber, SandboxAccount
from voice_app.twilio import ApiError, Conversations, Trouble, TwilioApi
from voice_app.twilio.conversations import PATH
from voice_app.twilio.utterances import utterances

CALL = "CA" + "1" * 32
CALLER, NUMBER = "+15550100002", "+15550100001"
PEOPLE: list[dict[str, Any]] = [
    {"type": "CUSTOMER", "addresses": [{"channel": "VOICE", "address": CALLER, "channelId": CALL}]},
    {"type": "AI_AGENT", "addresses": [{"channel": "VOICE", "address": NUMBER}]},
]


@pytest.fixture
def conversations(api: TwilioApi) -> Conversations:
    return Conversations(api)


@pytest.fixture
def configuration_id(account: SandboxAccount) -> str:
    return account.add_configuration(channelSettings={"VOICE": {"statusTimeouts": {"closed": 30}}})


@pytest.fixture
def transcriber(account: SandboxAccount) -> LocalTranscriber:
    return LocalTranscriber(account)


async def on_a_call(transcriber: LocalTranscriber, configuration_id: str) -> str:
    conversation_id = await transcriber.call_started(
        CallStart(CALL, caller=CALLER, number=NUMBER, configuration_id=configuration_id)
    )
    assert conversation_id is not None
    return conversation_id


async def test_one_is_opened_with_its_participants(
    api: TwilioApi, conversations: Conversations, configuration_id: str
) -> None:
    created = await open_conversation(
        api, configuration_id, participants=PEOPLE, name="81", metadata={"order": "81"}
    )
    assert (created.status, created.name, created.metadata) == ("ACTIVE", "81", {"order": "81"})
    assert [person.type for person in created.participants] == ["CUSTOMER", "AI_AGENT"]
    assert [person.ours for person in created.participants] == [False, True]
    assert created.participants[0].profile_id
    assert await conversations.fetch(created.id) == created


async def test_participants_who_are_talking_already_are_a_conflict(
    api: TwilioApi, conversations: Conversations, configuration_id: str
) -> None:
    created = await open_conversation(api, configuration_id, participants=PEOPLE)
    with pytest.raises(ApiError) as caught:
        await open_conversation(api, configuration_id, participants=PEOPLE)
    assert caught.value.trouble is Trouble.CONFLICT
    assert caught.value.conflicting_id == created.id


async def test_a_call_is_found_by_its_sid(
    conversations: Conversations, configuration_id: str, transcriber: LocalTranscriber
) -> None:
    assert await conversations.find_by_call(CALL) == []
    conversation_id = await on_a_call(transcriber, configuration_id)
    assert [item.id for item in await conversations.find_by_call(CALL)] == [conversation_id]
    assert await conversations.find_by_call("CA" + "2" * 32) == []
    await conversations.close(conversation_id)
    assert await conversations.find_by_call(CALL) == []


async def test_two_engines_on_one_call_are_two_conversations(
    conversations: Conversations,
    account: SandboxAccount,
    configuration_id: str,
    transcriber: LocalTranscriber,
) -> None:
    """A capture rule on a configuration that nobody named: this is how the second bill shows."""
    rule = {"from": "*", "to": NUMBER, "metadata": {"callType": "PSTN"}}
    other = account.add_configuration(channelSettings={"VOICE": {"captureRules": [rule]}})
    await on_a_call(transcriber, configuration_id)
    found = await conversations.find_by_call(CALL)
    assert {item.configuration_id for item in found} == {configuration_id, other}


async def test_a_conversation_is_waited_for(
    conversations: Conversations,
    account: SandboxAccount,
    configuration_id: str,
    transcriber: LocalTranscriber,
) -> None:
    conversation_id = await on_a_call(transcriber, configuration_id)
    not_yet = '{"conversations": [], "meta": {"key": "conversations", "pageSize": 50}}'
    account.faults.add(Fault(body=not_yet))
    assert [item.id for item in await conversations.wait_for_call(CALL)] == [conversation_id]
    assert len(account.requests) == 2


async def test_waiting_has_an_end(conversations: Conversations) -> None:
    assert await conversations.wait_for_call(CALL, within=0.05) == []


@pytest.mark.parametrize("partial", [False, True])
async def test_lists_are_filtered_and_complete(
    api: TwilioApi,
    conversations: Conversations,
    account: SandboxAccount,
    configuration_id: str,
    partial: bool,
) -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    account.clock = lambda: now.timestamp()
    first = await open_conversation(api, configuration_id)
    account.clock = lambda: (now + timedelta(hours=1)).timestamp()
    second = await open_conversation(api, configuration_id)
    await conversations.close(first.id)
    account.behaviour.partial_lists = partial

    async def ids(**filters: Any) -> list[str]:
        return [item.id for item in await conversations.list(**filters)]

    assert await ids() == [first.id, second.id]
    assert await ids(statuses=["ACTIVE"]) == [second.id]
    assert await ids(statuses=["ACTIVE", "CLOSED"]) == [first.id, second.id]
    assert await ids(created_after=now + timedelta(minutes=1)) == [second.id]
    assert await ids(created_after=now, created_before=now + timedelta(hours=1)) == [first.id]
    assert all(item.created_at for item in await conversations.list())


async def test_closing_is_final(api: TwilioApi, conversations: Conversations, configuration_id: str) -> None:
    created = await open_conversation(api, configuration_id)
    assert (await conversations.close(created.id)).status == "CLOSED"
    assert (await conversations.close(created.id)).status == "CLOSED"
    with pytest.raises(ApiError, match="final"):
        await api.request("PATCH", "conversations", f"{PATH}/{created.id}", body={"status": "ACTIVE"})


async def test_closing_works_without_patch_and_loses_nothing(
    api: TwilioApi, conversations: Conversations, account: SandboxAccount, configuration_id: str
) -> None:
    created = await open_conversation(api, configuration_id, name="81", metadata={"order": "81"})
    account.faults.add(Fault(method="PATCH", status=405))
    closed = await conversations.close(created.id)
    assert (closed.status, closed.name, closed.metadata) == ("CLOSED", "81", {"order": "81"})


async def test_one_is_erased(
    api: TwilioApi, conversations: Conversations, account: SandboxAccount, configuration_id: str
) -> None:
    created = await open_conversation(api, configuration_id)
    await conversations.delete(created.id)
    assert account.conversations == {}


@pytest.mark.parametrize("partial", [False, True])
async def test_a_call_is_read_as_a_dialogue(
    conversations: Conversations,
    account: SandboxAccount,
    configuration_id: str,
    transcriber: LocalTranscriber,
    partial: bool,
) -> None:
    conversation_id = await on_a_call(transcriber, configuration_id)
    await transcriber.spoken(CALL, "agent", "Hello! You are talking to a machine. How can I help?")
    await transcriber.spoken(CALL, "caller", "When are you open?")
    await transcriber.spoken(CALL, "agent", "From nine to five, every day.")
    account.behaviour.partial_lists = partial
    said = await conversations.communications(conversation_id)
    assert len(said) == 6
    dialogue = utterances(said, await conversations.participants(conversation_id))
    assert [(item.address, item.text) for item in dialogue] == [
        (NUMBER, "Hello! You are talking to a machine. How can I help?"),
        (CALLER, "When are you open?"),
        (NUMBER, "From nine to five, every day."),
    ]
    assert [item.speaker.type for item in dialogue if item.speaker] == ["AI_AGENT", "CUSTOMER", "AI_AGENT"]
    assert [len(item.communications) for item in dialogue] == [3, 1, 2]


async def test_communications_of_one_call_are_picked_out(
    conversations: Conversations, configuration_id: str, transcriber: LocalTranscriber
) -> None:
    conversation_id = await on_a_call(transcriber, configuration_id)
    await transcriber.spoken(CALL, "caller", "Hello?")
    found = await conversations.communications(conversation_id, channel_id=CALL)
    assert [item.text for item in found] == ["Hello?"]
    assert await conversations.communications(conversation_id, channel_id="CA" + "2" * 32) == []


async def test_unknown_fields_are_kept_and_nulls_are_as_absent(
    api: TwilioApi, conversations: Conversations, account: SandboxAccount, configuration_id: str
) -> None:
    created = await open_conversation(api, configuration_id)
    account.conversations[created.id].resource |= {"brandNew": [1], "name": None, "metadata": None}
    found = await conversations.fetch(created.id)
    assert found.raw["brandNew"] == [1]
    assert (found.name, found.metadata) == (None, {})


async def test_a_field_of_another_type_is_told_as_what_it_is(
    api: TwilioApi, conversations: Conversations, account: SandboxAccount, configuration_id: str
) -> None:
    created = await open_conversation(api, configuration_id)
    account.conversations[created.id].resource["createdAt"] = 7
    with pytest.raises(ApiError, match=r"Expected `str`, got `int` - at `\$\.createdAt`") as caught:
        await conversations.fetch(created.id)
    assert caught.value.trouble is Trouble.UNREADABLE


@pytest.mark.parametrize("value", ["", "conv_configuration_1", "x/../y"])
async def test_an_id_that_is_none_is_not_sent(
    conversations: Conversations, account: SandboxAccount, value: str
) -> None:
    with pytest.raises(ValueError, match="is not the id of a conversation"):
        await conversations.fetch(value)
    assert len(account.requests) == 0
