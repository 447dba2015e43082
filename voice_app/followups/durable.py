"""Durable work: DBOS, launched beside the calls and stopped within seconds.

DBOS is one per process. Two servers in one process, as tests have them, take turns: the second waits until
the first has closed. Nothing is lost meanwhile, since what is to be done follows from the journal.

On PostgreSQL every server takes from one queue, and what a lost server had begun goes on elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.pool import ConnectionPoolEntry

if TYPE_CHECKING:
    import psycopg  # loaded where there is a PostgreSQL: most starts need no driver
    from dbos import DBOS

    from voice_app.followups.workflows import Performer

_T = TypeVar("_T")

APPLICATION: Final = "voice-app"
VERSION: Final = "1"
"""Who goes on with a workflow has to be of the version that began it. It changes with the steps only."""
_THREADS: Final = 8
_KEPT: Final = timedelta(days=3)
"""So long DBOS knows of finished work; a call is looked at for a day only."""
_BATCH: Final = 500
_TURN_S: Final = 0.2
_JOIN_S: Final = 5.0
POLL_S = 1.0
"""Between two looks of DBOS's at its queue, and for messages, of which there are none."""

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

_lease: Final = threading.Lock()
"""Who has it has this process's DBOS."""

log = logging.getLogger(__name__)


class ShutError(Exception):
    """The server stops: no connection is opened any more. DBOS waits for a database as long as it takes."""


class WorkflowTables:
    """DBOS's tables: a file beside a SQLite journal, the schema ``dbos`` in PostgreSQL. All of it blocks."""

    def __init__(self, journal_url: str) -> None:
        self._shut = False
        self._sqlite = journal_url.startswith("sqlite")
        self._file: Path | None = None
        self._spare: TemporaryDirectory[str] | None = None
        """The folder of the tables of a journal that is in memory."""
        if not self._sqlite:
            self._conninfo = journal_url.replace("postgresql+psycopg:", "postgresql:", 1)
        elif (path := make_url(journal_url).database) not in (None, "", ":memory:"):
            self._file = Path(path or "").with_suffix(".followups.db")

    def exist(self) -> bool:
        """Whether there are any, so that work may have been begun. A database that cannot be asked: maybe."""
        if self._sqlite:
            return self._file is not None and self._file.is_file()
        import psycopg

        try:
            with self._connection() as connection:
                found = connection.execute(_EXISTS).fetchone()
        except psycopg.Error:
            return True
        return found is not None and bool(found[0])

    def engine(self) -> Engine:
        """Connections as DBOS needs them."""
        self._shut = False
        if self._sqlite:
            if self._file is None:
                self._spare = TemporaryDirectory(prefix="voice-app-")
                self._file = Path(self._spare.name) / "followups.db"
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

    def forget(self) -> None:
        """Delete what is nobody's any more: the tables of a journal that was in memory."""
        if self._spare is not None:
            self._spare.cleanup()
            self._spare = self._file = None

    def _connection(self) -> psycopg.Connection[Any]:
        import psycopg

        if self._shut:
            raise ShutError
        try:
            return psycopg.connect(self._conninfo, **_PARAMETERS)
        except psycopg.OperationalError as error:
            # DBOS waits for a database that is away if it can tell: by the code, which libpq leaves out here.
            raise psycopg.errors.SqlclientUnableToEstablishSqlconnection(str(error)) from None


@dataclass(frozen=True, slots=True)
class Begun:
    """Work that was begun, is not done, and that this process does not work on."""

    id: str
    server_id: str
    """Who began it."""
    failed: bool
    """DBOS has given it up, for a database in trouble as a rule: what our tasks cannot do ends otherwise."""


