"""Conversations as the account keeps them: who belongs together, and what was said."""

from __future__ import annotations

import copy
from typing import Any, Final

from voice_app.sandbox.twilio import analysis
from voice_app.sandbox.twilio.account import SandboxAccount
from voice_app.sandbox.twilio.errors import RefusedRequestError, invalid
from voice_app.sandbox.twilio.memory_store import resolved
from voice_app.sandbox.twilio.records import Json, OutgoingWebhook, StoredConversation, new_id

AGING_SECONDS: Final = 1.0
"""How often it is looked for conversations that grow old: their timers have minutes; there may be many."""
_KEPT_BACK = ("configuration", "participants")


def settle(account: SandboxAccount) -> None:
    """Let time do its work: operations and memories that are due, conversations that nobody speaks in."""
    now = account.clock()
    for operation in account.operations.values():
        due = operation.created_at + account.behaviour.operation_seconds
        if operation.completed_at is None and now >= due:
            account.complete(operation)
    if not 0 <= now - account.aged_at < AGING_SECONDS:
        account.aged_at = now
        for conversation in account.conversations.values():
            _age(account, conversation, now)
    for store in account.stores.values():
        due_now = [effect for due, effect in store.queued if due <= now]
        store.queued = [item for item in store.queued if item[0] > now]
        for effect in due_now:
            effect()


def set_status(account: SandboxAccount, conversation: StoredConversation, status: str) -> None:
    """Move a conversation along. The end of one is when memories are extracted and operators run."""
    if status == conversation.status:
        return
    conversation.resource["status"] = status
    conversation.resource["updatedAt"] = account.now()
    tell(account, conversation, "CONVERSATION_UPDATED", conversation.resource)
    analysis.status_changed(account, conversation)


def tell(account: SandboxAccount, conversation: StoredConversation, event_type: str, resource: Json) -> None:
    """Send an event to the callbacks of the conversation: those that it was created with."""
    callbacks = (conversation.resource.get("configuration") or {}).get("statusCallbacks") or []
    data = {name: value for name, value in resource.items() if name not in _KEPT_BACK}
    for callback in callbacks:
        if callback.get("method", "POST") == "POST":
            body = {"eventType": event_type, "timestamp": account.now(), "data": data}
            account.send(OutgoingWebhook(callback["url"], body))


def _age(account: SandboxAccount, conversation: StoredConversation, now: float) -> None:
    """Both timers run from the last communication; the channel that lives longest decides."""
    if not conversation.open:
        return
    quiet = (now - conversation.touched_at) / 60
    inactive, closed = (_minutes(conversation, name) for name in ("inactive", "closed"))
    if closed is not None and quiet >= closed:
        set_status(account, conversation, "CLOSED")
    elif inactive is not None and quiet >= inactive and conversation.status == "ACTIVE":
        set_status(account, conversation, "INACTIVE")


def _minutes(conversation: StoredConversation, name: str) -> float | None:
    settings = (conversation.resource.get("configuration") or {}).get("channelSettings") or {}
    used = {
        address["channel"]
        for participant in conversation.participants.values()
        for address in participant["addresses"]
    }
    found = [
        timeouts[name]
        for channel in used
        if (timeouts := (settings.get(channel) or {}).get("statusTimeouts")) and name in timeouts
    ]
    return max(found, default=None)


GroupingKey = tuple[object, ...]

PROFILE = "GROUP_BY_PROFILE"
ADDRESSES_AND_CHANNEL = "GROUP_BY_PARTICIPANT_ADDRESSES_AND_CHANNEL_TYPE"


def grouping_key(
    account: SandboxAccount, configuration_id: str | None, grouping: str, participants: list[Json]
) -> GroupingKey | None:
    """What participants must have in common to share a conversation; None if nothing groups them."""
    addresses = [address for participant in participants for address in participant["addresses"]]
    if configuration_id is None or not addresses:
        return None
    if grouping == PROFILE:
        profiles = [
            participant["profileId"]
            for participant in participants
            if participant["type"] == "CUSTOMER" and "profileId" in participant
        ]
        if profiles:
            return configuration_id, profiles[0]
    if grouping == ADDRESSES_AND_CHANNEL:
        return configuration_id, frozenset((item["channel"], _bare(item["address"])) for item in addresses)
    return configuration_id, frozenset(_bare(item["address"]) for item in addresses)


def open_conversation(account: SandboxAccount, key: GroupingKey | None) -> StoredConversation | None:
    """The conversation that owns this key, if there is one that may still grow."""
    if key is None:
        return None
    for conversation in account.conversations.values():
        if conversation.open and _key_of(account, conversation) == key:
            return conversation
    return None


def new_participant(account: SandboxAccount, conversation_id: str, store_id: str | None, given: Json) -> Json:
    """A participant as the API shows it. A customer gets the profile of the first address.

    Without an active store there is no profile, and no error either.
    """
    now = account.now()
    participant: Json = {
        "id": new_id("conv_participant_"),
        "conversationId": conversation_id,
        "accountId": account.sid,
        "type": "UNKNOWN",
        "addresses": [],
        "createdAt": now,
        "updatedAt": now,
    } | copy.deepcopy(given)
    if participant["type"] == "CUSTOMER" and participant["addresses"] and "profileId" not in participant:
        profile_id = resolved(account, store_id, _bare(participant["addresses"][0]["address"]))
        if profile_id is not None:
            participant["profileId"] = profile_id
    return participant


