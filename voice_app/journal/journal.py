"""The journal: what happened on every call, written behind the calls so that none waits for a disk."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Final, Self, TypeVar, TypeVarTuple

import uuid_utils

from voice_app.journal.backlog import Backlog
from voice_app.journal.database import JournalError
from voice_app.journal.entries import CallRecord, Entry
from voice_app.journal.events import Event
from voice_app.journal.history import Line, as_heard
from voice_app.journal.store import Store

_Args = TypeVarTuple("_Args")
_T = TypeVar("_T")

_log = logging.getLogger(__name__)

_BATCH: Final = 5_000
"""Entries in one transaction, at most."""
_BACKOFF_S: Final = (0.05, 1.0)
"""The first and the longest pause before a failed batch is tried again."""
_SAY_AGAIN_S: Final = 30.0
"""How often a trouble that lasts is logged."""
_PATIENCE_S: Final = 2.0
"""How long a list of calls waits for the newest entries, should the database not take them."""
_FEED: Final = 1000
"""How far a reader of the live feed may fall behind."""
_CLOSING_S: Final = 5.0
"""How long ``aclose`` tries to write what is left."""


class Journal:
    """The journal of one process. It belongs to one event loop; only that loop's thread may call it.

        async with Journal("sqlite:///voice-app.db") as journal:
            journal.write("CA…", Prompted("What are your hours?"))

    ``write`` queues. A task gathers what comes within ``gather_s`` seconds and has one thread commit it.
    Should the database fail, entries wait in memory, in order, until it works again: at most ``capacity``.

    Args:
        url: see ``Store``.
        create: whether to make a database that does not exist; ``open`` fails otherwise.
        clock: seconds since the epoch.
        gather_s: seconds between the first entry of a batch and its commit.
        capacity: how many entries may wait.

    Raises:
        JournalError: the URL cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        create: bool = True,
        clock: Callable[[], float] = time.time,
        gather_s: float = 0.1,
        capacity: int = 50_000,
    ) -> None:
        self._store = Store(url)
        self._create = create
        self._clock = clock
        self._gather_s = gather_s
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._writer: asyncio.Task[None] | None = None
        self._backlog = Backlog(capacity)
        self._batch: list[Entry] = []
        self._last_id = ""
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._waiters: list[tuple[str, asyncio.Future[None]]] = []
        self._outage = _Trouble()
        self._overload = _Trouble()
        self._left = 0
        self._feeds: set[asyncio.Queue[Entry]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def waiting(self) -> int:
        """How many entries are not durable yet."""
        return len(self._batch) + len(self._backlog)

    @property
    def superseded(self) -> int:
        """How many growing replies were dropped under overload; the later ones have their text."""
        return self._backlog.superseded

    @property
    def lost(self) -> int:
        """How many entries were lost: under overload, or because the database never took them."""
        return self._backlog.lost + self._left

    async def open(self) -> None:
        """Open the database and begin to write.

        Raises:
            JournalError: it cannot be opened.
        """
        try:
            await self._in_thread(self._store.create if self._create else self._store.find)
        except BaseException:
            await self._shut()
            raise
        self._writer = asyncio.create_task(self._write_behind(), name="journal")

    async def aclose(self) -> None:
        """Write what is left, within seconds, and close the database. To close twice is harmless."""
        if self._writer is None:
            return
        writer = self._writer
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSING_S):
                    await self.flush()
        finally:
            self._writer = None
            writer.cancel()
            await asyncio.wait([writer])
            await self._shut()
            self._give_up()

    def write(self, call_sid: str, event: Event) -> None:
        """Add an event to a call's journal. Returns at once, whatever the database does."""
        if self._closed:
            self._left += 1
            _log.error("journal: an event of call %s came after the journal was closed and is lost", call_sid)
            return
        self._last_id = str(uuid_utils.uuid7())
        lost = self._backlog.lost
        entry = Entry(self._last_id, self._clock(), call_sid, event)
        self._backlog.append(entry)
        for feed in self._feeds:
            if feed.full():
                feed.get_nowait()
            feed.put_nowait(entry)
        if self._backlog.lost > lost and self._overload.worth_saying():
            _log.error("journal overloaded: %d entries lost so far, the oldest ones", self._backlog.lost)
        if not self._wake.is_set():
            self._wake.set()

    @contextmanager
    def feed(self) -> Iterator[asyncio.Queue[Entry]]:
        """Everything that is written while the block runs, as it is written.

        A reader that falls behind by more than a thousand entries loses the oldest.
        """
        queue: asyncio.Queue[Entry] = asyncio.Queue(_FEED)
        self._feeds.add(queue)
        try:
            yield queue
        finally:
            self._feeds.discard(queue)

    async def flush(self) -> None:
        """Return when all that was written before is durable. While the database fails, it waits.

        Raises:
            JournalError: the journal was closed before that.
        """
        if self._writer is None:
            raise RuntimeError("the journal is not open")
        if not self.waiting:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append((self._last_id, waiter))
        self._hurry.set()
        await waiter

    async def events(self, call_sid: str) -> list[Entry]:
        """All that happened on a call, in the order of writing, up to what was written just now.

        Raises:
            JournalError: the database cannot be read.
        """
        # Taken before the read: an entry that becomes durable meanwhile is then in both, never in neither.
        waiting = {entry.id: entry for entry in (*self._batch, *self._backlog) if entry.call_sid == call_sid}
        entries = await self._in_thread(self._store.events, call_sid)
        for entry in entries:
            waiting.pop(entry.id, None)
        return sorted((*entries, *waiting.values()), key=lambda entry: entry.id) if waiting else entries

    async def history(self, call_sid: str) -> list[Line]:
        """The conversation of a call as the caller heard it, up to what was written just now.

        Raises:
            JournalError: the database cannot be read.
        """
        return as_heard(await self.events(call_sid))

    async def calls(self, limit: int = 50, *, before: float | None = None) -> list[CallRecord]:
        """At most ``limit`` calls that were opened ``before`` (seconds since the epoch), newest first.

        Raises:
            JournalError: the database cannot be read.
        """
        await self._settle()
        return await self._in_thread(self._store.calls, limit, before)

    async def call(self, call_sid: str) -> CallRecord | None:
        """What is known of a call, or ``None``.

        Raises:
            JournalError: the database cannot be read.
        """
        await self._settle()
        return await self._in_thread(self._store.call, call_sid)

    async def _settle(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await self.flush()

    async def _in_thread(self, call: Callable[[*_Args], _T], *args: *_Args) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *args)

    async def _shut(self) -> None:
        self._closed = True
        await self._in_thread(self._store.close)
        self._thread.shutdown(wait=False)

    async def _write_behind(self) -> None:
        while True:
            await self._wake.wait()
            if len(self._backlog) < _BATCH:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._gather_s):
                        await self._hurry.wait()
            self._wake.clear()
            self._hurry.clear()
            self._batch = self._backlog.take(_BATCH)
            await self._commit(self._batch)
            last, self._batch = self._batch[-1].id, []
            self._release(last)
            if self._backlog:
                self._wake.set()
            if self._waiters:
                self._hurry.set()

    async def _commit(self, batch: list[Entry]) -> None:
        """Have a batch written, however long it takes."""
        shortest, longest = _BACKOFF_S
        pause = shortest
        while True:
            try:
                await self._in_thread(self._store.append, batch)
            except JournalError as error:
                if self._outage.worth_saying():
                    _log.error("journal: %s Calls go on; %d entries wait in memory.", error, self.waiting)
            except Exception:
                await self._salvage(batch)
                return
            else:
                if self._outage.over():
                    _log.warning("journal: the database works again and takes %d entries", self.waiting)
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)

    async def _salvage(self, batch: list[Entry]) -> None:
        """Write a batch without the entries that no database would take: one must not stop the rest."""
        if len(batch) > 1:
            for entry in batch:
                await self._commit([entry])
            return
        self._left += 1
        _log.exception("journal: an event of call %s cannot be stored and is lost", batch[0].call_sid)

    def _give_up(self) -> None:
        """Nothing will be written any more: say what is lost, to the log and to those who wait for it."""
        if not self.waiting:
            return
        error = JournalError(
            f"The journal was closed: {self.waiting} entries could not be written and are lost."
        )
        _log.error("journal: %s", error)
        self._left += self.waiting
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(error)

    def _release(self, last: str) -> None:
        """Wake who waits for entries up to ``last``."""
        waiters = self._waiters
        self._waiters = []
        for wanted, waiter in waiters:
            if waiter.done():
                continue
            if wanted <= last or not self._backlog:
                waiter.set_result(None)
            else:
                self._waiters.append((wanted, waiter))


class _Trouble:
    """A trouble that lasts is logged when it begins, and then now and then."""

    def __init__(self) -> None:
        self._said_at: float | None = None

    def worth_saying(self) -> bool:
        now = time.monotonic()
        if self._said_at is not None and now - self._said_at < _SAY_AGAIN_S:
            return False
        self._said_at = now
        return True

    def over(self) -> bool:
        """Whether there was one. There is none from now on."""
        was, self._said_at = self._said_at is not None, None
        return was
