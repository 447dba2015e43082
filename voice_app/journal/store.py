"""The journal's database. Everything here blocks; any thread may call it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec
import uuid_utils
from sqlalchemy import Connection, Select, delete, func, select

from voice_app.journal import erasure, schema, search
from voice_app.journal.database import (
    ACTS,
    Database,
    EventRow,
    JournalError,
    NumberedCall,
    malformed,
    unsupported,
)
from voice_app.journal.entries import (
    CallRecord,
    Entry,
    Forgotten,
    Server,
    ServerLoad,
    decode,
    encode,
    kind,
    load_of,
)
from voice_app.journal.events import Closed, Event, Opened, Supervised, UnknownEvent
from voice_app.journal.search import storable as _storable
from voice_app.journal.tables import Selection, beyond, calls, events, labels, servers


class Store:
    """The tables behind one URL.

    Args:
        url: ``sqlite:///voice-app.db`` (relative), ``sqlite:////var/lib/voice-app.db`` (absolute),
            ``sqlite://`` (in memory, gone when it is closed), or ``postgresql://…`` in any form that libpq
            takes.
        server_id: who writes, for the other servers.

    Raises:
        JournalError: the URL is malformed, or names a database that is not supported.
    """

    def __init__(self, url: str, *, server_id: str = "") -> None:
        self.server_id: Final = server_id or str(uuid_utils.uuid7())
        self.database: Final[Database] = database(url)

    @property
    def shared(self) -> bool:
        """Whether more than one server may write here."""
        return self.database.shared

    @property
    def name(self) -> str:
        """The URL without its password."""
        return self.database.name

    def create(self) -> None:
        """Open the database, and make its tables or bring them up to date.

        Raises:
            JournalError: that is not possible, or it is a database of a newer version, or of something else.
        """
        with self.database.failing("open"):
            schema.prepare(self.database)

    def rehearse(self) -> None:
        """See that ``create`` would succeed, and change nothing in a database that is there.

        Raises: as ``create``.
        """
        if self.database.exists():
            with self.database.failing("open"):
                schema.rehearse(self.database)

    def find(self) -> None:
        """Open a database that is there and up to date, and make nothing.

        Raises:
            JournalError: there is none.
        """
        if not self.database.exists():
            raise JournalError(
                f"There is no journal at {self.name}. Start `voice-app serve` once to make one, "
                "or name another with VOICE_APP_DATABASE_URL."
            )
        with self.database.failing("open"):
            schema.check(self.database)

    def close(self) -> None:
        self.database.close()

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries in one transaction.

        Left out are those that are there already (by id or by key), and those of calls that were forgotten.

        Raises:
            JournalError: the database cannot take any entry now. Any other exception: it never takes these.
        """
        if entries and (over := self.database.write(lambda connection: self._append(connection, entries))):
            self.database.write(lambda connection: search.add_words(self.database, connection, over))

    def events(self, call_sid: str) -> list[Entry]:
        """The events of a call in the order of writing."""
        return self._entries(_ENTRIES.where(calls.c.call_sid == _storable(call_sid)))

    def entries(self, ids: Collection[str]) -> list[Entry]:
        """The entries with these ids, of those that are there, in the order of writing."""
        return self._entries(_ENTRIES.where(events.c.id.in_([_storable(id_) for id_ in ids]))) if ids else []

    def since(self, last_id: str, limit: int) -> list[Entry]:
        """The first entries after this id, of all servers. Their clocks may differ."""
        return self._entries(_ENTRIES.where(events.c.id > _storable(last_id)).limit(limit))

    def of_kind(self, kind: type[Event], since: float) -> list[Entry]:
        """The entries of one kind of event from then on (seconds since the epoch), in order."""
        first = f"{int(since * 1000):012x}"  # a UUIDv7 begins with its milliseconds
        after = events.c.id >= f"{first[:8]}-{first[8:]}"
        return self._entries(_ENTRIES.where(after, events.c.kind == str(kind.__struct_config__.tag)))

    def select(
        self,
        selection: Selection,
        limit: int,
        after: CallRecord | None = None,
        newest_first: bool = True,
    ) -> list[CallRecord]:
        """Calls in the order of their opening: the first ``limit``, or those that come ``after`` one."""
        with self.database.reading() as connection:
            query = self._selecting(connection, selection, after, newest_first)
            return [CallRecord(*row) for row in connection.execute(query.limit(limit))]

    def labels(self, call_sids: Sequence[str]) -> dict[str, list[str]]:
        """The labels of these calls."""
        query = select(calls.c.call_sid, labels.c.label).join(calls, labels.c.call_id == calls.c.id)
        known = [_storable(sid) for sid in call_sids]
        found: dict[str, list[str]] = {sid: [] for sid in call_sids}
        with self.database.reading() as connection:
            for row in connection.execute(query.where(calls.c.call_sid.in_(known)).order_by(labels.c.label)):
                found[row.call_sid].append(row.label)
        return found

    def call(self, call_sid: str) -> CallRecord | None:
        """What is known of a call, or ``None``."""
        with self.database.reading() as connection:
            row = connection.execute(_CALLS.where(calls.c.call_sid == _storable(call_sid))).first()
        return None if row is None else CallRecord(*row)

    def forget(self, address: str) -> Forgotten:
        """Erase all that is kept of the calls from and to an address, for good; see ``erasure.forget``.

        The address is written as Twilio does: E.164, ``client:…``, ``sip:…``.

        Raises:
            ValueError: the address is empty, which is no caller but all of whom nothing is known.
        """
        if not _storable(address).strip():
            raise ValueError("no address to forget")
        return erasure.forget(self.database, _storable(address))

    def purge(self, before: float, limit: int = 100) -> int:
        """Erase at most ``limit`` calls whose last event is older (seconds since the epoch).

        Returns how many; 0 if there are no more.
        """
        return erasure.purge(self.database, before, limit)

    def without_words(self, seconds: float) -> list[int]:
        """Calls that are over, were spoken on, and have no word in the index: their numbers.

        Looked at are those that were opened within so many seconds before the newest one.
        """
        with self.database.reading() as connection:
            newest = connection.scalar(select(func.max(calls.c.opened_at))) or 0.0
            return search.without_words(self.database, connection, newest - seconds)

    def index_words(self, numbers: Sequence[int]) -> int:
        """Index all that was said on these calls, which are over; on how many of them anything was."""
        return self.database.write(
            lambda connection: search.add_words(self.database, connection, numbers), unhurried=True
        )

    def beat(self, state: str, load: ServerLoad | None = None) -> str:
        """Write down that this server is alive now, by the database's clock, and what it has to do.

        Returns the id of the newest entry, whoever wrote it; empty if there is none.
        """
        told = None if load is None else msgspec.json.encode(load).decode()
        self.database.write(lambda connection: self.database.beat(connection, self.server_id, state, told))
        with self.database.reading() as connection:
            return connection.scalar(select(events.c.id).order_by(events.c.id.desc()).limit(1)) or ""

    def servers(self, within_s: float) -> list[Server]:
        """The other servers that have been alive within this many seconds, longest known first."""
        query = select(servers.c.id, servers.c.state, servers.c.load).order_by(servers.c.id)
        seen = servers.c.beat_at >= self.database.now - within_s
        with self.database.reading() as connection:
            rows = connection.execute(query.where(seen, servers.c.id != self.server_id)).all()
        return [Server(row.id, row.state, load_of(row.load)) for row in rows]

    def lost_servers(self, after_s: float) -> list[str]:
        """The servers that have not been alive for this many seconds and have not signed off."""
        query = select(servers.c.id).where(servers.c.beat_at < self.database.now - after_s)
        with self.database.reading() as connection:
            return list(connection.scalars(query.order_by(servers.c.id)))

    def sign_off(self, server_id: str = "") -> None:
        """A server is gone for good: this one, unless another is named."""
        statement = delete(servers).where(servers.c.id == (server_id or self.server_id))
        self.database.write(lambda connection: connection.execute(statement))

    def _selecting(
        self, connection: Connection, selection: Selection, after: CallRecord | None, newest_first: bool
    ) -> Select[Any]:
        query = _CALLS.where(*selection.conditions())
        opened_at = calls.c.opened_at
        wanted = search.rarest_first(connection, selection.labels)
        # Few calls are open: to begin with them is quicker than with any label.
        if wanted and selection.closed is not False:
            query = query.join(labels, labels.c.call_id == calls.c.id).where(labels.c.label == wanted.pop(0))
            opened_at = labels.c.opened_at
            query = query.where(*selection.within(opened_at))
        query = query.where(*map(search.has_label, wanted))
        if selection.said.split():
            query = query.where(self.database.has_said(connection, _storable(selection.said)))
        if after is not None:
            query = query.where(beyond(after, opened_at, newest_first=newest_first))
        order = (opened_at, calls.c.call_sid)
        return query.order_by(*(column.desc() for column in order) if newest_first else order)

    def _append(self, connection: Connection, entries: Sequence[Entry]) -> set[int]:
        """The numbers of the calls that are over by now, and whose words are to be indexed."""
        numbers = self._number(connection, entries)
        kept = [
            (entry, call.id)
            for entry in entries
            if (call := numbers.get(_storable(entry.call_sid))) is not None
        ]
        if kept:
            rows = [_event(entry, number) for entry, number in kept]
            self.database.add_events(connection, rows)
            search.add_labels(self.database, connection, ((number, entry.event) for entry, number in kept))
            self.database.tell(connection, self.server_id, [row.id for row in rows])
            if acts := [entry.id for entry, _ in kept if type(entry.event) is Supervised]:
                self.database.tell(connection, self.server_id, acts, ACTS)
        over = {call.id for call in numbers.values() if call.over}
        return {
            number
            for entry, number in kept
            if type(entry.event) is Closed or (number in over and search.words_of(entry.event))
        }

    def _number(self, connection: Connection, entries: Sequence[Entry]) -> dict[str, NumberedCall]:
        """Bring the table of calls up to date; the numbers of the calls of these entries."""
        call_sids = {_storable(entry.call_sid) for entry in entries}
        numbers = self.database.numbers(connection, call_sids)
        unknown = call_sids - numbers.keys()
        if unknown:
            unknown -= self.database.forgotten(connection, unknown)
        rows, named = [], set(numbers)
        for entry in entries:
            call_sid = _storable(entry.call_sid)
            telling = type(entry.event) in _TELLING or call_sid not in named
            if telling and (call_sid in unknown or call_sid in numbers):
                rows.append(_call(entry))
                named.add(call_sid)
        if rows:
            self.database.add_calls(connection, rows)
            if numbers:
                search.reopened(connection, sorted(call.id for call in numbers.values()))
        return numbers | self.database.numbers(connection, unknown) if unknown else numbers

    def _entries(self, query: Select[Any]) -> list[Entry]:
        with self.database.reading() as connection:
            rows = connection.execute(query.order_by(events.c.id)).all()
        names: dict[str, str] = {}  # one text for all entries of a call
        return [
            Entry(
                row.id,
                row.at,
                names.setdefault(row.call_sid, row.call_sid),
                decode(row.kind, row.data),
                row.key or "",
            )
            for row in rows
        ]


