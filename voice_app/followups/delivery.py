"""Sending call reports: a signed POST as Standard Webhooks has it, at least once, for a day.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md. The receiver tells
a report that it got already by its ``webhook-id``, which is also the ``Idempotency-Key``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Final

import aiohttp

from voice_app.followups.callbacks import CallbackTask
from voice_app.followups.context import BEGUN, Finished, FollowupContext, Retry, Verdict
from voice_app.followups.report import encode, report_of
from voice_app.journal import Journal
from voice_app.journal.events import FollowedUp
from voice_app.twilio.errors import seconds_to_wait

MAX_BYTES: Final = 8 * 1024 * 1024
"""A longer report is not sent. A call of four hours has some 500 KB."""
_TIMEOUT: Final = aiohttp.ClientTimeout(total=20.0)
_MAY_PASS: Final = frozenset({408, 425, 429})
_OTHERS_FIRST_S: Final = 60.0
"""So long a report waits for the call's other follow-ups, which it tells about."""
_LONGEST_PAUSE_S: Final = 3600.0


class DeliveryTask:
    """Sends each call's report."""

    name = "report"
    patience_s = 24 * 3600.0
    waits_s = (5.0, 900.0)
    kinds = None

    def __init__(self, journal: Journal, url: str, key: bytes) -> None:
        self._journal = journal
        self._url = url
        self._key = key

    def wanted(self, context: FollowupContext) -> bool:
        return True

    async def attempt(self, context: FollowupContext) -> Verdict:
        if _others_are_under_way(context) and time.time() - context.asked_at < _OTHERS_FIRST_S:
            return Retry(after_s=1.0)
        document = await report_of(self._journal, context.call_sid)
        if document is None:
            return Finished("forgotten")
        body = encode(document)
        if len(body) > MAX_BYTES:
            return Finished("too long", f"{len(body)} bytes", good=False)
        headers = signed(report_id(context.call_sid), int(time.time()), body, self._key)
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as http,
                http.post(self._url, data=body, headers=headers, allow_redirects=False) as response,
            ):
                return _verdict(response.status, response.headers)
        except TimeoutError:
            return Retry("no answer in time")
        except (aiohttp.ClientError, OSError) as error:
            return Retry(type(error).__name__)


def report_id(call_sid: str) -> str:
    """The same for every attempt to tell about this call, from any machine."""
    return f"report_{call_sid}"


def signed(message_id: str, timestamp: int, body: bytes, key: bytes) -> dict[str, str]:
    """The headers of a webhook. ``timestamp`` is in seconds since the epoch."""
    content = f"{message_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
    return {
        "Content-Type": "application/json",
        "User-Agent": "voice-app",
        "Idempotency-Key": message_id,
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }


def _verdict(status: int, headers: Mapping[str, str]) -> Verdict:
    if 200 <= status < 300:
        return Finished("delivered", str(status))
    if status >= 500 or status in _MAY_PASS:
        wait = seconds_to_wait(headers)
        return Retry(f"answered {status}", None if wait is None else min(wait, _LONGEST_PAUSE_S))
    return Finished("refused", str(status), good=False)


def _others_are_under_way(context: FollowupContext) -> bool:
    begun = next((event.detail for event in context.state.events(FollowedUp) if event.step == BEGUN), "")
    over = {event.step for event in context.state.events(FollowedUp)}
    return not over.issuperset(
        name for name in begun.split() if name not in (DeliveryTask.name, CallbackTask.name)
    )
