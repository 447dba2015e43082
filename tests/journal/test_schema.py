from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from support.postgres import Postgres
from support.preloaded import program
from voice_app.journal import Entry, JournalError, Selection, schema
from voice_app.journal.database import Database
from voice_app.journal.events import Closed, Opened, Prompted
from voice_app.journal.store import Store, database
from voice_app.journal.tables import metadata

OLD = """
CREATE TABLE calls (
    id INTEGER NOT NULL,
    call_sid TEXT NOT NULL,
    from_address TEXT NOT NULL,
    to_address TEXT NOT NULL,
    direction TEXT NOT NULL,
    status TEXT NOT NULL,
    opened_at DOUBLE NOT NULL,
    closed_at DOUBLE,
    PRIMARY KEY (id),
    UNIQUE (call_sid)
);
CREATE INDEX ix_calls_opened_at ON calls (opened_at);
CREATE TABLE events (
    id VARCHAR(36) NOT NULL,
    call_id INTEGER NOT NULL,
    at DOUBLE NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(call_id) REFERENCES calls (id)
);
CREATE INDEX ix_events_call_id ON events (call_id);
INSERT INTO calls VALUES (7, 'CA1', '+15550100001', '+15550100002', 'inbound', 'completed', 101.0, 103.0);
INSERT INTO events VALUES ('0001', 7, 101.0, 'opened',
    '{"kind":"opened","from":"+15550100001","to":"+15550100002","direction":"inbound"}');
INSERT INTO events VALUES ('0002', 7, 102.0, 'prompt', '{"kind":"prompt","text":"Hi"}');
INSERT INTO events VALUES ('0003', 7, 103.0, 'closed', '{"kind":"closed","status":"completed"}');
"""
"""A journal as the program made it before its tables had versions."""

OLD_ENTRIES = [
    Entry("0001", 101.0, "CA1", Opened("+15550100001", "+15550100002", "inbound")),
    Entry("0002", 102.0, "CA1", Prompted("Hi")),
    Entry("0003", 103.0, "CA1", Closed("completed")),
]


@pytest.fixture
def old_url(tmp_path: Path) -> str:
    with sqlite3.connect(tmp_path / "old.db") as connection:
        connection.executescript(OLD)
    connection.close()
    return f"sqlite:///{tmp_path}/old.db"


@pytest.fixture
def store(empty_database_url: str) -> Iterator[Store]:
    store = Store(empty_database_url)
    yield store
    store.close()


def scripts(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", "voice_app.journal:migrations")
    config.attributes["connection"] = connection
    return config


def migrate(url: str, revision: str) -> None:
    """Bring an empty database to a revision by the scripts alone."""
    empty = database(url)
    with empty.begin() as connection:
        command.upgrade(scripts(connection), revision)
    empty.close()


def set_revision(store: Store, revision: str) -> None:
    with store.database.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {schema.VERSIONS} SET version_num = '{revision}'")


def shape(found: Database) -> list[str]:
    """All that can be known of the tables in a database."""
    with found.engine.connect() as connection:
        if not found.shared:
            queries = [f"SELECT * FROM pragma_table_info('{name}')" for name in NAMES]
            queries += [
                f"SELECT name, \"unique\", partial FROM pragma_index_list('{name}')" for name in NAMES
            ]
            queries.append(
                "SELECT sql FROM sqlite_master WHERE sql LIKE 'CREATE INDEX%' OR sql LIKE '%said%'"
            )
        else:
            queries = [
                "SELECT table_name, column_name, ordinal_position, data_type, character_maximum_length, "
                "is_nullable, column_default, collation_name FROM information_schema.columns "
                "WHERE table_schema = 'public'",
                "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'",
                "SELECT conrelid::regclass, pg_get_constraintdef(oid) FROM pg_constraint "
                "WHERE connamespace = 'public'::regnamespace",
            ]
        return sorted(f"{row}" for query in queries for row in connection.exec_driver_sql(query))


NAMES = [*metadata.tables, schema.VERSIONS]


def test_the_history_of_migrations_is_one_line_that_ends_where_the_program_thinks() -> None:
    found = list(ScriptDirectory.from_config(scripts()).walk_revisions())
    assert found[0].revision == schema.HEAD
    assert [script.down_revision for script in found] == [script.revision for script in found[1:]] + [None]
    assert sorted(script.revision for script in found) == [script.revision for script in reversed(found)]


def test_the_scripts_make_the_very_tables_that_a_new_database_gets(
    store: Store, empty_database_url: str
) -> None:
    migrate(empty_database_url, "head")
    with store.database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": schema.VERSIONS,
                "compare_server_default": True,
                # Each database has a table of its own for words, which `shape` compares.
                "include_object": lambda item, name, *_: not re.match("(ix_)?said", name or ""),
            },
        )
        assert compare_metadata(context, metadata) == []
    by_scripts = shape(store.database)
    with store.database.begin() as connection:
        for name in reversed([schema.VERSIONS, *(table.name for table in metadata.sorted_tables), "said"]):
            connection.exec_driver_sql(f"DROP TABLE {name}")
    store.create()
    assert len(by_scripts) > 20
    assert _unkeyed(shape(store.database)) == _unkeyed(by_scripts)


