"""``POST /orchestrator/events``, the status callback of a configuration: something has changed.

Events come in any order, late, and more than once. Nothing here depends on an order: each is a fact with a
time of its own, and goes to the journal of its call. Source: reference ``orchestrator.md`` §5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from voice_app.journal.events import Notified
from voice_app.webhooks.desk import Desk
from voice_app.webhooks.notice import Notice, call_sid_in, subject

MAX_DETAIL: Final = 4000
"""Characters that are kept of a resource of an unknown type."""

_KNOWN = {
    "CONVERSATION_CREATED": "conversation",
    "CONVERSATION_UPDATED": "conversation",
    "PARTICIPANT_ADDED": "participant",
    "PARTICIPANT_UPDATED": "participant",
    "PARTICIPANT_REMOVED": "participant",
    "COMMUNICATION_CREATED": "communication",
    "COMMUNICATION_UPDATED": "communication",
}


def event_key(body: Mapping[str, Any]) -> str:
    """What makes an event the same one again, where Twilio sends no token."""
    data = _data(body)
    when = data.get("updatedAt") or body.get("timestamp") or ""
    return f"{body.get('eventType')} {data.get('id')} {when}"


def check_event(body: Mapping[str, Any]) -> str | None:
    """Why this is no event; None if it is one."""
    if not isinstance(body.get("eventType"), str) or not body["eventType"]:
        return "eventType is missing"
    return None


async def orchestrator_event(desk: Desk, notice: Notice) -> None:
    """Write an event to the journal."""
    body = notice.body
    event_type, data = str(body["eventType"]), _data(body)
    kind = _KNOWN.get(event_type)
    conversation_id = data.get("id") if kind == "conversation" else data.get("conversationId")
    under = await subject(desk, conversation_id, call_sid_in(data))
    detail = ", ".join(_facts(kind, data)) if kind is not None else _json(data)
    notified = Notified(event_type, _text(data.get("id")), _text(body.get("timestamp")), detail)
    desk.journal.write(under, notified, once=notice.name())


def _facts(kind: str, data: Mapping[str, Any]) -> Iterator[str]:
    """What is worth knowing of a resource. What was said is not: it is in the journal already."""
    if kind == "conversation":
        yield from _named(data, "status", "configurationId")
    elif kind == "participant":
        yield from _named(data, "type", "profileId")
    else:
        author = data.get("author")
        yield from _named(author if isinstance(author, dict) else {}, "channel", "participantId")
        content = data.get("content")
        transcription = content.get("transcription") if isinstance(content, dict) else None
        yield from _named(transcription if isinstance(transcription, dict) else {}, "engine")
        yield from _named(data, "resourceId")


def _named(data: Mapping[str, Any], *names: str) -> Iterator[str]:
    for name in names:
        if isinstance(value := data.get(name), str) and value:
            yield f"{name} {value[:200]}"


def _data(body: Mapping[str, Any]) -> Mapping[str, Any]:
    data = body.get("data")
    return data if isinstance(data, dict) else {}


def _json(data: Mapping[str, Any]) -> str:
    return msgspec.json.encode(data).decode()[:MAX_DETAIL]


def _text(value: Any) -> str:
    return value[:200] if isinstance(value, str) else ""
