from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import exc

from support.postgres import Postgres
from voice_app.journal import Entry, JournalError
from voice_app.journal import postgresql as postgresql_module
from voice_app.journal.events import Prompted
from voice_app.journal.postgresql import PostgreSQL
from voice_app.journal.store import Store, database


@pytest.fixture
def store(empty_postgres_url: str) -> Iterator[Store]:
    store = Store(empty_postgres_url)
    store.create()
    yield store
    store.close()


def entry(number: int) -> Entry:
    return Entry(f"{number:04}", 1.0, "CA1", Prompted(str(number)))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("voice-app.db", "cannot be understood.*sqlite:///.*postgresql://"),
        ("/var/lib/voice:app.db", r"cannot be understood"),
        ("sqlite+aiosqlite:///x.db", r"'sqlite\+aiosqlite': only in SQLite or PostgreSQL, with the drivers"),
        ("postgresql+asyncpg://root:secret@db/calls", r"'postgresql\+asyncpg': only in SQLite or PostgreSQL"),
        ("mysql://root:secret@db/calls", "'mysql': only in SQLite or PostgreSQL"),
        ("postgresql://root:secret%zz@db/calls", "cannot be understood.*as in %40"),
        ("postgresql://root:secret@db/calls?pasword=secret", "cannot be understood"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_with_the_form_that_can(url: str, message: str) -> None:
    with pytest.raises(JournalError, match=message) as caught:
        Store(url)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("sqlite:///voice-app.db", "sqlite:///voice-app.db"),
        ("postgresql://root:secret@db/calls", "postgresql://root@db/calls"),
        ("postgres://root:sec%40ret@db:6543/calls?sslmode=require", "postgresql://root@db:6543/calls"),
        ("postgresql+psycopg://db/calls?user=root&password=secret", "postgresql://root@db/calls"),
        ("postgresql://a:1,b:2/calls?target_session_attrs=any", "postgresql://a:1,b:2/calls"),
        ("postgresql://a,b/calls?port=5433", "postgresql://a,b:5433/calls"),
        ("postgresql:///calls?host=/run/postgresql", "postgresql:///calls?host=/run/postgresql"),
        ("postgresql://root:@/calls?host=/x", "postgresql://root@/calls?host=/x"),
        ("postgresql://?service=calls", "postgresql:///?service=calls"),
        ("postgresql://", "postgresql:///"),
    ],
)
def test_a_database_is_named_without_its_password(url: str, name: str) -> None:
    found = database(url)
    assert found.name == name
    assert found.shared == url.startswith("postgres")


def test_the_url_says_more_than_the_defaults(postgres: Postgres) -> None:
    url = f"{postgres.url()}&application_name=calls&options=-c%20lock_timeout%3D10ms"
    found = database(url)
    assert isinstance(found, PostgreSQL)
    with found.connect() as connection:
        limits = ("application_name", "lock_timeout", "statement_timeout")
        settings = [connection.execute(f"SHOW {name}".encode()).fetchone() for name in limits]
    assert settings == [("calls",), ("10ms",), ("5s",)]


def test_a_service_file_may_name_the_database(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = psycopg.conninfo.conninfo_to_dict(postgres.create())
    (tmp_path / "services").write_text(
        "[calls]\n" + "".join(f"{name}={value}\n" for name, value in parameters.items())
    )
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    store = Store("postgresql://?service=calls")
    store.create()
    store.append([entry(1)])
    assert store.events("CA1") == [entry(1)]
    store.close()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"no/such/folder/x\.db.*unable to open.*folder exists"):
        Store(f"sqlite:///{tmp_path}/no/such/folder/x.db").create()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Buy milk. " * 100)
    with pytest.raises(JournalError, match="not a database"):
        Store(f"sqlite:///{tmp_path}/notes.txt").create()


def test_a_database_that_does_not_exist_is_named(postgres: Postgres) -> None:
    with pytest.raises(
        JournalError, match=r'absent.*database "absent" does not exist\. Check VOICE_APP_DATA'
    ):
        Store(postgres.url("absent")).create()


def test_a_server_that_is_down_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"No such file or directory.*that PostgreSQL runs and lets this"):
        Store(f"postgresql:///calls?host={tmp_path}").create()


def test_after_a_restart_the_database_is_used_again_by_itself(postgres: Postgres, store: Store) -> None:
    store.append([entry(1)])
    with postgres.down():
        with pytest.raises(JournalError, match="Cannot write the journal at postgresql://"):
            store.append([entry(2)])
        with pytest.raises(JournalError, match="Cannot read the journal at postgresql://"):
            store.events("CA1")
    assert store.events("CA1") == [entry(1)]
    store.append([entry(2)])
    assert store.events("CA1") == [entry(1), entry(2)]


def test_the_first_to_come_after_a_restart_that_nobody_noticed_succeeds(
    postgres: Postgres, store: Store
) -> None:
    store.append([entry(1)])
    with postgres.down():
        pass
    store.append([entry(2)])
    assert store.events("CA1") == [entry(1), entry(2)]


