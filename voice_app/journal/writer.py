"""Writes entries to the database behind the calls: in order, each once, through outages.

    put ──→ memory ──────────────→ database
               └──→ spool (disk) ──┘

Entries wait in memory for a tenth of a second and are committed together. When the database has not taken a
batch within half a second, that batch and all that comes behind it goes to the spool, four times a second.
The spool is delivered, oldest first, when the database is back; once it is empty, memory is next again. So
what is in the spool is always older than what is in memory. Where the disk takes nothing either, memory holds
what it can, and what it cannot hold is lost, counted, and logged. One task does all of this, step by step;
the database and the disk have a thread each.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, TypeVarTuple

from voice_app.journal.bounded_queue import BoundedQueue
from voice_app.journal.database import JournalError
from voice_app.journal.entries import Entry
from voice_app.journal.spool import Spool, SpoolError
from voice_app.telemetry import LogThrottle, metrics

_Args = TypeVarTuple("_Args")
_T = TypeVar("_T")

log = logging.getLogger(__name__)

_BATCH: Final = 5_000
"""Entries in one transaction, about."""
_CHUNK: Final = 1_000
"""Entries that go to the disk together."""
_CROWD: Final = 20_000
"""Entries in memory beyond which they go to the disk even while the database works."""
_PATIENCE_SECONDS: Final = 0.5
"""How long the database may take over a batch before the disk is asked."""
_SPILL_SECONDS: Final = 0.25
"""From then on, how often the disk is."""
_BACKOFF_SECONDS: Final = (0.05, 0.5)
"""The first and the longest pause before a failed batch is tried again."""
_DISK_PAUSE_SECONDS: Final = 0.5
"""How long a disk that failed is left alone."""
_SILENCE_SECONDS: Final = 2.0
"""A database that has not answered for this long is logged."""
_CLOSING_SECONDS: Final = 5.0
"""How long ``aclose`` tries to write what is left."""


@dataclass(frozen=True, slots=True)
class Disk:
    """Where entries may wait while the database takes none."""

    folder: Path
    database: str
    """For which database they are."""
    capacity: int
    """Bytes."""


class Writer:
    """Writes behind the calls.

    Args:
        append: puts a batch into the database, blocking; an entry that is there already is left alone. It
            raises ``JournalError`` if the database takes nothing now; any other error means that it never
            takes this.
        thread: where ``append`` is called.
        durable: is told the id of the last entry that is in the database, with all before it.
        disk: where the spool is; without one entries wait in memory only.
        gather_s: seconds between the first entry of a batch and its commit.
        capacity: how many entries may wait in memory.
    """

    def __init__(
        self,
        append: Callable[[Sequence[Entry]], None],
        *,
        thread: ThreadPoolExecutor,
        durable: Callable[[str], None],
        disk: Disk | None,
        gather_s: float,
        capacity: int,
    ) -> None:
        self._append = append
        self._thread = thread
        self._durable = durable
        self._disk = disk
        self._gather_s = gather_s
        self._queue = BoundedQueue(capacity)
        self._batch: Sequence[Entry] = ()
        """Taken from memory, on its way to the database, and not on the disk yet."""
        self._chunk: Sequence[Entry] = ()
        """Taken from memory, on its way to the disk."""
        self._spool: Spool | None = None
        self._inherited: list[Spool] = []
        self._inheriting = asyncio.Lock()
        self._disk_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal-spool")
        self._disk_rests_until = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._waiters: list[tuple[str, asyncio.Future[None]]] = []
        self._last_id = self._delivered_id = ""
        self._outage = LogThrottle()
        self._overload = LogThrottle()
        self._disk_failure = LogThrottle()
        self._superseded = 0
        self._closed = False
        self._lost = 0
        self._told_lost = 0

    @property
    def waiting(self) -> int:
        """How many entries of this process are not in the database yet."""
        spooled = len(self._spool) if self._spool is not None else 0
        return len(self._batch) + len(self._chunk) + len(self._queue) + spooled

    @property
    def outage(self) -> bool:
        """Whether the database takes nothing now, as far as is known."""
        return self._outage.on

    @property
    def superseded(self) -> int:
        """How many entries were dropped for want of room because later ones say it all."""
        spool = self._spool.superseded if self._spool is not None else 0
        return self._superseded + self._queue.superseded + spool

    @property
    def lost(self) -> int:
        """How many others were lost."""
        spool = self._spool.lost if self._spool is not None else 0
        return self._lost + self._queue.lost + spool

    @property
    def _settled(self) -> bool:
        """Whether all that was put, and not lost, is in the database."""
        return self._last_id <= self._delivered_id or not self.waiting

    def put(self, entry: Entry) -> None:
        """Have an entry written. Returns at once."""
        self._last_id = entry.id
        self._queue.append(entry)
        if not self._wake.is_set():
            self._wake.set()

    async def start(self) -> None:
        """Begin to write. What dead processes left in the spool comes first, if it is not much."""
        self._measure()
        self._begin(self._deliver(), "journal")
        if self._disk is not None and not _writable(self._disk.folder):
            log.warning(
                "journal: nothing can be written to %s: in an outage of the database entries would wait in "
                "memory only. Name another folder with VOICE_APP_SPOOL.",
                self._disk.folder,
            )
        if self._disk is not None and self._disk.folder.is_dir():
            inheritance = self._begin(self._inherit(), "journal-inheritance")
            await asyncio.wait([inheritance], timeout=_PATIENCE_SECONDS)

    async def flush(self) -> None:
        """Return when all that was put before is in the database. In an outage it waits.

        Raises:
            JournalError: the writer was closed before that.
        """
        if self._settled:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append((self._last_id, waiter))
        self._hurry.set()
        await waiter

    async def settle(self, seconds: float) -> bool:
        """Wait until all that was put before is in the database; in an outage not at all. Whether it is."""
        if self.outage and not self._settled:
            return False
        with suppress(TimeoutError, JournalError):
            async with asyncio.timeout(seconds):
                await self.flush()
                return True
        return False

    async def aclose(self) -> None:
        """Write what is left, within seconds; what the database does not take goes to the disk."""
        if self._closed:
            return
        self._closed = True
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSING_SECONDS):
                    await self.flush()
        finally:
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)
            await self._leave()
            self._disk_thread.shutdown(wait=False)

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("journal: a fault of its own has stopped it", exc_info=error)

    async def _deliver(self) -> None:
        while True:
            await self._wake.wait()
            if self._spool is None and len(self._queue) < _BATCH:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._gather_s):
                        await self._hurry.wait()
            self._wake.clear()
            self._hurry.clear()
            if (self._spool is not None and len(self._spool) > _BATCH) or len(self._queue) > _CROWD:
                await self._spill()
            if self._spool is not None:
                await self._deliver_from(self._spool)
            elif self._queue:
                batch = self._batch = self._queue.take(_BATCH)
                await self._patiently(batch)
                self._batch = ()
                self._delivered(batch[-1].id)
            self._release()
            self._measure()
            if self.waiting:
                self._wake.set()
            if self._waiters:
                self._hurry.set()

    async def _deliver_from(self, spool: Spool) -> None:
        """Deliver the oldest segment of the spool; then it may be the turn of what is in memory."""
        if segment := await self._on_disk(spool.head):
            # A batch that the database took after all is on the disk as well.
            if batch := [entry for entry in segment if entry.id > self._delivered_id]:
                await self._patiently(batch)
                self._delivered(batch[-1].id)
            await self._on_disk(spool.advance)
        if not len(spool):
            self._spool = None
            await self._retire(spool)
            self._begin(self._inherit(), "journal-inheritance")  # others may have died of the same outage

    async def _patiently(self, batch: Sequence[Entry]) -> None:
        """Have a batch written, however long it takes; after a while the disk takes what waits."""
        commit = asyncio.ensure_future(self._commit(batch))
        began = time.monotonic()
        try:
            await asyncio.wait([commit], timeout=_PATIENCE_SECONDS)
            while not commit.done():
                self._outage.on = True
                if time.monotonic() - began > _SILENCE_SECONDS:
                    self._complain("The database does not answer.")
                await self._spill()
                self._measure()
                await asyncio.wait([commit], timeout=_SPILL_SECONDS)
            await commit
        finally:
            commit.cancel()

    async def _commit(self, batch: Sequence[Entry]) -> None:
        shortest, longest = _BACKOFF_SECONDS
        pause = shortest
        while True:
            try:
                await asyncio.get_running_loop().run_in_executor(self._thread, self._append, batch)
            except JournalError as error:
                self._complain(str(error))
            except Exception:
                await self._salvage(batch)
                return
            else:
                if self._outage.end():
                    log.warning("journal: the database works again and takes %d entries", self.waiting)
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)

    async def _salvage(self, batch: Sequence[Entry]) -> None:
        """Write a batch without the entries that no database would take: one must not stop the rest."""
        if (half := len(batch) // 2) > 0:
            await self._commit(batch[:half])
            await self._commit(batch[half:])
            return
        self._lost += 1
        # Its caller handles the error.
        log.exception("journal: an event of call %s cannot be stored and is lost", batch[0].call_sid)  # noqa: LOG004

    async def _spill(self) -> None:
        """Put what is in memory on the disk, the oldest first, as far as the disk takes it."""
        now = time.monotonic()
        if self._disk is None or now < self._disk_rests_until or not (self._batch or self._queue):
            return
        try:
            if self._spool is None:
                disk = self._disk
                self._spool = await self._on_disk(Spool.begin, disk.folder, disk.database, disk.capacity)
            while self._batch:
                await self._on_disk(self._spool.append, self._batch[:_CHUNK])
                self._batch = self._batch[_CHUNK:]
            while self._queue:
                self._chunk = self._queue.take(_CHUNK)
                await self._on_disk(self._spool.append, self._chunk)
                self._chunk = ()
        except SpoolError as error:
            self._queue.put_back(self._chunk)
            self._chunk = ()
            self._disk_rests_until = now + _DISK_PAUSE_SECONDS
            if self._disk_failure.is_due():
                log.error("journal: %s Calls go on; %d entries wait in memory.", error, len(self._queue))
        else:
            if self._disk_failure.end():
                log.warning("journal: the disk takes entries again")

    async def _inherit(self) -> None:
        """Take in what dead processes left behind."""
        if self._disk is None:
            return
        async with self._inheriting:
            self._inherited += await self._on_disk(Spool.left_behind, self._disk.folder, self._disk.database)
            while self._inherited:
                spool = self._inherited[0]
                if len(spool):
                    log.warning("journal: %d entries of a former process are taken in", len(spool))
                while batch := await self._on_disk(spool.head):
                    await self._commit(batch)
                    await self._on_disk(spool.advance)
                    self._measure()
                del self._inherited[0]
                await self._retire(spool)

    async def _retire(self, spool: Spool) -> None:
        """The spool is empty, or it is left as it is."""
        self._superseded += spool.superseded
        self._lost += spool.lost
        await self._on_disk(spool.close)

    async def _leave(self) -> None:
        """Nothing will be written any more: what is left is for the disk, and then for the next process."""
        for taken in (self._chunk, self._batch):
            self._queue.put_back(taken)
        self._chunk = self._batch = ()
        self._disk_rests_until = 0.0
        await self._spill()
        if (spool := self._spool) is not None:
            if left := len(spool):
                log.warning("journal: %d entries wait in %s for the next start", left, spool.folder)
            self._spool = None
            await self._retire(spool)
        for spool in self._inherited:
            await self._retire(spool)
        self._inherited.clear()
        if lost := len(self._queue.take(len(self._queue))):
            log.error("journal: it was closed: %d entries could not be written and are lost", lost)
        self._lost += lost
        error = JournalError("The journal was closed before everything was in the database.")
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(error)
        self._measure()

    async def _on_disk(self, call: Callable[[*_Args], _T], *args: *_Args) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._disk_thread, call, *args)

    def _delivered(self, last: str) -> None:
        """All entries up to this one are in the database."""
        self._delivered_id = last
        self._durable(last)

    def _release(self) -> None:
        """Wake who waits for what is in the database now."""
        waiters = self._waiters
        self._waiters = []
        for wanted, waiter in waiters:
            if waiter.done():
                continue
            if wanted <= self._delivered_id or not self.waiting:
                waiter.set_result(None)
            else:
                self._waiters.append((wanted, waiter))

    def _complain(self, what: str) -> None:
        self._outage.on = True
        if self._outage.is_due():
            place = "on the disk" if self._spool is not None else "in memory"
            log.error("journal: %s Calls go on; %d entries wait %s.", what, self.waiting, place)

    def _measure(self) -> None:
        """Tell how it stands: to the metrics, and of a loss to the log."""
        spools = [*self._inherited, *([self._spool] if self._spool is not None else [])]
        metrics.JOURNAL_WAITING.set(self.waiting + sum(map(len, self._inherited)))
        metrics.JOURNAL_SPOOLED.set(sum(map(len, spools)))
        metrics.JOURNAL_UP.set(not self.outage)
        lost = self.lost
        if lost > self._told_lost:
            metrics.JOURNAL_LOST.inc(lost - self._told_lost)
            self._told_lost = lost
            if self._overload.is_due():
                log.error("journal: %d entries are lost so far", lost)


def _writable(folder: Path) -> bool:
    """Whether the folder, or what it would be made in, can be written to."""
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return os.access(nearest, os.W_OK | os.X_OK)
