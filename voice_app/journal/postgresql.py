"""PostgreSQL: one journal for any number of servers."""

from __future__ import annotations

import json
import time
import typing
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Final, TypeVar

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Double,
    Engine,
    Table,
    TextClause,
    cast,
    create_engine,
    event,
    text,
)
from sqlalchemy import func as sql
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError

from voice_app.journal.database import CHANNEL, Database, EventRow, NumberedCall, OnNotice, Verb, malformed
from voice_app.journal.notifications import Notifications
from voice_app.journal.tables import FEW, has_key, is_open, key_index, open_index

key_index.dialect_kwargs["postgresql_where"] = has_key
open_index.dialect_kwargs["postgresql_where"] = is_open

_T = TypeVar("_T")
_encode: Final = msgspec.json.Encoder().encode

_DEFAULTS: Final[dict[str, str]] = {
    "application_name": "voice-app",
    "connect_timeout": "3",
    # A machine that is gone says nothing: the kernel finds out in seconds instead of a quarter of an hour.
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""What libpq is told, unless the URL says otherwise."""
_LIMITS: Final[dict[str, str]] = {
    "statement_timeout": "5000",
    "lock_timeout": "3000",
    # A server that hangs in mid-transaction may keep others waiting so long.
    "idle_in_transaction_session_timeout": "30000",
}
"""How many milliseconds the database lets us wait, unless the URL says otherwise among its ``options``."""
_ANSWER_SECONDS: Final = 8.0
"""How long an answer may take. The database itself gives up sooner, unless it hangs."""
_UNHURRIED_SECONDS: Final = 600.0
_ROWS: Final = 1000
"""Rows in one INSERT."""
_NOTICE: Final = 190
"""Ids in one notice: it holds less than 8,000 bytes."""
_CHANGING: Final = 0x766F696365
"""The key of the lock for changing the tables; any number that nobody else uses in this database."""


class PostgreSQL(Database):
    """A database that several machines write to.

    Args:
        url: any URL that libpq takes: hosts, sockets (``postgresql:///calls?host=/run/postgresql``),
            services, ``sslmode``, timeouts…

    Raises:
        JournalError: the URL is malformed.
    """

    shared = True
    advice: ClassVar[Mapping[Verb, str]] = {
        "open": "Check VOICE_APP_DATABASE_URL, and that PostgreSQL runs and lets this user in.",
        "read": "Check that PostgreSQL runs and can be reached.",
        "write": "Check that PostgreSQL runs, can be reached, and has room on its disk.",
    }
    _error = psycopg.Error
    _reading: ClassVar[Mapping[str, Any]] = {"isolation_level": "AUTOCOMMIT"}  # half as many round trips
    _named_dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]

    def __init__(self, url: str) -> None:
        self._parameters: dict[str, Any] = _DEFAULTS | _parsed(url)
        self.name = _displayed(self._parameters)
        options = str(self._parameters.get("options", ""))
        self._limits = {name: value for name, value in _LIMITS.items() if name not in options}
        self.engine = _engine(self)

    @property
    def now(self) -> ColumnElement[float]:
        return cast(sql.extract("epoch", sql.clock_timestamp()), Double)

    def connect(self) -> psycopg.Connection[Any]:
        """A new connection, in which nothing waits for ever.

        Raises:
            psycopg.Error: there is none to be had.
        """
        connection = _Connection.connect(**self._parameters)
        try:
            connection.limit(self._limits)
        except psycopg.Error:
            connection.close()
            raise
        return connection

    def exists(self) -> bool:
        return True  # or it cannot be opened

    def insert(self, table: Table) -> postgresql.Insert:
        return postgresql.insert(table)

    def numbers(self, connection: Connection, call_sids: Collection[str]) -> dict[str, NumberedCall]:
        found = connection.exec_driver_sql(_NUMBERS, (list(call_sids),))
        return {row[0]: NumberedCall(row[1], bool(row[2])) for row in found.all()}

    def forgotten(self, connection: Connection, call_sids: Collection[str]) -> set[str]:
        return set(connection.exec_driver_sql(_FORGOTTEN, (list(call_sids),)).scalars())

    def add_events(self, connection: Connection, rows: Sequence[EventRow]) -> None:
        for start in range(0, len(rows), _ROWS):
            connection.exec_driver_sql(_INSERTION, (_encode(rows[start : start + _ROWS]).decode(),))

    def add_labels(self, connection: Connection, rows: Sequence[tuple[int, str]]) -> None:
        connection.exec_driver_sql(_LABELS, (_encode(rows).decode(),))

    def add_said(self, connection: Connection, rows: Sequence[tuple[int, str, str]]) -> None:
        connection.exec_driver_sql(_SAID, [(event_id, call_id, words) for call_id, event_id, words in rows])

    def remove_said(self, connection: Connection, numbers: Sequence[int]) -> None:
        connection.exec_driver_sql("DELETE FROM said WHERE call_id = ANY(%b)", (list(numbers),))

    def has_said(self, connection: Connection, words: str) -> TextClause:
        few = connection.exec_driver_sql(_SAID_OFTEN, (words, FEW)).scalar() or 0
        # What many have said is said on one of the next calls, too; what few have said is looked up first.
        # The planner would not find out: of words that are in no statistics it knows nothing.
        return text(_SAID_BY_FEW if few < FEW else _SAID_BY_MANY).bindparams(words=words)

    def lacks_words(self) -> TextClause:
        return text("NOT EXISTS (SELECT 1 FROM said WHERE call_id = calls.id)")

    def json_number(self, column: ColumnElement[str], key: str) -> ColumnElement[float]:
        # By its text: PostgreSQL takes no JSON in which somebody said a NUL.
        return cast(sql.substring(column, f'"{key}":(-?[0-9.]+)'), Double)

    def json_word(self, column: ColumnElement[str], key: str) -> ColumnElement[str]:
        return sql.substring(column, f'"{key}":"([A-Za-z]*)"')

    def tell(
        self, connection: Connection, server_id: str, ids: Sequence[str], channel: str = CHANNEL
    ) -> None:
        notices = [
            json.dumps({"from": server_id, "ids": ids[start : start + _NOTICE]})
            for start in range(0, len(ids), _NOTICE)
        ]
        connection.exec_driver_sql(_NOTIFICATION, (channel, notices))

    def listen(
        self, on_notice: OnNotice, on_connected: Callable[[], None], channel: str = CHANNEL
    ) -> Notifications:
        return Notifications(self.connect, on_notice, on_connected, channel)

    def only_one(self, connection: Connection) -> None:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_CHANGING,))

    def scrub(self) -> None:
        """PostgreSQL does so by itself: autovacuum."""

    def collided(self, error: DBAPIError) -> bool:
        return isinstance(error.orig, psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure)

    @contextmanager
    def _unhurried(self, connection: Connection) -> Iterator[None]:
        driver = typing.cast(_Connection, connection.connection.dbapi_connection)
        driver.limit(dict.fromkeys(_LIMITS, "0"))
        driver.answer_s = _UNHURRIED_SECONDS
        try:
            yield
        finally:
            del driver.answer_s
            if not driver.closed:
                driver.limit(dict.fromkeys(_LIMITS, "DEFAULT") | self._limits)


# The rows stay locked against being erased, and an event that follows finds its call.
_NUMBERS: Final = (
    "SELECT call_sid, id, closed_at IS NOT NULL FROM calls WHERE call_sid = ANY(%b) FOR KEY SHARE"
)
_FORGOTTEN: Final = "SELECT call_sid FROM forgotten WHERE call_sid = ANY(%b)"
# As one text: to send a thousand rows as arrays, or as parameters, takes the client fifteen times the CPU.
_INSERTION: Final = (
    "INSERT INTO events (id, call_id, at, kind, data, key) SELECT * FROM json_to_recordset(%s) AS row "
    "(id text, call_id bigint, at double precision, kind text, data text, key text) ON CONFLICT DO NOTHING"
)
_LABELS: Final = (
    "INSERT INTO labels (call_id, label, opened_at) SELECT calls.id, row ->> 1, calls.opened_at "
    "FROM json_array_elements(%s) AS row JOIN calls ON calls.id = (row ->> 0)::bigint ON CONFLICT DO NOTHING"
)
_SAID_OFTEN: Final = (
    "SELECT count(*) FROM (SELECT 1 FROM said WHERE words @@ plainto_tsquery('simple', %s) LIMIT %s) AS few"
)
_SAID_BY_FEW: Final = (
    "calls.id = ANY(ARRAY(SELECT call_id FROM said WHERE words @@ plainto_tsquery('simple', :words)))"
)
_SAID_BY_MANY: Final = (
    "EXISTS (SELECT 1 FROM said WHERE call_id = calls.id AND words @@ plainto_tsquery('simple', :words))"
)
_SAID: Final = (
    "INSERT INTO said (event_id, call_id, words) VALUES (%s, %s, to_tsvector('simple', %s)) "
    "ON CONFLICT DO NOTHING"
)
_NOTIFICATION: Final = "SELECT pg_notify(%s, notice) FROM unnest(%b) AS notice"


class _Connection(psycopg.Connection[Any]):
    """A connection that is closed when the database does not answer in time.

    The timeouts above are kept by the database; one that hangs keeps none.
    """

    answer_s: float = _ANSWER_SECONDS

    def limit(self, limits: Mapping[str, str]) -> None:
        """Set limits of the session. It must be in no transaction."""
        # Not in the start packet: poolers such as PgBouncer refuse connections that bring options.
        self.autocommit = True
        self.execute("; ".join(f"SET {name} = {value}" for name, value in limits.items()).encode())
        self.autocommit = False

    def wait(self, gen: Generator[Any, Any, _T], *args: Any, **kwargs: Any) -> _T:
        return super().wait(self._within(gen), *args, **kwargs)

    def _within(self, steps: Generator[Any, Any, _T]) -> Generator[Any, Any, _T]:
        deadline = time.monotonic() + self.answer_s
        try:
            waits_for = next(steps)
            while True:
                ready = yield waits_for
                if not ready and time.monotonic() > deadline:
                    self.close()
                    raise psycopg.OperationalError(f"it has not answered for {self.answer_s:.0f} seconds")
                waits_for = steps.send(ready)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def _engine(database: PostgreSQL) -> Engine:
    engine = create_engine(
        URL.create("postgresql+psycopg"),
        creator=database.connect,
        hide_parameters=True,
        pool_pre_ping=True,  # the first to come after a restart of the database gets a new connection
        pool_size=2,
        max_overflow=4,
        pool_timeout=_ANSWER_SECONDS,
    )
    event.listen(engine, "handle_error", _let_go)
    return engine


def _let_go(context: ExceptionContext) -> None:
    # The machine has become a standby: the next connection finds the one that has taken its place.
    if isinstance(context.original_exception, psycopg.errors.ReadOnlySqlTransaction):
        context.is_disconnect = True


def _parsed(url: str) -> dict[str, str]:
    try:
        # What libpq calls itself, as SQLAlchemy calls it.
        found = conninfo_to_dict(url.replace("postgresql+psycopg:", "postgresql:", 1))
    except psycopg.ProgrammingError:  # its words repeat what it could not read
        raise malformed("libpq does not read it: special characters are written as in %40") from None
    return {name: str(value) for name, value in found.items() if value is not None}


def _displayed(parameters: Mapping[str, str]) -> str:
    host, port = parameters.get("host", ""), parameters.get("port", "")
    user, name = parameters.get("user", ""), parameters.get("dbname", "")
    hosts, ports = host.split(","), port.split(",")
    socket = host.startswith(("/", "@"))
    if socket:
        at = ""
    elif len(hosts) == len(ports):
        at = ",".join(f"{one}:{number}" if number else one for one, number in zip(hosts, ports, strict=True))
    else:
        at = f"{host}:{port}" if port else host
    query = f"?host={host}" if socket else ""
    if "service" in parameters:
        query = f"?service={parameters['service']}"
    return f"postgresql://{user}{'@' if user else ''}{at}/{name}{query}"