def _unkeyed(lines: list[str]) -> list[str]:
    """Alembic gives its own table a primary key, which does not matter for a table of one row."""
    return [line for line in lines if schema.VERSIONS not in line and "version_num" not in line]


def test_an_older_journal_becomes_one_of_today_and_keeps_everything(
    store: Store, empty_database_url: str
) -> None:
    migrate(empty_database_url, "1.0001")
    with pytest.raises(
        JournalError, match=rf"are 1\.0001, this one needs {schema.HEAD}.*`voice-app serve` once"
    ):
        store.find()
    with store.database.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO calls (call_sid, from_address, to_address, direction, status, opened_at) "
            "VALUES ('CA1', '', '', '', 'completed', 101.0)"
        )
        connection.exec_driver_sql(
            "INSERT INTO events (id, call_id, at, kind, data) SELECT '0002', id, 102.0, 'prompt', "
            """'{"kind":"prompt","text":"Hi"}' FROM calls"""
        )
    store.create()
    store.append([Entry("0009", 109.0, "CA1", Prompted("Ho"), "key")])
    store.find()
    assert store.events("CA1") == [OLD_ENTRIES[1], Entry("0009", 109.0, "CA1", Prompted("Ho"), "key")]


def test_a_journal_from_before_there_were_versions_is_taken_over(old_url: str) -> None:
    store = Store(old_url)
    with pytest.raises(JournalError, match="`voice-app serve` once"):
        store.find()
    store.create()
    store.find()
    assert store.events("CA1") == OLD_ENTRIES
    store.append([Entry("0004", 104.0, "CA1", Prompted("Ho"), "key")])
    assert len(store.events("CA1")) == 4
    call = store.call("CA1")
    assert call is not None
    assert (call.from_, call.status, call.closed_at) == ("+15550100001", "completed", 103.0)
    store.close()


def test_a_program_works_with_the_tables_of_a_newer_one_of_its_generation(store: Store) -> None:
    store.create()
    with store.database.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE calls ADD COLUMN mood TEXT")
    set_revision(store, "1.9999")
    store.create()
    store.find()
    store.append(OLD_ENTRIES)
    assert store.events("CA1") == OLD_ENTRIES


@pytest.mark.parametrize("revision", ["2.0001", "10.0001", "ae1027a6acf"])
def test_a_program_refuses_the_tables_of_another_generation(store: Store, revision: str) -> None:
    store.create()
    set_revision(store, revision)
    before = shape(store.database)
    for open_ in (store.create, store.find):
        with pytest.raises(
            JournalError, match=rf"newer version.*are {revision}, this one.*Upgrade voice-app"
        ):
            open_()
    assert shape(store.database) == before


def test_the_tables_of_another_program_are_left_alone(store: Store) -> None:
    with store.database.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE events (id INTEGER, title TEXT)")
    before = shape(store.database)
    for open_ in (store.create, store.find):
        with pytest.raises(JournalError, match="not a journal: it has a table 'events' of another kind"):
            open_()
    assert shape(store.database) == before


def test_other_tables_in_the_database_do_not_matter(store: Store) -> None:
    with store.database.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num TEXT)")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('ae1027a6acf')")
    with pytest.raises(JournalError, match=r"not a journal.*no table 'calls'"):
        store.find()
    store.create()
    store.find()


