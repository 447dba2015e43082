"""What Twilio tells without waiting for an answer: status callbacks, in the order they happened or not.

Twilio promises little about them: they may overtake each other, come twice, or not come at all.
Source: ``docs/protocol.md`` §5 and §6.1.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import aiohttp

from voice_app.sandbox.network import Network, WebhookError

CallbackOrder = Literal["ordered", "shuffled", "doubled", "missing"]
"""How callbacks arrive: as they happened, in another order, twice (the second time late), or with gaps."""

HELD_BACK = 3
"""How many callbacks are held back while they are shuffled, or until they come for the second time."""
LOST = 1 / 3
"""How many get lost, where some do."""


@dataclass(slots=True, frozen=True)
class QueuedCallback:
    """A callback as it is sent."""

    url: str
    method: str
    form: Mapping[str, str]


class CallbackQueue:
    """Delivers the callbacks of one call, one after another. ``seed`` makes disorder repeatable."""

    def __init__(
        self,
        network: Network,
        http: aiohttp.ClientSession,
        problem: Callable[[str], None],
        order: CallbackOrder = "ordered",
        seed: int = 0,
    ) -> None:
        self._network = network
        self._http = http
        self._problem = problem
        self._order: CallbackOrder = order
        self._random = random.Random(seed)  # noqa: S311 - disorder, not a secret
        self._held: list[QueuedCallback] = []
        self._waiting: asyncio.Queue[QueuedCallback] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None

    def send(self, url: str, form: Mapping[str, str], method: str = "POST") -> None:
        """Take a callback; it is delivered in the background."""
        if self._worker is None:
            self._worker = asyncio.create_task(self._deliver(), name="callbacks")
        self._waiting.put_nowait(QueuedCallback(url, method, form))

    async def settle(self) -> None:
        """Deliver everything that is waiting or held back."""
        await self._waiting.join()
        self._random.shuffle(self._held)
        while self._held:
            await self._post(self._held.pop())

    async def close(self) -> None:
        """Stop delivering."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait([self._worker])

    async def _deliver(self) -> None:
        while True:
            callback = await self._waiting.get()
            try:
                for due in self._due(callback):
                    await self._post(due)
            finally:
                self._waiting.task_done()

    def _due(self, callback: QueuedCallback) -> Iterator[QueuedCallback]:
        """What is delivered now that this callback has come up."""
        match self._order:
            case "missing":
                if self._random.random() >= LOST:
                    yield callback
                return
            case "ordered":
                yield callback
                return
            case "doubled":
                yield callback
        self._held.append(callback)
        if len(self._held) > HELD_BACK:
            yield self._held.pop(self._random.randrange(len(self._held)))

    async def _post(self, callback: QueuedCallback) -> None:
        try:
            await self._network.tell(self._http, callback.url, callback.form, callback.method)
        except WebhookError as error:
            self._problem(f"a callback was not taken: {error}")
