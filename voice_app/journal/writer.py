"""Writes entries to the database behind the calls: in order, each once, through outages.

    put ──→ memory ──────────────→ database
               └──→ spool (disk) ──┘

Entries wait in memory for a tenth of a second and are committed together. When the database has not taken a
batch within half a second, that batch and all that comes behind it goes to the spool, four times a second.
The spool is delivered, oldest first, when the database is back; once it is empty, memory is next again. So
what is in the spool is always older than what is in memory. Where the disk takes nothing either, memory holds
what it can, and what it cannot hold is lost, counted, and logged.

One task does all of this, step by step, in a thread of its own: an agent that blocks the loop of the calls
must not keep from the disk what was said before. The database has another thread, for it may hang.
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
from typing import Any, Final

from voice_app.journal.bounded_queue import BoundedQueue
from voice_app.journal.database import JournalError
from voice_app.journal.entries import Entry
from voice_app.journal.loop_thread import LoopThread
from voice_app.journal.spool import Spool, SpoolError
from voice_app.telemetry import LogThrottle, metrics

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
    """Writes behind the calls. It belongs to the event loop that starts it.

    Above ``_start`` is what that loop calls; from there on everything runs in the writer's own thread.

    Args:
        append: puts a batch into the database, blocking; an entry that is there already is left alone. It
            raises ``JournalError`` if the database takes nothing now; any other error means that it never
            takes this.
        thread: where ``append`` is called.
        durable: is told, on the caller's loop, the id of the last entry that is in the database, with all
            before it.
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
        self._on_durable = durable
        self._disk = disk
        self._gather_s = gather_s
        self._queue = BoundedQueue(capacity)
        self._spool: Spool | None = None
        self._inherited: list[Spool] = []
        self._inheriting = asyncio.Lock()
        self._disk_rests_until = 0.0
        self._own = LoopThread("journal-writer")
        self._callers: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._woken = True
        """Whether the writer looks at the queue without being told to: before it starts it will."""
        self._hurry = asyncio.Event()
        self._waiters: list[tuple[str, asyncio.Future[None]]] = []
        self._last_id = ""
        self._delivered_id = ""
        """The last entry that is in the database."""
        self.durable = ""
        """The same, as far as the caller's loop was told."""
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
        # In this order: what goes to the disk meanwhile is in both, never in neither.
        waiting, spool = len(self._queue), self._spool
        return waiting + (len(spool) if spool is not None else 0)

    @property
    def outage(self) -> bool:
        """Whether the database takes nothing now, as far as is known."""
        return self._outage.on

    @property
    def superseded(self) -> int:
        """How many entries were dropped for want of room because later ones say it all."""
        spool = self._spool
        spooled = spool.superseded if spool is not None else 0
        return self._superseded + self._queue.superseded + spooled

    @property
    def lost(self) -> int:
        """How many others were lost."""
        spool = self._spool
        spooled = spool.lost if spool is not None else 0
        return self._lost + self._queue.lost + spooled

    def put(self, entry: Entry) -> None:
        """Have an entry written. Returns at once."""
        self._last_id = entry.id
        self._queue.append(entry)
        if not self._woken:
            self._woken = True
            self._own.call_soon(self._wake.set)

    async def start(self) -> None:
        """Begin to write. What dead processes left in the spool comes first, if it is not much."""
        self._callers = asyncio.get_running_loop()
        self._own.start()
        await self._own.run(self._start)

    async def flush(self) -> None:
        """Return when all that was put before is in the database. In an outage it waits.

        Raises:
            JournalError: the writer was closed before that.
        """
        if self._last_id > self.durable:
            await self._own.run(self._wait_for, self._last_id)

    async def settle(self, seconds: float) -> bool:
        """Wait until all that was put before is in the database; in an outage not at all. Whether it is."""
        if self.outage and self._last_id > self.durable:
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
            await self._own.run(self._finish)
        finally:
            self._own.stop()

    async def _start(self) -> None:
        self._measure()
        self._wake.set()
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

    async def _wait_for(self, last: str) -> None:
        """Return when the entries up to this one are in the database, or lost."""
        if last > self._delivered_id and self.waiting:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append((last, waiter))
            self._hurry.set()
            await waiter

    async def _finish(self) -> None:
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSING_SECONDS):
                    await self._wait_for(self._last_id)
        finally:
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)
            self._leave()

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
            if self._spool is None and self._queue and len(self._queue) < _BATCH:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._gather_s):
                        await self._hurry.wait()
            self._wake.clear()
            self._hurry.clear()
            self._woken = False  # what is put from now on wakes it again
            if (self._spool is not None and len(self._spool) > _BATCH) or len(self._queue) > _CROWD:
                self._spill()
            if self._spool is not None:
                await self._deliver_from(self._spool)
            elif batch := self._queue.oldest(_BATCH):
                await self._patiently(batch)
                self._delivered(batch[-1].id)
            self._release()
            self._measure()
            if self.waiting:
                self._woken = True
                self._wake.set()
            if self._waiters:
                self._hurry.set()

    async def _deliver_from(self, spool: Spool) -> None:
        """Deliver the oldest segment of the spool; then it may be the turn of what is in memory."""
        if segment := spool.head():
            # A batch that the database took after all is on the disk as well.
            if batch := [entry for entry in segment if entry.id > self._delivered_id]:
                await self._patiently(batch)
                self._delivered(batch[-1].id)
            spool.advance()
        if not len(spool):
            self._spool = None
            self._retire(spool)
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
                self._spill()
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

    def _spill(self) -> None:
        """Put what is in memory on the disk, the oldest first, as far as the disk takes it."""
        now = time.monotonic()
        if self._disk is None or now < self._disk_rests_until or not self._queue:
            return
        try:
            if self._spool is None:
                disk = self._disk
                self._spool = Spool.begin(disk.folder, disk.database, disk.capacity)
            while chunk := self._queue.oldest(_CHUNK):
                self._spool.append(chunk)
                self._queue.drop(chunk[-1].id)
        except SpoolError as error:
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
            self._inherited += Spool.left_behind(self._disk.folder, self._disk.database)
            while self._inherited:
                spool = self._inherited[0]
                if len(spool):
                    log.warning("journal: %d entries of a former process are taken in", len(spool))
                while batch := spool.head():
                    await self._commit(batch)
                    spool.advance()
                    self._measure()
                del self._inherited[0]
                self._retire(spool)

    def _retire(self, spool: Spool) -> None:
        """The spool is empty, or it is left as it is."""
        self._superseded += spool.superseded
        self._lost += spool.lost
        spool.close()

    def _leave(self) -> None:
        """Nothing will be written any more: what is left is for the disk, and then for the next process."""
        self._disk_rests_until = 0.0
        self._spill()
        if (spool := self._spool) is not None:
            if left := len(spool):
                log.warning("journal: %d entries wait in %s for the next start", left, spool.folder)
            self._spool = None
            self._retire(spool)
        for spool in self._inherited:
            self._retire(spool)
        self._inherited.clear()
        if lost := self._queue.drop(self._last_id):
            log.error("journal: it was closed: %d entries could not be written and are lost", lost)
        self._lost += lost
        error = JournalError("The journal was closed before everything was in the database.")
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(error)
        self._measure()

    def _delivered(self, last: str) -> None:
        """All entries up to this one are in the database."""
        self._queue.drop(last)
        self._delivered_id = last
        if self._callers is not None:
            with suppress(RuntimeError):  # it was closed: nobody wants to know any more
                self._callers.call_soon_threadsafe(self._tell, last)

    def _tell(self, last: str) -> None:
        """The same, on the caller's loop."""
        self.durable = last
        self._on_durable(last)

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
