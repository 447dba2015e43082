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
from dataclasses import replace
from typing import Final

import aiohttp

from voice_app.calls import PriceList
from voice_app.followups.callbacks import CallbackTask
from voice_app.followups.context import BEGUN, Finished, FollowupContext, Retry, Verdict
from voice_app.followups.outcome import PriceTask
from voice_app.followups.report import call_report, encode
from voice_app.followups.revisions import NOTHING_NEW, REPORT, Revisions, entries_of
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
    """Sends each call's report, and what becomes known later as a further revision of it."""

    name = REPORT
    patience_s = 24 * 3600.0
    waits_s = (5.0, 900.0)
    kinds = None

    def __init__(
        self,
        journal: Journal,
        url: str,
        key: bytes,
        *,
        wait_s: float = 0.0,
        gather_s: float = 0.0,
        prices: PriceList | None = None,
    ) -> None:
        """
        Args:
            wait_s: how long the first report waits for what the call's documents asked for.
            gather_s: how long a later revision waits for more news.
            prices: what things cost; without them a report tells no cost.
        """
        self._wait_s = wait_s
        self._gather_s = gather_s
        self._prices = prices
        self._journal = journal
        self._url = url
        self._key = key

    def wanted(self, context: FollowupContext) -> bool:
        return True

    async def attempt(self, context: FollowupContext) -> Verdict:
        entries = await entries_of(self._journal, context.call_sid)
        revisions, until = Revisions.of(entries), max((entry.id for entry in entries), default="")
        if revisions.sent and not revisions.news:
            return Finished(NOTHING_NEW, until=until)
        if (pause := self._pause(context, revisions)) > 0:
            return Retry(after_s=pause)
        document = call_report(context.record, entries, self._prices)
        body = encode(document)
        if len(body) > MAX_BYTES:
            return Finished("too long", f"{len(body)} bytes", good=False, until=until)
        message_id = report_id(context.call_sid, document.revision)
        verdict = await self._send(body, signed(message_id, int(time.time()), body, self._key))
        return replace(verdict, until=until) if isinstance(verdict, Finished) else verdict

    def _pause(self, context: FollowupContext, revisions: Revisions) -> float:
        """Seconds to wait before the report is made: for the other follow-ups, and for what is awaited."""
        waited = time.time() - context.asked_at
        if revisions.sent:
            return self._gather_s - waited
        if _others_are_under_way(context) and waited < _OTHERS_FIRST_S:
            return 1.0
        if context.state.awaited_transcripts:
            return min(self._wait_s - waited, 1.0 + waited / 10)
        return 0.0

    async def _send(self, body: bytes, headers: Mapping[str, str]) -> Verdict:
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


def report_id(call_sid: str, revision: int = 1) -> str:
    """The same for every attempt to send this report, from any machine; each revision has its own."""
    return f"report_{call_sid}" if revision == 1 else f"report_{call_sid}_{revision}"


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
        name for name in begun.split() if name not in (DeliveryTask.name, CallbackTask.name, PriceTask.name)
    )
