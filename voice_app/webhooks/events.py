"""What Twilio reports beside calls: changes of conversations, operators' results, and its own errors.

``POST /orchestrator/events``: something has changed. Events come in any order, late, and more than once.
Nothing here depends on an order: each is a fact with a time of its own, and goes to the journal of its call.
``POST /intelligence/results``, the webhook of an intelligence rule: operators have read a conversation.
Source: ``docs/orchestrator.md`` §5 and §7.
``POST /twilio/debugger``, the webhook of the Console's Debugger: something went wrong, on a call or beside
them. Source: https://www.twilio.com/docs/usage/troubleshooting/debugging-event-webhooks
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from voice_app.journal import JournalError
from voice_app.journal.events import Alerted, Analysed, Notified
from voice_app.runtime import Services
from voice_app.telemetry import metrics
from voice_app.telemetry.scope import about
from voice_app.twilio import ApiError, OperatorResult
from voice_app.twilio.alerts import ERRORS, MAX_TEXT, code_label, meaning, shown_url
from voice_app.twilio.identifiers import CALL_SID
from voice_app.webhooks.request import Notice
from voice_app.webhooks.signature import Form

MAX_RESOURCE: Final = 4000
"""Characters that are kept of a resource of an unknown type."""
MAX_RESULT: Final = 20_000
"""Characters that are kept of one result."""
MAX_RESULTS: Final = 100
"""Results of one delivery that are kept: a conversation has a handful of operators."""
MAX_VALUE: Final = 200
CONVERSATION_ID: Final = re.compile(r"conv_conversation_[0-9A-Za-z_-]{1,100}")
RESOURCES: Final = {
    "CONVERSATION_CREATED": "conversation",
    "CONVERSATION_UPDATED": "conversation",
    "PARTICIPANT_ADDED": "participant",
    "PARTICIPANT_UPDATED": "participant",
    "PARTICIPANT_REMOVED": "participant",
    "COMMUNICATION_CREATED": "communication",
    "COMMUNICATION_UPDATED": "communication",
}
"""What kind of resource an event is about."""

log = logging.getLogger(__name__)


# --- Orchestrator ------------------------------------------------------------------------------------


def event_problem(body: Mapping[str, Any]) -> str | None:
    """Why this is no event; None if it is one."""
    if not isinstance(body.get("eventType"), str) or not body["eventType"]:
        return "eventType is missing"
    return None


def event_key(body: Mapping[str, Any]) -> str:
    """What makes an event the same one again, where Twilio sends no token."""
    data = _data(body)
    when = data.get("updatedAt") or body.get("timestamp") or ""
    return f"{body.get('eventType')} {data.get('id')} {when}"


async def orchestrator_event(services: Services, notice: Notice) -> None:
    """Write an event to the journal."""
    body = notice.body
    event_type, data = str(body["eventType"]), _data(body)
    kind = RESOURCES.get(event_type)
    conversation_id = data.get("id") if kind == "conversation" else data.get("conversationId")
    under = await _journal_of(services, conversation_id, _call_sid_in(data))
    detail = ", ".join(_facts(kind, data)) if kind is not None else _json(data, MAX_RESOURCE)
    notified = Notified(event_type, _text(data.get("id")), _text(body.get("timestamp")), detail)
    services.journal.write(under, notified, once=notice.key())


def _facts(kind: str, data: Mapping[str, Any]) -> Iterator[str]:
    """What is worth knowing of a resource. What was said is not: it is in the journal already."""
    if kind == "conversation":
        yield from _named(data, "status", "configurationId")
    elif kind == "participant":
        yield from _named(data, "type", "profileId")
    else:
        content = _mapping(data.get("content"))
        yield from _named(_mapping(data.get("author")), "channel", "participantId")
        yield from _named(_mapping(content.get("transcription")), "engine")
        yield from _named(data, "resourceId")


def _named(data: Mapping[str, Any], *names: str) -> Iterator[str]:
    for name in names:
        if isinstance(value := data.get(name), str) and value:
            yield f"{name} {value[:MAX_VALUE]}"


def _call_sid_in(data: Mapping[str, Any]) -> str | None:
    """The CallSid that a resource names: of itself, or of one of its addresses."""
    addresses = data.get("addresses")
    for item in (data, *(addresses if isinstance(addresses, list) else ())):
        channel_id = item.get("channelId") if isinstance(item, dict) else None
        if isinstance(channel_id, str) and CALL_SID.fullmatch(channel_id):
            return channel_id
    return None


# --- Intelligence ------------------------------------------------------------------------------------


def results_problem(body: Mapping[str, Any]) -> str | None:
    """Why these are no results; None if they are."""
    return None if isinstance(body.get("operatorResults"), list) else "operatorResults is missing"


def results_key(body: Mapping[str, Any]) -> str:
    """What makes a delivery the same one again, where Twilio sends no token."""
    return f"results {' '.join(str(item.get('id')) for item in _results(body))}"


async def intelligence_results(services: Services, notice: Notice) -> None:
    """Write what the operators said to the journal, each result once."""
    under = await _journal_of(services, notice.body.get("conversationId"), None)
    for number, item in enumerate(_results(notice.body)):
        result_id, key = item.get("id"), notice.key(str(number))
        if isinstance(result_id, str):
            if not services.is_new(result_id):
                continue
            key = f"result {_text(result_id)}"
        services.journal.write(under, _analysed(item), once=key)
    services.followups.news(under)


def _analysed(item: dict[str, Any]) -> Analysed | Notified:
    try:
        result = OperatorResult.read(item)
    except ApiError:
        # Of a shape that nobody has documented: kept as it is.
        return Notified("OPERATOR_RESULT", str(item.get("id", ""))[:MAX_VALUE], "", _json(item, MAX_RESULT))
    trigger = _mapping((result.execution_details or {}).get("trigger"))
    return Analysed(
        result.operator.id,
        result.text[:MAX_RESULT],
        result.id,
        str(trigger.get("on", "")),
        result.date_created,
    )


def _results(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = body.get("operatorResults")
    if not isinstance(found, list):
        return []
    return [item for item in found[:MAX_RESULTS] if isinstance(item, dict)]


# --- Debugger ----------------------------------------------------------------------------------------


def debugger_form(form: Form) -> Mapping[str, Any]:
    """The fields of the form, with the JSON in ``Payload`` decoded."""
    try:
        payload = msgspec.json.decode(form.get("Payload", ""))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        payload = None
    return {**form, "Payload": payload}


def debugger_problem(body: Mapping[str, Any]) -> str | None:
    """Why this is no entry of the Debugger; None if it is one."""
    if not isinstance(body["Payload"], dict):
        return "Payload is missing, or no JSON object"
    return None if _code(body) else "Payload has no error_code"


def debugger_key(body: Mapping[str, Any]) -> str:
    """What makes an entry the same one again, where Twilio sends no token."""
    return str(body.get("Sid") or _json(body, MAX_RESOURCE))


async def debugger_event(services: Services, notice: Notice) -> None:
    """Write an entry to the journal of its call, or of the account where it names no call that we know."""
    body, payload = notice.body, notice.body["Payload"]
    code, level = _code(body), _text(body.get("Level")).lower()
    webhook, told = _mapping(payload.get("webhook")), payload.get("more_info")
    asked, answered = _mapping(webhook.get("request")), _mapping(webhook.get("response"))
    more = _mapping(told)
    texts = (more.get(name) for name in ("Msg", "msg", "message", "description", "parserMessage"))
    said = told if isinstance(told, str) else next(filter(None, texts), "")
    call_sid = next(_calls_in(payload, more, _mapping(asked.get("parameters"))), None)
    conversation = more.get("conversationId") or payload.get("resource_sid")
    alerted = Alerted(
        code,
        level,
        str(said)[:MAX_TEXT],
        _text(payload.get("resource_sid")) or call_sid or "",
        shown_url(str(asked.get("url") or more.get("url") or "")),
        _text(str(answered.get("status_code") or more.get("httpResponse") or "")),
        _text(body.get("Timestamp")),
    )
    under = await _known_call(services, call_sid, conversation)
    with about(under):
        log.warning("Twilio reports %s %s: %s", level or "an error", code, meaning(code).what)
    metrics.ALERTS.labels(code_label(code), level if level in (ERRORS, "warning") else "other").inc()
    services.journal.write(under, alerted, once=notice.key())
    services.followups.news(under)


def _code(body: Mapping[str, Any]) -> str:
    """Twilio's error code: digits, as text or as a number."""
    payload = body["Payload"]
    more = _mapping(payload.get("more_info"))
    told = str(payload.get("error_code") or more.get("ErrorCode") or more.get("errorCode") or "")
    return told if re.fullmatch(r"\d{1,7}", told, re.ASCII) else ""


