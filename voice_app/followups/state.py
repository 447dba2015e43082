"""Where DBOS keeps its tables: a file beside a SQLite journal, the schema ``dbos`` in PostgreSQL."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.pool import ConnectionPoolEntry

if TYPE_CHECKING:  # the driver is loaded where there is a PostgreSQL: most starts need none
    import psycopg

CONNECTIONS: Final = 8
_EXISTS: Final = "SELECT to_regclass('dbos.workflow_status') IS NOT NULL"
_PARAMETERS: Final[dict[str, Any]] = {
    "application_name": "voice-app follow-ups",
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


class ShutError(Exception):
    """The server stops: no connection is opened any more. DBOS waits for a database as long as it takes."""


class State:
    """The tables that belong to a journal. Everything here blocks."""

    def __init__(self, journal_url: str, spare: Path) -> None:
        """``spare``: the folder for the tables of a journal that is in memory."""
        self._shut = False
        self._file: Path | None = None
        if journal_url.startswith("sqlite"):
            path = make_url(journal_url).database
            kept = path not in (None, "", ":memory:")
            self._file = Path(path or "").with_suffix(".followups.db") if kept else spare / "followups.db"
        else:
            self._conninfo = journal_url.replace("postgresql+psycopg:", "postgresql:", 1)

    def exist(self) -> bool:
        """Whether there are any, so that work may have been begun. A database that cannot be asked: maybe."""
        if self._file is not None:
            return self._file.is_file()
        import psycopg

        try:
            with self._connection() as connection:
                found = connection.execute(_EXISTS).fetchone()
        except psycopg.Error:
            return True
        return found is not None and bool(found[0])

    def engine(self) -> Engine:
        """Connections as DBOS needs them."""
        if self._file is not None:
            engine = create_engine(f"sqlite:///{self._file}", pool_size=CONNECTIONS, max_overflow=0)
            event.listen(engine, "connect", _prepare)
            return engine
        return create_engine(
            "postgresql+psycopg://",
            creator=self._connection,
            pool_size=CONNECTIONS,
            max_overflow=0,
            pool_pre_ping=True,
        )

    def shut(self) -> None:
        """Open no connection any more: whoever waits for the database gives up."""
        self._shut = True

    def _connection(self) -> psycopg.Connection[Any]:
        import psycopg

        if self._shut:
            raise ShutError
        try:
            return psycopg.connect(self._conninfo, **_PARAMETERS)
        except psycopg.OperationalError as error:
            # DBOS waits for a database that is away if it can tell: by the code, which libpq leaves out here.
            raise psycopg.errors.SqlclientUnableToEstablishSqlconnection(str(error)) from None


def _prepare(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = "IMMEDIATE"
    connection.execute("PRAGMA busy_timeout = 30000")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_mode = WAL")  # who reads never waits for who writes