def test_a_database_that_hangs_is_an_outage_and_not_a_hang(
    postgres: Postgres, empty_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(f"{empty_postgres_url}&connect_timeout=1")
    store.create()
    monkeypatch.setattr(postgresql_module._Connection, "answer_s", 0.2)
    with store.database.reading() as connection:
        with postgres.frozen():
            with pytest.raises(exc.OperationalError, match="has not answered for"):
                connection.exec_driver_sql("SELECT 1")
            with pytest.raises(JournalError, match="connection timeout expired"):
                store.append([entry(1)])
        assert connection.invalidated
    monkeypatch.undo()
    store.append([entry(1)])
    assert store.events("CA1") == [entry(1)]
    store.close()


def test_a_lock_that_somebody_keeps_is_an_outage_and_not_a_hang(empty_postgres_url: str) -> None:
    store = Store(f"{empty_postgres_url}&options=-c%20lock_timeout%3D10ms")
    store.create()
    with psycopg.connect(empty_postgres_url) as elsewhere:
        elsewhere.execute("LOCK TABLE events")
        with pytest.raises(JournalError, match="due to lock timeout"):
            store.append([entry(1)])
    store.append([entry(2)])
    assert store.events("CA1") == [entry(2)]
    store.close()


def test_a_connection_to_a_machine_that_has_become_a_standby_is_given_up(
    postgres: Postgres, empty_postgres_url: str, store: Store
) -> None:
    store.append([entry(1)])
    name = psycopg.conninfo.conninfo_to_dict(empty_postgres_url)["dbname"]
    with store.database.reading() as connection:
        connection.exec_driver_sql("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    with pytest.raises(JournalError, match="read-only transaction"):
        store.append([entry(2)])
    store.append([entry(2)])
    assert postgres.execute(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'") == [(1,)]


def test_errors_tell_nothing_of_what_was_given(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    with store.database.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE calls ADD CHECK (from_address = '')")
    opened = Entry("0001", 1.0, "CA1", Prompted("my card is 4111"))
    store.append([opened])
    with pytest.raises(exc.IntegrityError) as caught, store.database.begin() as connection:
        connection.exec_driver_sql("UPDATE calls SET from_address = %s", ("+15550100001",))
    assert "parameters hidden" in str(caught.value)


def test_a_transaction_that_meets_another_one_is_run_again(empty_postgres_url: str, store: Store) -> None:
    store.append([Entry(f"000{number}", 1.0, f"CA{number}", Prompted("")) for number in (1, 2)])
    elsewhere = Store(empty_postgres_url)
    both = threading.Barrier(2)
    runs: list[str] = []

    def lock(who: Store, *names: str) -> None:
        def work(connection: Any) -> None:
            runs.append(names[0])
            for place, name in enumerate(names):
                connection.exec_driver_sql("UPDATE calls SET status = 'x' WHERE call_sid = %s", (name,))
                if place == 0 and len(runs) <= 2:
                    both.wait(30)

        who.database.write(work)

    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(lock, store, "CA1", "CA2"), threads.submit(lock, elsewhere, "CA2", "CA1")]
        for one in waiting:
            one.result()
    elsewhere.close()
    assert len(runs) > 2


def test_on_sqlite_a_transaction_that_will_write_has_the_lock_from_its_beginning(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/journal.db?timeout=0.01")
    store.create()
    with store.database.begin():
        other = sqlite3.connect(tmp_path / "journal.db", timeout=0.01)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("DELETE FROM calls")
        assert other.execute("SELECT count(*) FROM calls").fetchone() == (0,)
        other.close()
        with pytest.raises(JournalError, match="locked"):
            store.append([entry(1)])
    store.append([entry(1)])
    store.close()


def test_on_sqlite_what_changes_or_erases_much_waits_its_turn(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/journal.db?timeout=0.01")
    store.create()
    store.append([entry(1)])
    other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(store.purge, 2.0)
        with pytest.raises(JournalError, match="locked"):
            store.append([entry(2)])
        assert not waiting.done()
        other.execute("ROLLBACK")
        assert waiting.result() == 1
    with store.database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 10
    other.close()
    store.close()


def test_a_journal_on_sqlite_needs_neither_psycopg_nor_alembic(tmp_path: Path) -> None:
    program = """
import sys
from voice_app.journal.store import Store
from voice_app.journal.event_feed import EventFeed
store = Store(sys.argv[1])
store.create()
store.close()
print(sorted({"psycopg", "alembic"} & set(sys.modules)))
"""
    url = f"sqlite:///{tmp_path}/journal.db"
    run = subprocess.run([sys.executable, "-c", program, url], check=True, capture_output=True, text=True)
    assert run.stdout == "[]\n"


def test_the_extra_with_the_driver_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "voice_app.journal.postgresql")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(JournalError, match=r"needs: pip install 'voice-app\[postgres\]'"):
        database("postgresql://localhost/voice")
