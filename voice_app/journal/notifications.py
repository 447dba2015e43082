"""What other servers have written, as PostgreSQL tells it: ``LISTEN`` on a connection with its own thread."""

from __future__ import annotations

import logging
import os
import selectors
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from voice_app.journal.database import CHANNEL, Database

if TYPE_CHECKING:
    import psycopg

_log = logging.getLogger(__name__)

_BACKOFF_S: Final = (0.1, 5.0)
"""The first and the longest pause before a lost connection is made again."""


class _Notice(msgspec.Struct):
    server_id: str = msgspec.field(name="from")
    ids: list[str]


_decode: Final = msgspec.json.Decoder(_Notice).decode


class Notifications:
    """Listens to what is written to the journal, by whatever server.

    What is written while there is no connection is not told: ``on_connected`` is the moment to look for it.

    Args:
        database: where to listen; one that is shared.
        on_notice: is given a server's id and the ids of the entries it has written. Called from a thread.
        on_connected: called from the same thread each time that it begins to listen.
    """

    def __init__(
        self,
        database: Database,
        on_notice: Callable[[str, list[str]], None],
        *,
        on_connected: Callable[[], None] | None = None,
    ) -> None:
        self._database = database
        self._on_notice = on_notice
        self._on_connected = on_connected
        self._thread = threading.Thread(target=self._run, name="journal-notices", daemon=True)
        self._ended = threading.Event()
        self._wake, self._alarm = os.pipe()

    def start(self) -> None:
        """Begin to listen. Returns at once; a database that is away is tried again and again."""
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and wait until the thread has ended. To close twice is harmless."""
        if self._ended.is_set():
            return
        self._ended.set()
        os.write(self._alarm, b"!")
        if self._thread.ident is not None:
            self._thread.join()
        os.close(self._alarm)
        os.close(self._wake)

    def _run(self) -> None:
        # Here, since a journal on SQLite has no use for them.
        import psycopg

        from voice_app.journal.postgresql import PostgreSQL

        if not isinstance(self._database, PostgreSQL):
            raise TypeError(f"{self._database.name} tells nobody anything: only PostgreSQL does")
        shortest, longest = _BACKOFF_S
        pause = shortest
        while not self._ended.is_set():
            try:
                with self._database.connect() as connection:
                    self._subscribe(connection)
                    pause = shortest
                    self._listen(connection)
            except psycopg.Error as error:
                _log.info("journal: does not hear of other servers: %s", " ".join(str(error).split()))
                self._ended.wait(pause)
                pause = min(pause * 2, longest)

    def _subscribe(self, connection: psycopg.Connection[Any]) -> None:
        connection.autocommit = True
        connection.execute(f"LISTEN {CHANNEL}".encode())
        if self._on_connected is not None:
            self._on_connected()

    def _listen(self, connection: psycopg.Connection[Any]) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake, selectors.EVENT_READ)
            selector.register(connection, selectors.EVENT_READ)
            while not self._ended.is_set():
                selector.select()
                for notify in connection.notifies(timeout=0):
                    self._tell(notify.payload)

    def _tell(self, payload: str) -> None:
        try:
            notice = _decode(payload)
        except msgspec.DecodeError:
            _log.warning("journal: a notice on %s is not ours (%d characters)", CHANNEL, len(payload))
            return
        self._on_notice(notice.server_id, notice.ids)
