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


def status_changed(account: SandboxAccount, thread: StoredConversation) -> None:
    """A conversation rests or is over: memories are extracted, and operators run."""
    trigger = _TRIGGERS.get(thread.status)
    if trigger is not None:
        _extract(account, thread)
        _run(account, thread, trigger)


def spoken(account: SandboxAccount, thread: StoredConversation) -> None:
    """Somebody has said something more."""
    _run(account, thread, "COMMUNICATION")


def _extract(account: SandboxAccount, thread: StoredConversation) -> None:
    """One observation for each conversation, and a summary once it is closed."""
    pinned = thread.resource.get("configuration") or {}
    store = account.stores.get(pinned.get("memoryStoreId", ""))
    said = _said_by_customer(thread)
    if not pinned.get("memoryExtractionEnabled") or store is None or not store.active or not said:
        return
    common = {"source": "conversation", "occurredAt": account.now()}
    for person in _customers(thread, store.people):
        known = [
            item for item in person.observations.values() if thread.id in item.get("conversationIds", [])
        ]
        if not any(item["source"] == "conversation" for item in known):
            content = {"content": f"Said: {said[0]}", "conversationIds": [thread.id]}
            remember(account, person, content | common)
        if thread.status == "CLOSED":
            summarize(account, person, {"content": _summary(said), "conversationId": thread.id} | common)


def _customers(thread: StoredConversation, people: dict[str, StoredProfile]) -> Iterator[StoredProfile]:
    for participant in thread.participants.values():
        person = people.get(participant.get("profileId", ""))
        if participant["type"] == "CUSTOMER" and person is not None:
            yield person


def _run(account: SandboxAccount, thread: StoredConversation, trigger: str) -> None:
    """The rules of every linked intelligence configuration that wait for this."""
    pinned = thread.resource.get("configuration") or {}
    for intelligence_id in pinned.get("intelligenceConfigurationIds") or []:
        configuration = account.intelligence.get(intelligence_id)
        for rule in configuration["rules"] if configuration is not None else ():
            if configuration is not None and _is_due(rule, trigger, len(thread.communications)):
                _execute(account, thread, configuration, rule, trigger)


def _is_due(rule: Json, trigger: str, communications: int) -> bool:
    for item in rule.get("triggers") or []:
        if item["on"] == trigger:
            count: int = (item.get("parameters") or {}).get("count", 1)
            return trigger != "COMMUNICATION" or communications % count == 0
    return False


def _execute(
    account: SandboxAccount,
    thread: StoredConversation,
    configuration: Json,
    rule: Json,
    trigger: str,
) -> None:
    results = [_result(account, thread, configuration, rule, item, trigger) for item in rule["operators"]]
    account.results |= {result["id"]: result for result in results}
    body = {
        "accountId": account.sid,
        "conversationId": thread.id,
        "intelligenceConfiguration": results[0]["intelligenceConfiguration"]
        | {"displayName": configuration["displayName"]},
        "operatorResults": results,
        "memoryStoreId": (thread.resource.get("configuration") or {}).get("memoryStoreId"),
    }
    for action in rule.get("actions") or []:
        account.send(OutgoingWebhook(action["url"], body))


def _result(
    account: SandboxAccount,
    thread: StoredConversation,
    configuration: Json,
    rule: Json,
    wanted: Json,
    trigger: str,
) -> Json:
    operator = account.operators[wanted["id"]]
    said = list(thread.communications)
    participants = [
        {name: person[name] for name in ("id", "profileId", "type") if name in person}
        for person in thread.participants.values()
    ]
    return {
        "id": new_id("intelligence_operatorresult_"),
        "accountId": account.sid,
        "intelligenceConfiguration": {
            "id": configuration["id"],
            "ruleId": rule["id"],
            "version": configuration["version"],
        },
        "conversationId": thread.id,
        "operator": {
            "id": operator["id"],
            "version": wanted.get("version", operator["version"]),
            "parameters": wanted.get("parameters", {}),
        },
        "outputFormat": operator["outputFormat"],
        "result": _output(operator, thread),
        "dateCreated": account.now(),
        "referenceIds": [],
        "executionDetails": {
            "trigger": {"on": trigger, "timestamp": account.now()},
            "communications": {"first": said[0], "last": said[-1]} if said else {},
            "channels": sorted({item["author"]["channel"] for item in thread.communications.values()}),
            "participants": participants,
        },
        "metadata": {"system": {"resolvedModel": "sandbox", "latencyMs": 0, "inputTruncated": False}},
    }


def _output(operator: Json, thread: StoredConversation) -> dict[str, Any]:
    text = _summary(_said_by_customer(thread))
    if operator["outputFormat"] == "CLASSIFICATION":
        return {"label": "neutral"}
    if operator["outputFormat"] == "TEXT":
        return {"text": text}
    names = (operator.get("outputSchema") or {}).get("properties") or {"text": {}}
    return dict.fromkeys(names, text)


def _said_by_customer(thread: StoredConversation) -> list[str]:
    customers = {
        participant["id"] for participant in thread.participants.values() if participant["type"] == "CUSTOMER"
    }
    return [
        str(item["content"]["text"])
        for item in thread.communications.values()
        if item["author"].get("participantId") in customers
    ]


def _summary(said: list[str]) -> str:
    return f"The customer said: {' '.join(said)}" if said else "The customer said nothing."
