"""The event feed: entries as they are written, by this server and by the others."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from cachetools import LRUCache

from voice_app.journal.circuit_breaker import ReadCircuitBreaker
from voice_app.journal.database import CHANNEL, JournalError
from voice_app.journal.entries import Entry
from voice_app.journal.store import Store

_BEHIND: Final = 1_000
"""How far a reader may fall behind."""
_PAGE: Final = 500
"""Entries of others that are read together."""
_NOTICED: Final = 10_000
"""How many entries of others may wait to be read."""
_REMEMBERED: Final = 20_000
"""How many entries are remembered, so that none is shown twice."""
_OVERLAP_SECONDS: Final = 60.0
"""An entry may be committed so much later than its id says: clocks differ, and databases pause."""
_PAUSE_SECONDS: Final = 1.0
_READ_SECONDS: Final = 10.0


class FeedReader(asyncio.Queue[Entry]):
    """Entries that wait for one reader."""

    lost = 0
    """How many it was too slow for: the oldest go first."""


class EventFeed:
    """Hands entries to readers: our own at once, those of others when the database tells of them.

    The database is listened to only while there is a reader. When that connection was lost and is there
    again, what was written meanwhile is looked up, so a reader misses nothing; but it may get it late, and
    the entries of different servers not in the order of their ids.
    """

    def __init__(self, store: Store, breaker: ReadCircuitBreaker, channel: str = CHANNEL) -> None:
        self._store = store
        self._channel = channel
        self._breaker = breaker
        self.readers: set[FeedReader] = set()
        self._listening: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._noticed: deque[str] = deque(maxlen=_NOTICED)
        self._began_at = self._heard_at = 0.0
        self._blind_since: float | None = None
        """From when on something may have been missed, in seconds since the epoch."""
        self._seen: LRUCache[str, None] = LRUCache(_REMEMBERED)

    @contextmanager
    def follow(self) -> Iterator[FeedReader]:
        """Everything that is written while the block runs."""
        queue = FeedReader(_BEHIND)
        self.readers.add(queue)
        if self._store.shared and self._listening is None:
            self._listening = asyncio.create_task(self._listen(), name="journal-live")
            self._tasks.add(self._listening)
            self._listening.add_done_callback(self._tasks.discard)
        try:
            yield queue
        finally:
            self.readers.discard(queue)
            if not self.readers and self._listening is not None:
                self._listening.cancel()
                self._listening = None

    def tell(self, entry: Entry) -> None:
        """Hand an entry to the readers, unless they have it."""
        name = entry.key or entry.id
        if name in self._seen:
            return
        self._seen[name] = None
        for reader in self.readers:
            if reader.full():
                reader.get_nowait()
                reader.lost += 1
            reader.put_nowait(entry)

    async def aclose(self) -> None:
        """Stop listening."""
        if self._listening is not None:
            self._listening.cancel()
        if self._tasks:  # those without readers are about to end
            await asyncio.wait(self._tasks)

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._began_at = self._heard_at = time.time()
        self._blind_since = None
        self._noticed.clear()

        def on_notice(server_id: str, ids: list[str]) -> None:
            loop.call_soon_threadsafe(self._notice, server_id, ids)

        def on_connected() -> None:
            loop.call_soon_threadsafe(self._connected)

        listener = self._store.database.listen(on_notice, on_connected, self._channel)
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                try:
                    await self._catch_up()
                    await self._fetch()
                except JournalError:  # it is in the log
                    self._news.set()
                    await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            await asyncio.to_thread(listener.close)

    def _notice(self, server_id: str, ids: list[str]) -> None:
        self._heard_at = time.time()
        if server_id != self._store.server_id:
            self._noticed.extend(ids)
            self._news.set()

    def _connected(self) -> None:
        since = max(self._began_at, self._heard_at - _OVERLAP_SECONDS)
        self._blind_since = since if self._blind_since is None else min(since, self._blind_since)
        self._news.set()

    async def _fetch(self) -> None:
        """Hand on what was noticed."""
        while self._noticed:
            ids = [self._noticed.popleft() for _ in range(min(_PAGE, len(self._noticed)))]
            try:
                entries = await self._breaker.ask(self._store.entries, ids, within=_READ_SECONDS)
            except JournalError:
                self._noticed.extendleft(reversed(ids))
                raise
            for entry in entries:
                self.tell(entry)

    async def _catch_up(self) -> None:
        """Hand on what was written while nobody listened."""
        if self._blind_since is None:
            return
        milliseconds = int(self._blind_since * 1000)
        last = f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}"  # the beginning of a UUIDv7
        while page := await self._breaker.ask(self._store.since, last, _PAGE, within=_READ_SECONDS):
            for entry in page:
                self.tell(entry)
            last = page[-1].id
        self._blind_since = None
