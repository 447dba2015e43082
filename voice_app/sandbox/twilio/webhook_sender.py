"""Delivers the account's webhooks: signed, and on demand in another order and more than once.

Twilio promises neither the order nor that a webhook comes once. It signs the URL with the SHA-256 of the body
in its query, and repeats ``I-Twilio-Idempotency-Token``. Source: ``docs/orchestrator.md`` §5.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
import msgspec

from voice_app.sandbox.network import WebhookError
from voice_app.sandbox.twilio.account import SandboxAccount
from voice_app.sandbox.twilio.records import OutgoingWebhook

SECONDS = 5.0
"""How long an answer is waited for."""
LONGEST_LOG = 1000


@dataclass(slots=True, frozen=True)
class SentWebhook:
    """A webhook that was sent."""

    webhook: OutgoingWebhook
    status: int | None
    """None where nobody answered."""


class WebhookSender:
    """Delivers while the block runs, as long as the account has a network to send into.

    ``repeats`` is how often each webhook is sent once more. With ``backwards``, what is waiting at the same
    moment is sent in the reverse order.
    """

    def __init__(self, account: SandboxAccount, *, repeats: int = 0, backwards: bool = False) -> None:
        self.deliveries: list[SentWebhook] = []
        """The latest ones."""
        self._account = account
        self._repeats = repeats
        self._backwards = backwards
        self._waiting: asyncio.Queue[OutgoingWebhook] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        self._worker = asyncio.create_task(self._deliver(), name="webhook sender")
        self._account.send = self._take
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._worker.cancel()
        await asyncio.wait([self._worker])
        await self._session.close()

    async def settled(self) -> None:
        """Return when everything that was sent so far is delivered."""
        await self._waiting.join()

    def _take(self, webhook: OutgoingWebhook) -> None:
        if self._account.network is not None and not self._worker.done():
            self._waiting.put_nowait(webhook)

    async def _deliver(self) -> None:
        while True:
            webhooks = [await self._waiting.get()]
            while not self._waiting.empty():
                webhooks.append(self._waiting.get_nowait())
            for webhook in webhooks[::-1] if self._backwards else webhooks:
                for _ in range(1 + self._repeats):
                    self.deliveries.append(SentWebhook(webhook, await self._send(webhook)))
                self._waiting.task_done()
            del self.deliveries[:-LONGEST_LOG]

    async def _send(self, webhook: OutgoingWebhook) -> int | None:
        network = self._account.network
        if network is None:
            return None
        body = msgspec.json.encode(webhook.body)
        url, signature = network.sign_json(webhook.url, body)
        headers = {
            "Content-Type": "application/json",
            "X-Twilio-Signature": signature,
            "I-Twilio-Idempotency-Token": webhook.token,
        }
        try:
            answer = await network.request(self._session, "POST", url, headers, body, seconds=SECONDS)
        except WebhookError:
            return None
        return answer.status
