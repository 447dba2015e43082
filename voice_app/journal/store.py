"""The journal's database. Everything here blocks, and is called from one thread only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, func, inspect, select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable

from voice_app.journal.database import Database, JournalError
from voice_app.journal.entries import CallRecord, Entry, decode, encode, kind
from voice_app.journal.events import Closed, Opened
from voice_app.journal.tables import calls, events, metadata

_ROWS: Final = 64
"""Rows in one INSERT. Each statement waits once for the GIL: row by row, a busy loop starves the writer."""
_COLUMNS: Final = len(events.c)
_REMEMBERED: Final = 10_000
"""How many calls' numbers are kept at hand."""


class Store:
    """The tables behind one URL.

    Args:
        url: ``sqlite:///voice-app.db`` (relative), ``sqlite:////var/lib/voice-app.db`` (absolute), or
            ``sqlite://`` (in memory, gone when it is closed).

    Raises:
        JournalError: the URL is malformed, or names a database that is not supported.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)
        self._engine = self._database.engine
        self._numbers: dict[str, int] = {}

    def create(self) -> None:
        """Open the database, and make the tables that are missing."""
        # "IF NOT EXISTS", not a look beforehand: two processes may start at once.
        with self._failing("open"), self._engine.begin() as connection:
            for table in metadata.sorted_tables:
                connection.execute(CreateTable(table, if_not_exists=True))
                for index in table.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))

    def find(self) -> None:
        """Open a database that is there, and make nothing."""
        if not self._database.exists():
            raise JournalError(
                f"There is no journal at {self._database.name}. Start `voice-app serve` once to make one, "
                "or name another with VOICE_APP_DATABASE_URL."
            )
        with self._failing("open"):
            missing = [name for name in metadata.tables if not inspect(self._engine).has_table(name)]
        if missing:
            raise JournalError(
                f"{self._database.name} is a database, but not a journal (it has no table {missing[0]!r}). "
                "Name the right one with VOICE_APP_DATABASE_URL."
            )

    def close(self) -> None:
        self._engine.dispose()

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries in one transaction. An entry that is there already (by its id) is left alone.

        Raises:
            JournalError: the database cannot take any entry now. Any other exception: it never takes these.
        """
        with self._failing("write"), self._engine.begin() as connection:
            numbers = self._number(connection, entries)
            values: list[str | int | float] = []
            for entry in entries:
                event = entry.event
                values += (entry.id, numbers[entry.call_sid], entry.at, kind(event), encode(event))
            for start in range(0, len(values), _ROWS * _COLUMNS):
                chunk = values[start : start + _ROWS * _COLUMNS]
                statement = self._database.insertion(len(chunk) // _COLUMNS)
                connection.exec_driver_sql(statement, tuple(chunk))
        self._remember(numbers)

    def events(self, call_sid: str) -> list[Entry]:
        """The events of a call in the order of writing."""
        with self._failing("read"), self._engine.connect() as connection:
            rows = connection.execute(_EVENTS, {"call_sid": _storable(call_sid)}).all()
        return [Entry(row.id, row.at, call_sid, decode(row.kind, row.data)) for row in rows]

    def calls(self, limit: int, before: float | None) -> list[CallRecord]:
        """The calls that were opened ``before`` (seconds since the epoch), newest first."""
        query = _CALLS.order_by(calls.c.opened_at.desc(), calls.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(calls.c.opened_at < before)
        return self._records(query)

    def call(self, call_sid: str) -> CallRecord | None:
        records = self._records(_CALLS.where(calls.c.call_sid == _storable(call_sid)))
        return records[0] if records else None

    def _records(self, query: Select[Any]) -> list[CallRecord]:
        with self._failing("read"), self._engine.connect() as connection:
            return [CallRecord(*row) for row in connection.execute(query)]

    def _number(self, connection: Connection, entries: Sequence[Entry]) -> dict[str, int]:
        """Bring the table of calls up to date; the numbers of the calls of these entries."""
        numbers: dict[str, int] = {}
        for entry in entries:
            call_sid = entry.call_sid
            if call_sid not in numbers and call_sid in self._numbers:
                numbers[call_sid] = self._numbers[call_sid]
            if call_sid not in numbers or isinstance(entry.event, Opened | Closed):
                numbers[call_sid] = connection.execute(self._database.upsert, _row(entry)).scalar_one()
        return numbers

    def _remember(self, numbers: dict[str, int]) -> None:
        if len(self._numbers) > _REMEMBERED:
            self._numbers.clear()
        self._numbers.update(numbers)

    @contextmanager
    def _failing(self, verb: str) -> Iterator[None]:
        try:
            yield
        except (DataError, IntegrityError):  # not the database is at fault, but what it was given
            raise
        except (SQLAlchemyError, sqlite3.Error) as error:
            reason = error.orig if isinstance(error, DBAPIError) else error
            raise JournalError(
                f"Cannot {verb} the journal at {self._database.name}: {reason}. {_ADVICE[verb]}"
            ) from error


_ADVICE: Final = {
    "open": "Check VOICE_APP_DATABASE_URL, and that the folder exists and can be written to.",
    "read": "Check that the database is there and that nothing else keeps it locked.",
    "write": "Check that the disk has room, and that nothing else keeps the database locked.",
}

_EVENTS: Final = (
    select(events.c.id, events.c.at, events.c.kind, events.c.data)
    .join(calls)
    .where(calls.c.call_sid == bindparam("call_sid"))
    .order_by(events.c.id)
)

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


def _row(entry: Entry) -> dict[str, str | float | None]:
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


def _storable(text: str) -> str:
    """The text as any database takes it: PostgreSQL has no NUL, and neither has half a surrogate pair."""
    return text.replace("\0", "").encode(errors="replace").decode()