def _calls_in(*places: Mapping[str, Any]) -> Iterator[str]:
    for place in places:
        for name in ("resource_sid", "CallSid", "callSid", "call_sid"):
            if isinstance(sid := place.get(name), str) and CALL_SID.fullmatch(sid):
                yield sid


async def _known_call(services: Services, call_sid: str | None, conversation: object) -> str:
    """Whose journal an entry belongs to. It must not make a call known that we never had."""
    if call_sid is None:
        return await _journal_of(services, conversation, None)
    try:
        known = bool(await services.journal.events(call_sid))
    except JournalError:  # it is in the log
        known = True
    return call_sid if known else services.settings.account_sid or ""


# --- all ---------------------------------------------------------------------------------------------


async def _journal_of(services: Services, conversation_id: object, call_sid: str | None) -> str:
    """Under which id of the journal a notice belongs.

    That of its call, be it named or known from its conversation; else that of the conversation; and what
    names neither belongs to the account.
    """
    if not isinstance(conversation_id, str) or CONVERSATION_ID.fullmatch(conversation_id) is None:
        return call_sid or services.settings.account_sid or ""
    if call_sid is not None:
        services.index.link(conversation_id, call_sid)
        return call_sid
    try:
        return await services.index.call_of(conversation_id) or conversation_id
    except JournalError:  # it is in the log
        return conversation_id


def _data(body: Mapping[str, Any]) -> Mapping[str, Any]:
    return _mapping(body.get("data"))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _json(data: Mapping[str, Any], limit: int) -> str:
    return msgspec.json.encode(data).decode()[:limit]


def _text(value: object) -> str:
    return value[:MAX_VALUE] if isinstance(value, str) else ""