_ENTRIES: Final = select(
    events.c.id, events.c.at, calls.c.call_sid, events.c.kind, events.c.data, events.c.key
).join(calls)

_LAST_AT: Final = select(func.max(events.c.at)).where(events.c.call_id == calls.c.id).scalar_subquery()

_CALLS: Final = select(
    calls.c.call_sid,
    calls.c.from_address,
    calls.c.to_address,
    calls.c.direction,
    calls.c.status,
    calls.c.opened_at,
    calls.c.closed_at,
    func.coalesce(_LAST_AT, calls.c.opened_at),
).where(calls.c.call_sid.startswith("CA"))
"""Calls only: events may also be kept under the id of a conversation or of the account."""


_TELLING: Final = frozenset({Opened, Closed})
"""The events that tell something of their call, beside themselves."""


def _event(entry: Entry, number: int) -> EventRow:
    event, key = entry.event, _storable(entry.key) if entry.key else None
    if type(event) is UnknownEvent:  # its text was never checked by us
        event = UnknownEvent(_storable(event.kind), _storable(event.data))
    return EventRow(entry.id, number, entry.at, kind(event), encode(event), key)


def _call(entry: Entry) -> dict[str, str | float | None]:
    """What one event says about its call."""
    row: dict[str, str | float | None] = {
        "call_sid": _storable(entry.call_sid),
        "from_address": "",
        "to_address": "",
        "direction": "",
        "status": "in-progress",
        "opened_at": entry.at,
        "closed_at": None,
    }
    match entry.event:
        case Opened(from_=from_, to=to, direction=direction):
            row |= {
                "from_address": _storable(from_),
                "to_address": _storable(to),
                "direction": _storable(direction),
            }
        case Closed(status=status):
            row |= {"status": _storable(status), "closed_at": entry.at}
        case _:
            pass
    return row


def place(url: str) -> str:
    """Where a journal is, for people: its URL without the password.

    Raises: as ``database``.
    """
    return database(url).name


def database(url: str) -> Database:
    """The database that a URL names. Nothing is opened yet.

    Raises:
        JournalError: the URL is malformed, or names a database that is not supported.
    """
    scheme, colon, _ = url.partition(":")
    # Each brings its driver along; most need one of them.
    if colon and scheme in ("sqlite", "sqlite+pysqlite"):
        from voice_app.journal.sqlite import SQLite

        return SQLite(url)
    if colon and scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        try:
            from voice_app.journal.postgresql import PostgreSQL
        except ImportError as error:
            if not str(error.name).startswith("psycopg"):
                raise
            raise JournalError(
                "VOICE_APP_DATABASE_URL=postgresql://… needs: pip install 'voice-app[postgres]'"
            ) from None
        return PostgreSQL(url)
    if not colon or "/" in scheme:
        raise malformed()
    raise unsupported(scheme)
