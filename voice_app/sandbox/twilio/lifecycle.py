"""What becomes of conversations as time passes and people speak, and who is told about it."""

from __future__ import annotations

from voice_app.sandbox.twilio import analysis
from voice_app.sandbox.twilio.account import Account, Letter, Resource, Thread

_KEPT_BACK = ("configuration", "participants")


def settle(account: Account) -> None:
    """Let time do its work: operations and memories that are due, conversations that nobody speaks in."""
    now = account.clock()
    for operation in account.operations.values():
        due = operation.created_at + account.behaviour.operation_seconds
        if operation.completed_at is None and now >= due:
            account.complete(operation)
    for thread in account.threads.values():
        _age(account, thread, now)
    for store in account.stores.values():
        due_now = [effect for due, effect in store.queued if due <= now]
        store.queued = [item for item in store.queued if item[0] > now]
        for effect in due_now:
            effect()


def set_status(account: Account, thread: Thread, status: str) -> None:
    """Move a conversation along. The end of one is when memories are extracted and operators run."""
    if status == thread.status:
        return
    thread.resource["status"] = status
    thread.resource["updatedAt"] = account.now()
    tell(account, thread, "CONVERSATION_UPDATED", thread.resource)
    analysis.status_changed(account, thread)


def tell(account: Account, thread: Thread, event_type: str, resource: Resource) -> None:
    """Send an event to the callbacks of the conversation: those that it was created with."""
    callbacks = (thread.resource.get("configuration") or {}).get("statusCallbacks") or []
    data = {name: value for name, value in resource.items() if name not in _KEPT_BACK}
    for callback in callbacks:
        if callback.get("method", "POST") == "POST":
            body = {"eventType": event_type, "timestamp": account.now(), "data": data}
            account.send(Letter(callback["url"], body))


def _age(account: Account, thread: Thread, now: float) -> None:
    """Both timers run from the last communication; the channel that lives longest decides."""
    if not thread.open:
        return
    quiet = (now - thread.touched_at) / 60
    inactive, closed = (_minutes(thread, name) for name in ("inactive", "closed"))
    if closed is not None and quiet >= closed:
        set_status(account, thread, "CLOSED")
    elif inactive is not None and quiet >= inactive and thread.status == "ACTIVE":
        set_status(account, thread, "INACTIVE")


def _minutes(thread: Thread, name: str) -> float | None:
    settings = (thread.resource.get("configuration") or {}).get("channelSettings") or {}
    used = {
        address["channel"]
        for participant in thread.participants.values()
        for address in participant["addresses"]
    }
    found = [
        timeouts[name]
        for channel in used
        if (timeouts := (settings.get(channel) or {}).get("statusTimeouts")) and name in timeouts
    ]
    return max(found, default=None)