def create_conversation(
    account: SandboxAccount,
    configuration_id: str | None,
    participants: list[Json],
    *,
    inline: Json | None = None,
    **fields: Any,
) -> StoredConversation:
    """Open a conversation. Raises `RefusedRequestError` (409) if an open one owns the addresses already."""
    snapshot = account.snapshot(configuration_id) if configuration_id is not None else {}
    snapshot |= copy.deepcopy(inline or {})
    conversation_id = new_id("conv_conversation_")
    store_id = snapshot.get("memoryStoreId")
    people = [new_participant(account, conversation_id, store_id, item) for item in participants]
    key = grouping_key(account, configuration_id, snapshot.get("conversationGroupingType", ""), people)
    existing = open_conversation(account, key)
    if existing is not None:
        raise RefusedRequestError(
            409,
            account.behaviour.conflict_code,
            "An open conversation with these participants exists",
            headers={"X-Conflicting-Resource-Id": existing.id},
        )
    now = account.now()
    resource: Json = {
        "id": conversation_id,
        "accountId": account.sid,
        "configurationId": configuration_id,
        "status": "ACTIVE",
        "createdAt": now,
        "updatedAt": now,
        "configuration": snapshot,
    } | fields
    conversation = StoredConversation(
        resource, {item["id"]: item for item in people}, touched_at=account.clock()
    )
    account.conversations[conversation_id] = conversation
    tell(account, conversation, "CONVERSATION_CREATED", resource)
    for person in people:
        tell(account, conversation, "PARTICIPANT_ADDED", person)
    return conversation


def shown(conversation: StoredConversation) -> Json:
    """The conversation as the API shows it."""
    return conversation.resource | {"participants": list(conversation.participants.values())}


def join(account: SandboxAccount, conversation: StoredConversation, given: Json) -> Json:
    """Let a participant in, or find the one with the same address; the new channel id is added to it."""
    address = given["addresses"][0]
    for participant in conversation.participants.values():
        same = [
            item
            for item in participant["addresses"]
            if item["channel"] == address["channel"] and _bare(item["address"]) == _bare(address["address"])
        ]
        if same:
            if address.get("channelId") not in [item.get("channelId") for item in same]:
                participant["addresses"].append(copy.deepcopy(address))
                tell(account, conversation, "PARTICIPANT_UPDATED", participant)
            return participant
    return add_participant(account, conversation, given)


def add_participant(account: SandboxAccount, conversation: StoredConversation, given: Json) -> Json:
    """Let a participant in."""
    participant = new_participant(account, conversation.id, store_of(conversation), given)
    conversation.participants[participant["id"]] = participant
    tell(account, conversation, "PARTICIPANT_ADDED", participant)
    return participant


def store_of(conversation: StoredConversation) -> str | None:
    """The memory store that the conversation was created with."""
    store_id: str | None = (conversation.resource.get("configuration") or {}).get("memoryStoreId")
    return store_id


def say(account: SandboxAccount, conversation: StoredConversation, given: Json) -> Json:
    """Write a communication; one with the same ``resourceId`` is updated.

    Raises `RefusedRequestError` once the conversation is closed.
    """
    if not conversation.open:
        raise invalid(f"{conversation.id} is CLOSED: nothing can be added to it")
    set_status(account, conversation, "ACTIVE")
    conversation.touched_at = account.clock()
    now = account.now()
    fields = copy.deepcopy(given)
    for item in conversation.communications.values():
        if fields.get("resourceId") and item.get("resourceId") == fields["resourceId"]:
            item |= fields | {"updatedAt": now}
            tell(account, conversation, "COMMUNICATION_UPDATED", item)
            return item
    communication: Json = {
        "id": new_id("conv_communication_"),
        "conversationId": conversation.id,
        "accountId": account.sid,
        "createdAt": now,
        "updatedAt": now,
        "occurredAt": now,
    } | fields
    conversation.communications[communication["id"]] = communication
    tell(account, conversation, "COMMUNICATION_CREATED", communication)
    analysis.spoken(account, conversation)
    return communication


def channel_ids(conversation: StoredConversation) -> set[str]:
    """The calls and messages that the conversation is made of."""
    of_people = {
        address.get("channelId")
        for participant in conversation.participants.values()
        for address in participant["addresses"]
    }
    return {
        item
        for item in of_people | {item.get("channelId") for item in conversation.communications.values()}
        if isinstance(item, str)
    }


def _key_of(account: SandboxAccount, conversation: StoredConversation) -> GroupingKey | None:
    grouping = (conversation.resource.get("configuration") or {}).get("conversationGroupingType", "")
    people = list(conversation.participants.values())
    return grouping_key(account, conversation.resource.get("configurationId"), grouping, people)


def _bare(address: str) -> str:
    """The same number on another channel is the same address."""
    for prefix in ("whatsapp:", "rcs:"):
        address = address.removeprefix(prefix)
    return address
