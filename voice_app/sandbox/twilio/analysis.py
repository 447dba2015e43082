"""What Twilio makes of a conversation by itself: memories, and what operators say.

There is no model in it: an operator repeats what was said, so that a test knows what to expect.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voice_app.sandbox.twilio.account import SandboxAccount
from voice_app.sandbox.twilio.memory_store import remember, summarize
from voice_app.sandbox.twilio.records import (
    Json,
    OutgoingWebhook,
    StoredConversation,
    StoredProfile,
    new_id,
)

_TRIGGERS = {"INACTIVE": "CONVERSATION_INACTIVE", "CLOSED": "CONVERSATION_END"}


def status_changed(account: SandboxAccount, conversation: StoredConversation) -> None:
    """A conversation rests or is over: memories are extracted, and operators run."""
    trigger = _TRIGGERS.get(conversation.status)
    if trigger is not None:
        _extract(account, conversation)
        _run(account, conversation, trigger)


def spoken(account: SandboxAccount, conversation: StoredConversation) -> None:
    """Somebody has said something more."""
    _run(account, conversation, "COMMUNICATION")


def _extract(account: SandboxAccount, conversation: StoredConversation) -> None:
    """One observation for each conversation, and a summary once it is closed."""
    pinned = conversation.resource.get("configuration") or {}
    store = account.stores.get(pinned.get("memoryStoreId", ""))
    said = _said_by_customer(conversation)
    if not pinned.get("memoryExtractionEnabled") or store is None or not store.active or not said:
        return
    common = {"source": "conversation", "occurredAt": account.now()}
    for profile in _customers(conversation, store.profiles):
        known = [
            item
            for item in profile.observations.values()
            if conversation.id in item.get("conversationIds", [])
        ]
        if not any(item["source"] == "conversation" for item in known):
            content = {"content": f"Said: {said[0]}", "conversationIds": [conversation.id]}
            remember(account, profile, content | common)
        if conversation.status == "CLOSED":
            summarize(
                account, profile, {"content": _summary(said), "conversationId": conversation.id} | common
            )


def _customers(conversation: StoredConversation, people: dict[str, StoredProfile]) -> Iterator[StoredProfile]:
    for participant in conversation.participants.values():
        profile = people.get(participant.get("profileId", ""))
        if participant["type"] == "CUSTOMER" and profile is not None:
            yield profile


def _run(account: SandboxAccount, conversation: StoredConversation, trigger: str) -> None:
    """The rules of every linked intelligence configuration that wait for this."""
    pinned = conversation.resource.get("configuration") or {}
    for intelligence_id in pinned.get("intelligenceConfigurationIds") or []:
        configuration = account.intelligence.get(intelligence_id)
        for rule in configuration["rules"] if configuration is not None else ():
            if configuration is not None and _is_due(rule, trigger, len(conversation.communications)):
                _execute(account, conversation, configuration, rule, trigger)


def _is_due(rule: Json, trigger: str, communications: int) -> bool:
    for item in rule.get("triggers") or []:
        if item["on"] == trigger:
            count: int = (item.get("parameters") or {}).get("count", 1)
            return trigger != "COMMUNICATION" or communications % count == 0
    return False


def _execute(
    account: SandboxAccount,
    conversation: StoredConversation,
    configuration: Json,
    rule: Json,
    trigger: str,
) -> None:
    results = [
        _result(account, conversation, configuration, rule, item, trigger) for item in rule["operators"]
    ]
    account.results |= {result["id"]: result for result in results}
    body = {
        "accountId": account.sid,
        "conversationId": conversation.id,
        "intelligenceConfiguration": results[0]["intelligenceConfiguration"]
        | {"displayName": configuration["displayName"]},
        "operatorResults": results,
        "memoryStoreId": (conversation.resource.get("configuration") or {}).get("memoryStoreId"),
    }
    for action in rule.get("actions") or []:
        account.send(OutgoingWebhook(action["url"], body))


def _result(
    account: SandboxAccount,
    conversation: StoredConversation,
    configuration: Json,
    rule: Json,
    wanted: Json,
    trigger: str,
) -> Json:
    operator = account.operators[wanted["id"]]
    said = list(conversation.communications)
    participants = [
        {name: item[name] for name in ("id", "profileId", "type") if name in item}
        for item in conversation.participants.values()
    ]
    return {
        "id": new_id("intelligence_operatorresult_"),
        "accountId": account.sid,
        "intelligenceConfiguration": {
            "id": configuration["id"],
            "ruleId": rule["id"],
            "version": configuration["version"],
        },
        "conversationId": conversation.id,
        "operator": {
            "id": operator["id"],
            "version": wanted.get("version", operator["version"]),
            "parameters": wanted.get("parameters", {}),
        },
        "outputFormat": operator["outputFormat"],
        "result": _output(operator, conversation),
        "dateCreated": account.now(),
        "referenceIds": [],
        "executionDetails": {
            "trigger": {"on": trigger, "timestamp": account.now()},
            "communications": {"first": said[0], "last": said[-1]} if said else {},
            "channels": sorted({item["author"]["channel"] for item in conversation.communications.values()}),
            "participants": participants,
        },
        "metadata": {"system": {"resolvedModel": "sandbox", "latencyMs": 0, "inputTruncated": False}},
    }


def _output(operator: Json, conversation: StoredConversation) -> dict[str, Any]:
    text = _summary(_said_by_customer(conversation))
    if operator["outputFormat"] == "CLASSIFICATION":
        return {"label": "neutral"}
    if operator["outputFormat"] == "TEXT":
        return {"text": text}
    names = (operator.get("outputSchema") or {}).get("properties") or {"text": {}}
    return dict.fromkeys(names, text)


def _said_by_customer(conversation: StoredConversation) -> list[str]:
    customers = {
        participant["id"]
        for participant in conversation.participants.values()
        if participant["type"] == "CUSTOMER"
    }
    return [
        str(item["content"]["text"])
        for item in conversation.communications.values()
        if item["author"].get("participantId") in customers
    ]


def _summary(said: list[str]) -> str:
    return f"The customer said: {' '.join(said)}" if said else "The customer said nothing."
