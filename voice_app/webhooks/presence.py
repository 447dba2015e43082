"""What this server tells the others of itself, and what it knows of them, where they share a journal."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Final

from voice_app.journal import Journal, JournalError, Server
from voice_app.webhooks.admission import Admission, State

SECONDS_BETWEEN_BEATS: Final = 2.0
SECONDS_TO_BELIEVE: Final = 10.0
"""Who has said nothing for so long is not there."""
SECONDS_TO_SIGN_OFF: Final = 1.0

log = logging.getLogger(__name__)


class Presence:
    """Tells the state of this server every two seconds, and at once when it changes."""

    def __init__(self, journal: Journal, admission: Admission) -> None:
        self._journal = journal
        self._admission = admission
        self._others: list[Server] = []
        self._seen_at = float("-inf")
        self._failing = False

    @property
    def peers(self) -> list[Server]:
        """The other servers that take new calls."""
        return [server for server in self.successors if server.state == State.READY]

    @property
    def successors(self) -> list[Server]:
        """The other servers that go on with calls of ours: full ones do, too."""
        if time.monotonic() - self._seen_at > SECONDS_TO_BELIEVE:
            return []
        return [server for server in self._others if server.state in (State.READY, State.FULL)]

    async def run(self) -> None:
        """Go on for ever; nothing is done where no other server can be."""
        changed = self._admission.changed
        while self._journal.shared:
            changed.clear()
            await self.tell()
            with suppress(TimeoutError):
                async with asyncio.timeout(SECONDS_BETWEEN_BEATS):
                    await changed.wait()

    async def tell(self) -> None:
        """Tell the state now, and ask who else is there."""
        if not self._journal.shared:
            return
        try:
            await self._journal.beat(self._admission.state.value)
            self._others = await self._journal.servers(SECONDS_TO_BELIEVE)
        except JournalError as error:
            if not self._failing:
                log.warning("the other servers are out of sight: %s", error)
            self._failing = True
        else:
            self._seen_at = time.monotonic()
            self._failing = False

    async def sign_off(self) -> None:
        """This server is gone."""
        if not self._journal.shared:
            return
        with suppress(JournalError, TimeoutError):
            async with asyncio.timeout(SECONDS_TO_SIGN_OFF):
                await self._journal.sign_off()
