"""SQLite: the journal in a file, for one server on one machine."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from itertools import chain
from pathlib import Path
from typing import ClassVar, Final, cast

import msgspec
from msgspec.structs import astuple
from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Dialect,
    Double,
    Engine,
    Table,
    Text,
    TextClause,
    create_engine,
    event,
    make_url,
    text,
)
from sqlalchemy import func as sql
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection, QueuePool

from voice_app.journal.database import (
    CHANNEL,
    Database,
    EventRow,
    JournalError,
    NoticeListener,
    NumberedCall,
    OnNotice,
    Verb,
    malformed,
)
from voice_app.journal.tables import FEW, events

log = logging.getLogger(__name__)
_encode: Final = msgspec.json.Encoder().encode

_BUSY_SECONDS: Final = 1.0
"""How long SQLite waits for another process's lock, unless the URL ends in ``?timeout=``. The writer tries
again, so this need not be long."""
_UNHURRIED_SECONDS: Final = 60.0
_ROWS: Final = 64
"""Rows in one INSERT. Each statement waits once for the GIL: row by row, a busy loop starves the writer."""
_EPOCH: Final = 2440587.5
"""1970-01-01 as a Julian day, the only clock of SQLite's that tells parts of a second since ever."""


class SQLite(Database):
    """A file, or memory."""

    shared = False
    advice: ClassVar[Mapping[Verb, str]] = {
        "open": "Check VOICE_APP_DATABASE_URL, and that the folder exists and can be written to.",
        "read": "Check that the database is there and that nothing else keeps it locked.",
        "write": "Check that the disk has room, and that nothing else keeps the database locked.",
    }
    _error = sqlite3.Error
    _named_dialect = sqlite.dialect(paramstyle="named")

    def __init__(self, url: str) -> None:
        try:
            self._url = make_url(url)
            self.engine = _engine(self._url)
        except (ArgumentError, ValueError, TypeError):
            raise malformed() from None
        if "\0" in (self._url.database or ""):
            raise malformed()
        self.name = self._url.render_as_string(hide_password=True)

    @property
    def now(self) -> ColumnElement[float]:
        return (sql.julianday("now") - _EPOCH) * 86400.0

    def exists(self) -> bool:
        return _in_memory(self._url) or Path(self._url.database or "").is_file()

    def insert(self, table: Table) -> sqlite.Insert:
        return sqlite.insert(table)

    def numbers(self, connection: Connection, call_sids: Collection[str]) -> dict[str, NumberedCall]:
        found = connection.exec_driver_sql(_NUMBERS, (_encode(list(call_sids)).decode(),))
        return {row[0]: NumberedCall(row[1], bool(row[2])) for row in found.all()}

    def forgotten(self, connection: Connection, call_sids: Collection[str]) -> set[str]:
        found = connection.exec_driver_sql(_FORGOTTEN, (_encode(list(call_sids)).decode(),))
        return set(found.scalars())

    def add_events(self, connection: Connection, rows: Sequence[EventRow]) -> None:
        for start in range(0, len(rows), _ROWS):
            chunk = rows[start : start + _ROWS]
            values = tuple(chain.from_iterable(map(astuple, chunk)))
            connection.exec_driver_sql(_insertion(len(chunk)), values)

    def add_labels(self, connection: Connection, rows: Sequence[tuple[int, str]]) -> None:
        connection.exec_driver_sql(_LABELS, (_encode(rows).decode(),))

    def add_said(self, connection: Connection, rows: Sequence[tuple[int, str, str]]) -> None:
        by_call = defaultdict[int, list[str]](list)
        for call_id, _, words in rows:
            by_call[call_id].append(words)
        self.remove_said(connection, list(by_call))
        numbered = [
            (call_id * _SAID_ROWS + place, words)
            for call_id, said in by_call.items()
            for place, words in enumerate(said[:_SAID_ROWS])
        ]
        connection.exec_driver_sql("INSERT INTO said (rowid, text) VALUES (?, ?)", numbered)

    def remove_said(self, connection: Connection, numbers: Sequence[int]) -> None:
        for number in numbers:
            first = number * _SAID_ROWS
            connection.exec_driver_sql(
                "DELETE FROM said WHERE rowid BETWEEN ? AND ?", (first, first + _SAID_ROWS - 1)
            )

    def has_said(self, connection: Connection, words: str) -> TextClause:
        # Words as people say them, and no operators of FTS5's: each in quotation marks.
        wanted = " ".join('"{}"'.format(word.replace('"', '""')) for word in words.split())
        few = connection.exec_driver_sql(_SAID_OFTEN, (wanted, FEW)).scalar() or 0
        # What many have said is said on one of the next calls, too; what few have said is looked up first.
        found = _SAID_BY_FEW if few < FEW else _SAID_BY_MANY
        return text(found).bindparams(words=wanted)

    def lacks_words(self) -> TextClause:
        return text(_LACKS_WORDS)

    def json_number(self, column: ColumnElement[str], key: str) -> ColumnElement[float]:
        return sql.json_extract(column, f"$.{key}", type_=Double)

    def json_word(self, column: ColumnElement[str], key: str) -> ColumnElement[str]:
        return sql.json_extract(column, f"$.{key}", type_=Text)

    def tell(
        self, connection: Connection, server_id: str, ids: Sequence[str], channel: str = CHANNEL
    ) -> None:
        """Nothing to do: other processes on this file are commands that read once."""

    def listen(
        self, on_notice: OnNotice, on_connected: Callable[[], None], channel: str = CHANNEL
    ) -> NoticeListener:
        raise TypeError(f"{self.name} cannot be listened to: one process writes to it")

    def only_one(self, connection: Connection) -> None:
        """It is: ``begin`` has locked the file against all other writers."""

    def make_private(self) -> None:
        if _in_memory(self._url):
            return
        file = Path(self._url.database or "")
        for path in (file, *(file.with_name(file.name + end) for end in ("-wal", "-shm"))):
            with suppress(OSError):
                found = path.stat()
                if found.st_uid == os.geteuid() and found.st_mode & 0o077:
                    path.chmod(0o600)
                    log.info("journal: %s was not for its owner only, and now is", path)

    def scrub(self) -> None:
        with self.engine.connect() as connection:
            driver = cast(sqlite3.Connection, connection.connection.dbapi_connection)
            # What was said stands in the index's segments until they are merged: a few pages at a time, so
            # that nobody waits long for the lock. https://sqlite.org/fts5.html#the_merge_command
            pages = -_MERGED_PAGES
            while True:
                before = driver.total_changes
                driver.execute("INSERT INTO said (said, rank) VALUES ('merge', ?)", (pages,))
                if driver.total_changes - before < 2:
                    break
                pages = _MERGED_PAGES
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def collided(self, error: DBAPIError) -> bool:
        return False

    @contextmanager
    def _unhurried(self, connection: Connection) -> Iterator[None]:
        driver = cast(sqlite3.Connection, connection.connection.dbapi_connection)
        [before] = driver.execute("PRAGMA busy_timeout").fetchone()
        driver.execute(f"PRAGMA busy_timeout = {_UNHURRIED_SECONDS * 1000:.0f}")
        try:
            yield
        finally:
            driver.execute(f"PRAGMA busy_timeout = {before}")


