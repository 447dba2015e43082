"""The tables as they are in a database, and as this version needs them."""

from __future__ import annotations

import threading
from typing import Final

from sqlalchemy import Column, Connection, Dialect, MetaData, String, Table, inspect, select
from sqlalchemy.engine.mock import MockConnection

from voice_app.journal.database import Database, JournalError
from voice_app.journal.tables import calls, events, metadata

HEAD: Final = "1.0004"
"""The newest revision in ``migrations/versions``: ``generation.number``."""
VERSIONS: Final = "journal_version"
"""The table that says which revision a database has. Not Alembic's own name for it: a database on
PostgreSQL may be the home of other programs as well."""

_FIRST: Final = "1.0001"
_versions: Final = Table(VERSIONS, MetaData(), Column("version_num", String(32), nullable=False))
_definitions: Final[dict[str, list[str]]] = {}
"""By dialect: SQLAlchemy takes as long to put them as a database to carry them out."""
_alembic: Final = threading.Lock()
"""Alembic keeps what it works on in variables of its modules."""


def prepare(database: Database) -> None:
    """Make the tables, or bring them up to date. Several processes may do so at once.

    Raises:
        JournalError: the database is somebody else's, or of a generation that this program does not know.
        Errors of the driver: see ``Database.failing``.
    """
    with database.engine.connect() as connection:
        if _is_current(_revision(database, connection)):
            database.make_private()
            return
    with database.begin(unhurried=True) as connection:
        database.only_one(connection)
        revision = _revision(database, connection)
        if not revision:
            _make(connection)
            _stamp(connection)
        elif not _is_current(revision):
            _migrate(connection)
    database.make_private()


def rehearse(database: Database) -> None:
    """See that there is a database that ``prepare`` could write to, and change nothing.

    Raises: as ``prepare``.
    """
    with database.engine.connect().execution_options(writing=True) as connection:
        if not _revision(database, connection):
            _make(connection)
        connection.rollback()


def check(database: Database) -> None:
    """See that the tables are there and up to date, and change nothing.

    Raises: as ``prepare``; and `JournalError` where there would be anything to do.
    """
    with database.engine.connect() as connection:
        revision = _revision(database, connection)
    if not revision:
        raise JournalError(
            f"{database.name} is a database, but not a journal (it has no table {calls.name!r}). "
            "Name the right one with VOICE_APP_DATABASE_URL, or start `voice-app serve` once to make it one."
        )
    if not _is_current(revision):
        raise JournalError(
            f"The journal at {database.name} is of an older version (its tables are {revision}, this one "
            f"needs {HEAD}). Start `voice-app serve` once: it brings them up to date and keeps everything."
        )


def _revision(database: Database, connection: Connection) -> str:
    """The revision of the tables; empty if there are none."""
    inspector = inspect(connection)
    names = set(inspector.get_table_names())
    if VERSIONS in names:
        revision = connection.scalar(select(_versions.c.version_num)) or ""
        _refuse_unknown(database, revision)
        return revision
    ours = names & {calls.name, events.name}
    columns = {column["name"] for name in ours for column in inspector.get_columns(name)}
    if {"call_sid", "opened_at", "call_id", "kind", "data"} <= columns:
        return _FIRST  # it was made before there were versions
    if ours:
        raise JournalError(
            f"{database.name} is a database, but not a journal: it has a table {min(ours)!r} of another "
            "kind. Name the right one with VOICE_APP_DATABASE_URL; an empty one will do."
        )
    return ""


def _refuse_unknown(database: Database, revision: str) -> None:
    generation, _, number = revision.partition(".")
    if revision and (generation != HEAD.partition(".")[0] or not number.isdecimal()):
        raise JournalError(
            f"The journal at {database.name} was written by a newer version of voice-app (its tables are "
            f"{revision}, this one knows {HEAD}). Upgrade voice-app here, or name another journal with "
            "VOICE_APP_DATABASE_URL."
        )


def _is_current(revision: str) -> bool:
    """Whether this program finds all it needs in the tables. Newer ones of its generation only have more."""
    return bool(revision) and int(revision.partition(".")[2]) >= int(HEAD.partition(".")[2])


def _make(connection: Connection) -> None:
    """All tables, in a database that has none of them."""
    name = connection.dialect.name
    if name not in _definitions:
        _definitions[name] = _defined(connection.dialect)
    cursor = connection.connection.cursor()  # all of them at the price of a few statements of SQLAlchemy's
    for definition in _definitions[name]:
        cursor.execute(definition)


def _defined(dialect: Dialect) -> list[str]:
    """What makes the tables, in SQL."""
    found: list[str] = []
    metadata.create_all(
        MockConnection(dialect, lambda made, *_: found.append(str(made.compile(dialect=dialect)))),
        checkfirst=False,
    )
    return found


def _stamp(connection: Connection) -> None:
    _versions.create(connection, checkfirst=True)
    connection.execute(_versions.insert().values(version_num=HEAD))


def _migrate(connection: Connection) -> None:
    # A quarter of a second, and hardly ever needed.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "voice_app.journal:migrations")
    config.attributes["connection"] = connection
    with _alembic:
        if not inspect(connection).has_table(VERSIONS):
            command.stamp(config, _FIRST)
        command.upgrade(config, HEAD)
