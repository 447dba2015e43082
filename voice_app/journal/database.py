"""The database behind a URL, and all that differs between one database and another."""

from __future__ import annotations

import sqlite3
from functools import cache, cached_property
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Engine, case, create_engine, event, func, make_url
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.dml import ReturningInsert

from voice_app.journal.tables import calls, events

_BUSY_S: Final = 1.0
"""How long SQLite waits for another process's lock, unless the URL ends in ``?timeout=``. The writer tries
again, so this need not be long."""


class JournalError(Exception):
    """The journal cannot be opened, read or written. The message says where, why, and what to do."""


class Database:
    """A SQLite database, in the words that every database of the journal has to know."""

    def __init__(self, url: str) -> None:
        self._url = _checked(url)
        self.engine: Final = _engine(self._url)

    @property
    def name(self) -> str:
        """The URL without its password."""
        return self._url.render_as_string(hide_password=True)

    def exists(self) -> bool:
        """Whether there is a database, without making one."""
        return _in_memory(self._url) or Path(self._url.database or "").is_file()

    @cached_property
    def upsert(self) -> ReturningInsert[int]:
        """Add what is known of a call to what was known; its number. Events may come in any order."""
        statement = sqlite.insert(calls)
        new = statement.excluded
        first_known = {
            name: case((calls.c[name] == "", new[name]), else_=calls.c[name])
            for name in ("from_address", "to_address", "direction")
        }
        return statement.on_conflict_do_update(
            index_elements=[calls.c.call_sid],
            set_={
                **first_known,
                "status": case((new.closed_at.is_(None), calls.c.status), else_=new.status),
                "opened_at": case(
                    (new.opened_at < calls.c.opened_at, new.opened_at), else_=calls.c.opened_at
                ),
                "closed_at": func.coalesce(calls.c.closed_at, new.closed_at),
            },
        ).returning(calls.c.id)

    def insertion(self, rows: int) -> str:
        """The INSERT for a number of events: one placeholder for each value, row after row."""
        return _insertion(rows)


@cache
def _insertion(rows: int) -> str:
    values = [dict.fromkeys(events.c.keys())] * rows
    statement = sqlite.insert(events).values(values).on_conflict_do_nothing()
    return str(statement.compile(dialect=sqlite.dialect()))


def _checked(url: str) -> URL:
    advice = "VOICE_APP_DATABASE_URL should look like sqlite:///voice-app.db (sqlite:////… from the root)"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise JournalError(f"The database URL cannot be understood. {advice}.") from None
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise JournalError(f"The journal cannot be kept in {parsed.drivername!r}: only in SQLite. {advice}.")
    return parsed


def _in_memory(url: URL) -> bool:
    return url.database in (None, "", ":memory:")


def _engine(url: URL) -> Engine:
    engine = create_engine(
        url if "timeout" in url.query else url.update_query_dict({"timeout": str(_BUSY_S)})
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        # WAL: readers of other processes never wait for the writer. NORMAL: a commit does not wait for the
        # platter; a crash of the process loses nothing, a power cut what the last checkpoint did not reach.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA temp_store = MEMORY")

    return engine