_MERGED_PAGES: Final = 500
_SAID_ROWS: Final = 65_536
"""How many rows a call may have in the index of words."""
_SAID_OFTEN: Final = "SELECT count(*) FROM (SELECT 1 FROM said WHERE said MATCH ? LIMIT ?)"
_SAID_BY_FEW: Final = "calls.id IN (SELECT rowid / 65536 FROM said WHERE said MATCH :words)"
_SAID_BY_MANY: Final = (
    "EXISTS (SELECT 1 FROM said WHERE said MATCH :words "
    "AND rowid BETWEEN calls.id * 65536 AND calls.id * 65536 + 65535)"
)
_LACKS_WORDS: Final = (
    "NOT EXISTS (SELECT 1 FROM said WHERE rowid BETWEEN calls.id * 65536 AND calls.id * 65536 + 65535)"
)
_NUMBERS: Final = (
    "SELECT call_sid, id, closed_at IS NOT NULL FROM calls WHERE call_sid IN (SELECT value FROM json_each(?))"
)
_FORGOTTEN: Final = "SELECT call_sid FROM forgotten WHERE call_sid IN (SELECT value FROM json_each(?))"
_LABELS: Final = (
    "INSERT INTO labels (call_id, label, opened_at) "
    "SELECT calls.id, json_extract(row.value, '$[1]'), calls.opened_at FROM json_each(?) AS row "
    "CROSS JOIN calls ON calls.id = json_extract(row.value, '$[0]') WHERE true ON CONFLICT DO NOTHING"
)


