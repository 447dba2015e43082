"""Changes that Twilio makes behind a 202: they are true once their operation is completed, and not before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from voice_app.twilio.errors import ApiError, Trouble, seconds_to_wait
from voice_app.twilio.http import ApiReply, TwilioApi
from voice_app.twilio.models import Operation

PRODUCT: Final = "conversations"

Progress = Callable[[Operation], None]
"""Told about every look at an operation."""

_STATUS_PATH: Final = r"/v[12]/ControlPlane/Operations/[0-9A-Za-z_-]+"
_OVER: Final = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
_DEFAULT_PAUSE_SECONDS: Final = 1.0
_MIN_PAUSE_SECONDS: Final = 0.02
_MAX_PAUSE_SECONDS: Final = 10.0


async def finished(
    api: TwilioApi, reply: ApiReply, url: str, *, deadline: float = 60.0, progress: Progress | None = None
) -> Operation:
    """Wait until the change that ``reply`` announces is made.

    Statuses that nobody has documented mean "not yet". Raises `ApiError` if the operation fails, is
    cancelled, is not over after ``deadline`` seconds, or is to be asked for at an address that is not the
    product's own.
    """
    path = _status_path(api, reply, url)
    ends = time.monotonic() + deadline
    pause = _pause(reply, _DEFAULT_PAUSE_SECONDS)
    while True:
        await asyncio.sleep(max(0.0, min(pause, ends - time.monotonic())))
        answer = await api.request("GET", PRODUCT, path)
        operation = Operation.read(answer.body if isinstance(answer.body, dict) else {})
        if progress is not None:
            progress(operation)
        if operation.status in _OVER:
            return _completed(operation, api.url(PRODUCT, path))
        if time.monotonic() >= ends:
            name = operation.operation_id or "the operation"
            told = f"{name} was still {operation.status or 'without a status'} after {deadline:g} s"
            raise ApiError(Trouble.TIMEOUT, method="GET", url=api.url(PRODUCT, path), message=told)
        pause = _pause(answer, pause)


def related_id(operation: Operation, name: str) -> str | None:
    """The id of what was changed, e.g. under ``configurationId``. The sources differ on where it stands."""
    for place, key in ((operation.related, name), (operation.result, name), (operation.result, "id")):
        value = place.get(key) if isinstance(place, dict) else None
        if isinstance(value, str) and value:
            return value
    return None


def _pause(reply: ApiReply, usual: float) -> float:
    wait = seconds_to_wait(reply.headers)
    return usual if wait is None else max(_MIN_PAUSE_SECONDS, min(wait, _MAX_PAUSE_SECONDS))


def _status_path(api: TwilioApi, reply: ApiReply, url: str) -> str:
    body: dict[str, Any] = reply.body if isinstance(reply.body, dict) else {}
    status_url = body.get("statusUrl")
    path = api.owned_path(PRODUCT, status_url, _STATUS_PATH) if isinstance(status_url, str) else None
    if path is None:
        told = f"its statusUrl is {status_url!r}, which is no operation of this API: not asked there"
        raise ApiError(Trouble.UNREADABLE, method="GET", url=url, message=told, status=reply.status)
    return path


def _completed(operation: Operation, url: str) -> Operation:
    if operation.status == "COMPLETED":
        return operation
    problem = operation.error
    details = (problem.title, problem.detail) if problem is not None else ()
    why = ": ".join(part.rstrip(".") for part in details if part) or "Twilio gives no reason"
    told = f"{operation.operation_id or 'the operation'} is {operation.status}: {why}"
    raise ApiError(Trouble.FAILED, method="GET", url=url, message=told)