def test_to_find_a_journal_makes_none(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"no journal at .*absent\.db"):
        Store(f"sqlite:///{tmp_path}/absent.db").find()
    assert list(tmp_path.iterdir()) == []


def test_many_may_open_a_new_database_at_once(empty_database_url: str) -> None:
    open_at_once([empty_database_url] * 4)


def test_many_may_bring_one_database_up_to_date_at_once(empty_database_url: str) -> None:
    migrate(empty_database_url, "1.0001")
    open_at_once([empty_database_url] * 4)


def test_many_may_bring_different_databases_up_to_date_at_once(postgres: Postgres) -> None:
    urls = [postgres.create() for _ in range(4)]
    for url in urls:
        migrate(url, "1.0001")
    open_at_once(urls)


def open_at_once(urls: list[str]) -> None:
    stores = [Store(url) for url in urls]
    with ThreadPoolExecutor(len(stores)) as threads:
        for opened in [threads.submit(store.create) for store in stores]:
            opened.result()
    for store in stores:
        store.find()
        with store.database.engine.connect() as connection:
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {schema.VERSIONS}").scalar_one() == 1
            assert "key" in {column["name"] for column in inspect(connection).get_columns("events")}
        store.close()


async def test_processes_that_start_together_on_an_old_journal_all_start(
    empty_database_url: str, old_url: str
) -> None:
    create = "import sys; from voice_app.journal.store import Store; Store(sys.argv[1]).create()"
    url = old_url if empty_database_url.startswith("sqlite") else empty_database_url
    if url != old_url:
        migrate(url, "1.0001")
    together = [await program(create, url) for _ in range(2)]
    assert await asyncio.gather(*(process.communicate() for process in together)) == [(b"", b"")] * 2
    assert [process.returncode for process in together] == [0, 0]
    store = Store(url)
    store.find()
    store.close()


def found(store: Store, **wanted: Any) -> list[str]:
    return [call.call_sid for call in store.select(Selection(**wanted), 10)]


def test_what_was_there_before_the_index_is_found_too(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "old.db") as connection:
        connection.executescript(OLD)
        connection.execute(
            "INSERT INTO events VALUES ('0004', 7, 103.0, 'reply', ?), ('0005', 7, 104.0, 'reply', ?)",
            (
                '{"kind":"reply","text":"half","reply":1}',
                '{"kind":"reply","text":"Whole.","done":true,"reply":1}',
            ),
        )
        connection.execute(
            "INSERT INTO events VALUES ('0006', 7, 103.0, 'handoff', ?)",
            ('{"kind":"handoff","step":"requested","reason":"angry"}',),
        )
    connection.close()
    store = Store(f"sqlite:///{tmp_path}/old.db")
    store.create()
    assert found(store, said="hi") == found(store, said="whole") == ["CA1"]
    assert found(store, said="half") == []
    for label in ("address:+15550100001", "flag:handoff", "reason:angry"):
        assert found(store, labels=frozenset({label})) == ["CA1"]
    store.close()


def test_the_same_on_postgresql(empty_postgres_url: str) -> None:
    store = Store(empty_postgres_url)
    with store.database.begin() as connection:
        command.upgrade(scripts(connection), "1.0002")
        for statement in (
            "INSERT INTO calls VALUES (7, 'CA1', '+15550100001', '', 'inbound', 'completed', 101.0, 103.0)",
            """INSERT INTO events VALUES ('0002', 7, 102.0, 'prompt', '{"kind":"prompt","text":"Hi"}')""",
            r"""INSERT INTO events VALUES ('0003', 7, 102.0, 'prompt', '{"text":"\u0000"}')""",
            """INSERT INTO events VALUES ('0004', 7, 103.0, 'reply',
                '{"kind":"reply","text":"half"}')""",
            """INSERT INTO events VALUES ('0006', 7, 103.0, 'handoff',
                '{"kind":"handoff","step":"requested","reason":"angry"}')""",
        ):
            connection.exec_driver_sql(statement)
    store.create()
    assert found(store, said="hi") == ["CA1"]
    assert found(store, said="half") == []
    for label in ("address:+15550100001", "flag:handoff", "reason:angry"):
        assert found(store, labels=frozenset({label})) == ["CA1"]
    store.close()
