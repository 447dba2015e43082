"""``POST /intelligence/results``, the webhook of an intelligence rule: operators have read a conversation.

Source: reference ``orchestrator.md`` §7.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from voice_app.journal.events import Analysed, Notified
from voice_app.twilio import ApiError, OperatorResult
from voice_app.webhooks.desk import Desk
from voice_app.webhooks.notice import Notice, subject

MAX_RESULT: Final = 20_000
"""Characters that are kept of one result."""


def results_key(body: Mapping[str, Any]) -> str:
    """What makes a delivery the same one again, where Twilio sends no token."""
    return f"results {' '.join(str(item.get('id')) for item in _results(body))}"


def check_results(body: Mapping[str, Any]) -> str | None:
    """Why these are no results; None if they are."""
    return None if isinstance(body.get("operatorResults"), list) else "operatorResults is missing"


async def intelligence_results(desk: Desk, notice: Notice) -> None:
    """Write what the operators said to the journal, each result once."""
    under = await subject(desk, notice.body.get("conversationId"), None)
    for number, item in enumerate(_results(notice.body)):
        result_id, name = item.get("id"), notice.name(str(number))
        if isinstance(result_id, str):
            if not desk.seen.first(result_id):
                continue
            name = f"result {result_id[:200]}"
        desk.journal.write(under, _event(item), once=name)


def _event(item: dict[str, Any]) -> Analysed | Notified:
    try:
        result = OperatorResult.read(item)
    except ApiError:
        # Of a shape that nobody has documented: kept as it is.
        return Notified("OPERATOR_RESULT", str(item.get("id", ""))[:200], "", _json(item))
    trigger = (result.execution_details or {}).get("trigger")
    return Analysed(
        result.operator.id,
        result.text[:MAX_RESULT],
        result.id,
        str(trigger.get("on", "")) if isinstance(trigger, dict) else "",
        result.date_created,
    )


def _results(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = body.get("operatorResults")
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _json(item: Mapping[str, Any]) -> str:
    return msgspec.json.encode(item).decode()[:MAX_RESULT]
