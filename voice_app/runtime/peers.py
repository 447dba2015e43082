"""The other servers that share our journal: what each says of itself, every two seconds."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Final

from voice_app.journal import Journal, JournalError, Server
from voice_app.runtime.capacity import Admission, ServingState

HEARTBEAT_SECONDS: Final = 2.0
MAX_SILENCE_SECONDS: Final = 10.0
"""A server that has said nothing for this long is gone."""
SIGN_OFF_SECONDS: Final = 1.0

log = logging.getLogger(__name__)


class Peers:
    """Publishes the state of this server, also at once when it changes, and knows that of the others."""

    def __init__(self, journal: Journal, admission: Admission) -> None:
        self._journal = journal
        self._admission = admission
        self._others: list[Server] = []
        self._seen_at = float("-inf")
        self._failing = False

    @property
    def ready(self) -> list[Server]:
        """The other servers that take new calls."""
        return [server for server in self.successors if server.state == ServingState.READY]

    @property
    def successors(self) -> list[Server]:
        """The other servers that go on with calls of ours: all but those that stop."""
        if time.monotonic() - self._seen_at > MAX_SILENCE_SECONDS:
            return []
        return [server for server in self._others if server.state != ServingState.DRAINING]

    async def run(self) -> None:
        """Publish until cancelled; nothing is done where no other server can be."""
        changed = self._admission.changed
        while self._journal.shared:
            changed.clear()
            await self.update()
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await changed.wait()

    async def update(self) -> None:
        """Publish the state now, and read those of the others."""
        if not self._journal.shared:
            return
        try:
            await self._journal.beat(self._admission.state.value)
            self._others = await self._journal.servers(MAX_SILENCE_SECONDS)
        except JournalError as error:
            if not self._failing:
                log.warning("the states of the other servers cannot be read: %s", error)
            self._failing = True
        else:
            self._seen_at = time.monotonic()
            self._failing = False

    async def sign_off(self) -> None:
        """This server is gone."""
        if not self._journal.shared:
            return
        with suppress(JournalError, TimeoutError):
            async with asyncio.timeout(SIGN_OFF_SECONDS):
                await self._journal.sign_off()