class Durable:
    """The durable work of one server."""

    def __init__(self, tables: WorkflowTables, server_id: str, performer: Performer) -> None:
        """``server_id`` names this process among its peers."""
        self._tables = tables
        self._server_id = server_id
        self._performer = performer
        self._engine: Engine | None = None
        self._dbos: DBOS | None = None
        self._open = False

    def was_used(self) -> bool:
        """Whether something may have been begun before. Blocks."""
        return self._tables.exist()

    async def open(self) -> None:
        """Take DBOS and launch it. What was begun before goes on. Raises whatever DBOS raises."""
        while not _lease.acquire(blocking=False):  # noqa: ASYNC110 - who has it may be in another thread
            await asyncio.sleep(_TURN_S)
        launching = asyncio.create_task(asyncio.to_thread(self._launch, asyncio.get_running_loop()))
        try:
            await asyncio.shield(launching)
            self._open = True
        finally:
            if not self._open:  # a thread cannot be cancelled: what it launches is taken down again
                await asyncio.wait([launching])
                await asyncio.to_thread(self._destroy)
                _lease.release()

    async def close(self) -> None:
        """Stop. What is under way stops where it is, and goes on after the next start."""
        if self._open:
            self._open = False
            try:
                await asyncio.to_thread(self._destroy)
            finally:
                _lease.release()

    async def follow_up(self, call_sid: str, pause_s: float) -> None:
        """Do what is to be done after a call, ``pause_s`` seconds from now. Once, however often asked."""
        from voice_app.followups import workflows

        await self._enqueue(workflows.call_id(call_sid), workflows.follow_up, call_sid, pause_s)

    async def perform(self, call_sid: str, name: str) -> None:
        """Do one task. Once, however often it is asked."""
        from voice_app.followups import workflows

        task = workflows.task_id(name, call_sid)
        await self._enqueue(task, workflows.perform, call_sid, name, time.time())

    async def begun(self) -> list[Begun]:
        """What was begun, by whatever server, and is not done."""
        from dbos import DBOS

        from voice_app.followups.workflows import host

        since = (datetime.now(UTC) - _KEPT).isoformat()
        found = await self._ask(
            partial(DBOS.list_workflows, status=["PENDING", "ERROR"], start_time=since, load_output=False)
        )
        return [
            Begun(item.workflow_id, item.executor_id or "", item.status == "ERROR")
            for item in found
            if item.workflow_id not in host.running
        ]

    async def go_on(self, begun: Begun) -> None:
        """Go on with something that nobody works on. Of several servers that try it one succeeds."""
        from dbos import DBOS

        if begun.failed:
            await self._ask(partial(self._renew, begun.id))
        elif begun.server_id == self._server_id:
            await self._ask(partial(DBOS.resume_workflow, begun.id))
        else:
            await self._ask(partial(DBOS._recover_pending_workflows, [begun.server_id]))

    def _renew(self, workflow_id: str) -> None:
        """Begin anew what DBOS has given up. Tasks look at what is done, so no step of them is repeated."""
        from dbos import DBOS

        from voice_app.followups import workflows

        for item in DBOS.list_workflows(workflow_ids=[workflow_id], status="ERROR"):
            arguments = item.input["args"] if item.input else ()
            DBOS.delete_workflow(workflow_id)
            self._enqueue_now(workflow_id, workflows.BY_NAME[item.name], *arguments)

    async def prune(self) -> None:
        """Let DBOS forget what was done days ago."""
        from dbos import DBOS

        before = (datetime.now(UTC) - _KEPT).isoformat()
        done = partial(
            DBOS.list_workflows,
            status=["SUCCESS", "ERROR"],
            end_time=before,
            limit=_BATCH,
            load_input=False,
            load_output=False,
        )
        while found := [status.workflow_id for status in await self._ask(done)]:
            await self._ask(partial(DBOS.delete_workflows, found))

    async def _enqueue(self, workflow_id: str, workflow: Callable[..., Any], *arguments: Any) -> None:
        await self._ask(partial(self._enqueue_now, workflow_id, workflow, *arguments))

    def _enqueue_now(self, workflow_id: str, workflow: Callable[..., Any], *arguments: Any) -> None:
        from dbos import DBOS, SetWorkflowID

        from voice_app.followups.workflows import QUEUE

        with SetWorkflowID(workflow_id):
            DBOS.enqueue_workflow(QUEUE, workflow, *arguments)

    async def _ask(self, question: Callable[[], _T]) -> _T:
        """DBOS's own calls wait for its database, so they are made in a thread."""
        return await asyncio.to_thread(question)

    def _destroy(self) -> None:
        from dbos import DBOS

        self._tables.shut()
        if self._dbos is not None:
            _take_no_more(self._dbos)
        DBOS.destroy()
        if self._engine is not None:
            self._engine.dispose()
        self._tables.forget()

    def _launch(self, loop: asyncio.AbstractEventLoop) -> None:
        _tame_the_log()
        from dbos import DBOS

        from voice_app.followups.workflows import QUEUE, host

        host.performer, host.loop = self._performer, loop
        host.running.clear()
        self._engine = self._tables.engine()
        self._dbos = DBOS(
            config={
                "name": APPLICATION,
                "application_version": VERSION,
                "executor_id": self._server_id,
                "system_database_engine": self._engine,
                "notification_listener_polling_interval_sec": POLL_S,
                "use_listen_notify": False,  # nothing waits for messages: it would wake up 100 times a second
                "max_executor_threads": _THREADS,
                "log_level": "ERROR",
            }
        )
        DBOS.launch()
        DBOS.register_queue(QUEUE, polling_interval_sec=POLL_S, on_conflict="always_update")


def _take_no_more(dbos: DBOS) -> None:
    """End the threads that take work from the queue.

    DBOS closes its own loop before it joins them: what one was just taking would go to a closed loop.
    """
    for stopping in dbos.background_thread_stop_events:
        stopping.set()
    for thread in threading.enumerate():
        if thread.name.startswith("queue-worker-"):
            thread.join(_JOIN_S)


def _prepare(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = "IMMEDIATE"
    connection.execute("PRAGMA busy_timeout = 30000")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_mode = WAL")  # who reads never waits for who writes


def _tame_the_log() -> None:
    """DBOS's log is a part of ours: no handler of its own, and one line where it would print a traceback."""
    logger = logging.getLogger("dbos")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
        logger.addFilter(_one_line)


def _one_line(record: logging.LogRecord) -> bool:
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        record.msg, record.args = f"{record.getMessage()} {type(error).__name__}: {error}", None
        record.exc_info = None
    return True
