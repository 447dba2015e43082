"""The journal: what happened on every call, written behind the calls so that none waits for a disk."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from datetime import UTC, tzinfo
from itertools import chain
from pathlib import Path
from secrets import randbits
from types import TracebackType
from typing import Final, Literal, Self, TypeVar, TypeVarTuple
from uuid import UUID

import uuid_utils

from voice_app.journal.call_cache import CallCache, without_text
from voice_app.journal.circuit_breaker import ReadCircuitBreaker
from voice_app.journal.database import ACTS, JournalError
from voice_app.journal.entries import CallRecord, Entry, Forgotten, Server, ServerLoad, milliseconds_of
from voice_app.journal.event_feed import EventFeed, FeedReader
from voice_app.journal.events import Event, Supervised
from voice_app.journal.statistics import GroupCount, Grouping, count, end_of_part, merged
from voice_app.journal.store import Store
from voice_app.journal.tables import EVERY, Selection
from voice_app.journal.writer import Disk, Writer

_Args = TypeVarTuple("_Args")
_T = TypeVar("_T")

log = logging.getLogger(__name__)

_READERS: Final = 3
"""Threads that read lists of calls."""
_CALL_READERS: Final = 2
"""Threads that read one call each: a caller waits for it, and no list is before it or tells that it fails."""
_PATIENCE_SECONDS: Final = 2.0
"""How long a list of calls waits for the newest entries, should the database not take them."""
_LIST_SECONDS: Final = 30.0
"""How long a page of such a list may take."""
_PAGE: Final = 500
"""Calls that are read at a time."""
_AT_ONCE: Final = 50
"""Calls that are indexed at a time: the writer waits for it."""
_CLOSING_SECONDS: Final = 2.0
"""How long a database that hangs may hold up the end."""


class Journal:
    """The journal of one process. It belongs to one event loop; only that loop's thread may call it.

        async with Journal("sqlite:///voice-app.db") as journal:
            journal.write("CA…", Prompted("What are your hours?"))

    ``write`` queues. A thread gathers what comes within ``gather_s`` seconds and commits it, also while the
    event loop is blocked. Should the database fail, entries wait in order until it works again: on the disk
    if there is a ``spool``, in memory otherwise. The calls of this process can be read all the time.

    Args:
        url: see ``Store``.
        create: whether to make a database that does not exist; ``open`` fails otherwise.
        clock: seconds since the epoch.
        gather_s: seconds between the first entry of a batch and its commit.
        capacity: how many entries may wait in memory.
        spool: folder for the entries that the database does not take. What former processes left in it is
            taken in by ``open``.
        spool_mb: how many megabytes may wait there.
        read_s: how many seconds the events of a call may take to be read, if this process knows the call
            without; five times as many if it does not.

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
        spool: Path | None = None,
        spool_mb: int = 256,
        read_s: float = 10.0,
    ) -> None:
        self._store = Store(url)
        self._create = create
        self._clock = clock
        self._read_s = read_s
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._threads = ThreadPoolExecutor(max_workers=_READERS, thread_name_prefix="journal-read")
        self._call_threads = ThreadPoolExecutor(_CALL_READERS, thread_name_prefix="journal-call")
        self._calls = ReadCircuitBreaker(
            self._call_threads, self._probe, "Calls of this server go on with what is in memory."
        )
        self._lists = ReadCircuitBreaker(self._threads, self._probe, "Lists of calls cannot be read.")
        self._cache = CallCache()
        self._feed = EventFeed(self._store, self._lists)
        self._acts = EventFeed(self._store, self._lists, ACTS)
        self._writer = Writer(
            self._store.append,
            thread=self._thread,
            durable=self._cache.durable,
            disk=None if spool is None else Disk(spool, _identity(self._store), spool_mb << 20),
            gather_s=gather_s,
            capacity=capacity,
        )
        self._ids = _Ids()
        self._late = 0
        self._open = False
        self._closed = False

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def server_id(self) -> str:
        """Who writes: unique for each start of a process."""
        return self._store.server_id

    @property
    def shared(self) -> bool:
        """Whether other processes may write to it too."""
        return self._store.shared

    @property
    def waiting(self) -> int:
        """How many entries are not in the database yet."""
        return self._writer.waiting

    @property
    def outage(self) -> bool:
        """Whether the database takes nothing now, as far as is known."""
        return self._writer.outage

    @property
    def readable(self) -> bool:
        """Whether the database answers, as far as is known. Where it does not, less is known of calls."""
        return not self._calls.is_open

    @property
    def superseded(self) -> int:
        """How many entries were dropped under overload because later ones say it all."""
        return self._writer.superseded

    @property
    def lost(self) -> int:
        """How many entries were lost: there was no room for them, or no database would take them."""
        return self._writer.lost + self._late

    async def open(self) -> None:
        """Open the database and begin to write.

        Raises:
            JournalError: it cannot be opened.
        """
        try:
            await self._in(self._thread, self._store.create if self._create else self._store.find)
        except BaseException:
            await self._shut()
            raise
        self._open = True
        await self._writer.start()

    async def aclose(self) -> None:
        """Write what is left, within seconds, and close the database. To close twice is harmless.

        What the database does not take goes to the spool, for the next start; without a spool it is lost.
        """
        if not self._open:
            return
        try:
            await self._writer.aclose()
        finally:
            self._open = False
            await self._feed.aclose()
            await self._acts.aclose()
            await self._calls.aclose()
            await self._lists.aclose()
            await self._shut()

    def write(self, call_sid: str, event: Event, *, once: str = "") -> Entry:
        """Add an event to a call's journal. Returns the entry at once, also in an outage.

        ``once`` is a name for what happened: an entry is left out if the journal has one of that name,
        whoever wrote it and when.
        """
        entry = Entry(self._ids.next(), self._clock(), call_sid, event, once)
        if self._closed:
            self._late += 1
            log.error("journal: an event of call %s came after the journal was closed and is lost", call_sid)
            return entry
        self._writer.put(entry)
        self._cache.add(entry)
        if self._feed.readers:
            self._feed.tell(entry)
        if self._acts.readers and type(event) is Supervised:
            self._acts.tell(entry)
        return entry

    @property
    def reached(self) -> int:
        """When the newest entry that this process knows of was written, by the clock of who wrote it:
        milliseconds since the epoch, 0 if there is none.
        """
        return self._ids.reached

    def follow(self, milliseconds: int) -> None:
        """What is written from now on comes after all that another server wrote until then (`reached`)."""
        self._ids.follow_time(milliseconds)

    def feed(self) -> AbstractContextManager[FeedReader]:
        """Everything that is written while the block runs, as it is written, by this server and all others.

        A reader that falls behind by more than a thousand entries loses the oldest. What other servers write
        comes a moment later, and after an interruption of the connection to the database it is made good.
        """
        return self._feed.follow()

    def acts(self) -> AbstractContextManager[FeedReader]:
        """The same of what people do on calls (`Supervised`) alone; other entries may be among them. It costs
        next to nothing, so that every server can hear it all the time.
        """
        return self._acts.follow()

    async def flush(self) -> None:
        """Return when all that was written before is in the database. While the database fails, it waits.

        Raises:
            JournalError: the journal was closed before that.
        """
        if not self._open:
            raise RuntimeError("the journal is not open")
        await self._writer.flush()

    async def settle(self, seconds: float) -> bool:
        """Wait until others can read all that was written before; so long at most, and not at all while the
        database is known to be away. Whether they can. Never raises.
        """
        return self._open and await self._writer.settle(seconds)

    async def events(self, call_sid: str) -> list[Entry]:
        """All that happened on a call, in the order of writing, up to what was written just now.

        When the database cannot be read: what this process knows of the call. That is all of it for calls
        that it serves, but for the text of documents, and may be less for others.

        Raises:
            JournalError: the database cannot be read, and nothing is known of the call here.
        """
        if self._writer.outage and self.is_current(call_sid):
            return self._cache.of(call_sid)
        # Before the read and after it: what becomes durable meanwhile is in both, never in neither.
        durable = self._writer.durable
        waiting = self._cache.of(call_sid, after=durable)
        patience = self._read_s if self._cache.is_whole(call_sid) else self._read_s * 5
        try:
            entries = await self._calls.ask(self._store.events, call_sid, within=patience)
        except JournalError:
            known = self._cache.of(call_sid)
            if not known:
                raise
            return known
        if entries:
            self._ids.follow(entries[-1].id)
        meanwhile = self._cache.of(call_sid, after=durable)
        known = [without_text(entry) for entry in entries]
        if waiting or meanwhile:
            entries, known = _merged(meanwhile, waiting, entries), _merged(waiting, meanwhile, known)
        self._cache.learn(call_sid, known)
        return entries

    def is_current(self, call_sid: str, *, alone: bool = False) -> bool:
        """Whether the database can know nothing of a call that this process does not know.

        ``alone``: there is no other server, though there could be.
        """
        if self.shared and not alone:
            return self._cache.is_current(call_sid)
        return self._cache.is_whole(call_sid)

    async def of_kind(self, kind: type[Event], since: float) -> list[Entry]:
        """The entries of one kind of event from then on (seconds since the epoch), of all servers.

        Raises:
            JournalError: the database cannot be read.
        """
        await self.settle(_PATIENCE_SECONDS)
        return await self._lists.ask(self._store.of_kind, kind, since, within=_LIST_SECONDS)

    async def select(
        self,
        selection: Selection = EVERY,
        *,
        limit: int | None = None,
        newest_first: bool = True,
        after: CallRecord | None = None,
    ) -> AsyncIterator[CallRecord]:
        """The calls that are meant, in the order of their opening, read page by page.

        Where one is given, those that come ``after`` it: its SID and the time of its opening tell which.

        Raises:
            JournalError: the database cannot be read.
        """
        await self.settle(_PATIENCE_SECONDS)
        last = after
        while limit is None or limit > 0:
            page = _PAGE if limit is None else min(limit, _PAGE)
            found = await self._lists.ask(
                self._store.select, selection, page, last, newest_first, within=_LIST_SECONDS
            )
            for record in found:
                yield record
            if len(found) < page:
                return
            last = found[-1]
            limit = None if limit is None else limit - page

    async def since(self, last_id: str, limit: int) -> list[Entry]:
        """The first entries after this id, of all servers, as far as they are in the database.

        Raises:
            JournalError: the database cannot be read.
        """
        await self.settle(_PATIENCE_SECONDS)
        return await self._lists.ask(self._store.since, last_id, limit, within=_LIST_SECONDS)

    async def labels(self, call_sids: Sequence[str]) -> dict[str, list[str]]:
        """The labels of these calls; see ``search.labels_of``.

        Raises:
            JournalError: the database cannot be read.
        """
        return await self._lists.ask(self._store.labels, call_sids, within=_LIST_SECONDS)

    async def count(
        self, grouping: Grouping, since: float, until: float, zone: tzinfo = UTC
    ) -> list[GroupCount]:
        """Calls counted in groups; see ``statistics.count``.

        Raises:
            JournalError: the database cannot be read.
        """
        await self.settle(_PATIENCE_SECONDS)
        database, parts = self._store.database, []
        while since < until:
            end = await self._lists.ask(end_of_part, database, since, until, within=_LIST_SECONDS)
            parts.append(
                await self._lists.ask(count, database, grouping, since, end, zone, within=_LIST_SECONDS)
            )
            since = end
        return merged(parts)

    async def call(self, call_sid: str) -> CallRecord | None:
        """What is known of a call, or ``None``.

        Raises:
            JournalError: the database cannot be read.
        """
        await self.settle(_PATIENCE_SECONDS)
        return await self._lists.ask(self._store.call, call_sid, within=_LIST_SECONDS)

    async def forget(self, address: str) -> Forgotten:
        """Erase all that is kept of the calls from and to an address, for good, and what is still on its way.

        Raises:
            JournalError: the database cannot be written.
            ValueError: the address is empty.
        """
        await self.settle(_PATIENCE_SECONDS)
        forgotten = await self._in(self._erasing, self._store.forget, address)
        self._cache.forget((*forgotten.call_sids, *forgotten.conversation_ids))
        return forgotten

    async def purge(self, before: float) -> int:
        """Erase the calls whose last event is older (seconds since the epoch); how many it were.

        Raises:
            JournalError: the database cannot be written.
        """
        purged = 0
        while batch := await self._in(self._erasing, self._store.purge, before):
            purged += batch
        return purged

    async def index_missed(self, seconds: float) -> int:
        """Index the words of calls that are over where no word is; of how many calls it were.

        Looked at are those that were opened within so many seconds before the newest one.

        Raises:
            JournalError: the database cannot be read or written.
        """
        found = await self._lists.ask(self._store.without_words, seconds, within=_LIST_SECONDS)
        indexed = 0
        for start in range(0, len(found), _AT_ONCE):
            some = found[start : start + _AT_ONCE]
            indexed += await self._in(self._erasing, self._store.index_words, some)
        return indexed

    async def beat(
        self, state: Literal["ready", "full", "refusing", "draining"], load: ServerLoad | None = None
    ) -> None:
        """Tell the other servers that this one is alive, and what it has to do. Call it every few seconds.

        Raises:
            JournalError: the database cannot be written.
        """
        if self.shared:
            self._ids.follow(await self._in(self._threads, self._store.beat, state, load))

    async def servers(self, within_s: float = 10.0) -> list[Server]:
        """The other servers that have been alive within this many seconds.

        Raises:
            JournalError: the database cannot be read.
        """
        if not self.shared:
            return []
        return await self._lists.ask(self._store.servers, within_s, within=_LIST_SECONDS)

    async def lost_servers(self, after_s: float) -> list[str]:
        """The servers that have not been alive for this many seconds and have not signed off: their ids.

        Raises:
            JournalError: the database cannot be read.
        """
        if not self.shared:
            return []
        return await self._lists.ask(self._store.lost_servers, after_s, within=_LIST_SECONDS)

    async def sign_off(self, server_id: str = "") -> None:
        """A server is gone for good: this one, unless another is named.

        Raises:
            JournalError: the database cannot be written.
        """
        if self.shared:
            await self._in(self._threads, self._store.sign_off, server_id)

    @property
    def _erasing(self) -> Executor:
        """Where to erase: SQLite has one writer at a time, and they had better queue than wait for a lock."""
        return self._threads if self.shared else self._thread

    async def _in(self, threads: Executor, call: Callable[[*_Args], _T], *args: *_Args) -> _T:
        return await asyncio.get_running_loop().run_in_executor(threads, call, *args)

    async def _shut(self) -> None:
        self._closed = True
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING_SECONDS):
                await self._in(self._thread, self._close)
        self._thread.shutdown(wait=False)
        self._threads.shutdown(wait=False)
        self._call_threads.shutdown(wait=False)

    def _close(self) -> None:
        for threads in (self._threads, self._call_threads):
            threads.shutdown()  # who still reads or erases has a connection, which no other closes
        self._store.close()

    def _probe(self) -> None:
        self._store.call("")