@cache
def _insertion(rows: int) -> str:
    """The INSERT for a number of events: one placeholder for each value, row after row."""
    # Put together and not compiled: SQLAlchemy takes up to 18 ms for each number of rows, and holds the GIL.
    before, placeholders, after = _one_row()
    return f"{before}{', '.join([placeholders] * rows)}{after}"


@cache
def _one_row() -> tuple[str, str, str]:
    statement = sqlite.insert(events).values(dict.fromkeys(events.c.keys())).on_conflict_do_nothing()
    compiled = str(statement.compile(dialect=sqlite.dialect()))
    return compiled.partition(f"({', '.join('?' * len(events.c))})")


def _in_memory(url: URL) -> bool:
    return url.database in (None, "", ":memory:")


def _engine(url: URL) -> Engine:
    patient = url if "timeout" in url.query else url.update_query_dict({"timeout": str(_BUSY_SECONDS)})
    if _in_memory(url):
        # Each connection would have a database of its own: the threads take turns with one.
        engine = create_engine(
            patient,
            hide_parameters=True,
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=0,
            connect_args={"check_same_thread": False},
        )
    else:
        engine = create_engine(patient, hide_parameters=True)
        file = _File(url)
        event.listen(engine, "do_connect", file.ready)
        event.listen(engine, "connect", file.opened)
        event.listen(engine, "checkout", file.check)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


class _File:
    """The file of a database: for its owner only, and the one that was opened as long as it is open."""

    def __init__(self, url: URL) -> None:
        self._path = Path(url.database or "")
        self._name = url.render_as_string()
        self._known = False

    def ready(self, _: Dialect, __: ConnectionPoolEntry, ___: list[str], ____: dict[str, object]) -> None:
        """Before a connection: a new file is private. What SQLite puts beside a file has the file's mode."""
        if self._known:
            self._identity()
            return
        with suppress(OSError):  # it is there, or SQLite says why it cannot be made
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    def opened(self, _: sqlite3.Connection, entry: ConnectionPoolEntry) -> None:
        entry.info["file"] = self._identity()
        self._known = True

    def check(self, _: sqlite3.Connection, entry: ConnectionPoolEntry, __: PoolProxiedConnection) -> None:
        """SQLite would go on with a file that nobody finds any more, and what it writes would be lost.

        Nor is another made in its place: the log beside it (``-wal``) would be taken for the new one's.
        """
        if self._identity() != entry.info["file"]:
            raise DisconnectionError(f"{self._path} is another file now")

    def _identity(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except OSError as error:
            raise JournalError(
                f"The journal at {self._name} was moved or deleted under the server, or its folder was "
                f"({error.strerror}). Put it back with the files beside it, or start the server again to "
                "begin a new one."
            ) from None
        return found.st_dev, found.st_ino


def _prepare(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions begin where we say so: see below
    # WAL: readers of other processes never wait for the writer. NORMAL: a commit does not wait for the
    # platter; a crash of the process loses nothing, a power cut what the last checkpoint did not reach.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA secure_delete = ON")  # who is forgotten is not left in the file's free pages


def _begin(connection: Connection) -> None:
    # A transaction that reads before it writes must have the lock from its beginning: to get it later fails
    # at once, whatever the timeout, when another process has written meanwhile.
    writing = connection.get_execution_options().get("writing")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