def _merged(*entries: list[Entry]) -> list[Entry]:
    """All of them in the order of writing, each once: as the last list that has it knows it."""
    return sorted({entry.id: entry for entry in chain(*entries)}.values(), key=lambda entry: entry.id)


def _identity(store: Store) -> str:
    """Which database it is, so that no other takes what is in the spool."""
    if store.shared:
        return store.name
    return str(Path(store.database.engine.url.database or ":memory:").resolve())


class _Ids:
    """Ids in the order of writing, also behind those that another machine wrote by a clock that is ahead."""

    def __init__(self) -> None:
        self._latest = ""

    def follow(self, id_: str) -> None:
        """What is written from now on comes after this one."""
        self._latest = max(self._latest, id_)

    def follow_time(self, milliseconds: int) -> None:
        """What is written from now on comes after all ids of that millisecond since the epoch."""
        self.follow(str(UUID(int=(milliseconds + 1 << 80) - 1)))

    @property
    def reached(self) -> int:
        """The millisecond since the epoch that the latest id is of; 0: there is none."""
        return milliseconds_of(self._latest) if self._latest else 0

    def next(self) -> str:
        """A UUIDv7: of this moment, or of the millisecond after the latest one."""
        id_ = str(uuid_utils.uuid7())
        if id_ <= self._latest:
            milliseconds = milliseconds_of(self._latest) + 1
            fields = milliseconds << 16 | 7 << 12 | randbits(12)
            id_ = str(UUID(int=fields << 64 | 2 << 62 | randbits(62)))
        self._latest = id_
        return id_
