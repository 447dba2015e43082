"""What other servers have written, as PostgreSQL tells it: ``LISTEN`` on a connection with its own thread."""

from __future__ import annotations

import logging
import os
import selectors
import threading
from collections.abc import Callable
from typing import Any, Final

import msgspec
import psycopg

from voice_app.journal.database import OnNotice

log = logging.getLogger(__name__)

_BACKOFF_SECONDS: Final = (0.1, 5.0)
"""The first and the longest pause before a lost connection is made again."""


class _Notice(msgspec.Struct):
    server_id: str = msgspec.field(name="from")
    ids: list[str]


_decode: Final = msgspec.json.Decoder(_Notice).decode


class Notifications:
    """Listens to what is written to the journal, by any server, from now on.

    Args:
        connect: opens a connection of its own to the database.
        on_notice: called in this thread; see ``Database.listen``.
        on_connected: called in this thread each time that it begins to listen.
        channel: where servers tell one another.
    """

    def __init__(
        self,
        connect: Callable[[], psycopg.Connection[Any]],
        on_notice: OnNotice,
        on_connected: Callable[[], None],
        channel: str,
    ) -> None:
        self._connect = connect
        self._on_notice = on_notice
        self._on_connected = on_connected
        self._channel = channel
        self._ended = threading.Event()
        self._wake, self._alarm = os.pipe()
        self._thread = threading.Thread(target=self._run, name="journal-notices", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and wait until the thread has ended. To close twice is harmless."""
        if self._ended.is_set():
            return
        self._ended.set()
        os.write(self._alarm, b"!")
        self._thread.join()
        os.close(self._alarm)
        os.close(self._wake)

    def _run(self) -> None:
        shortest, longest = _BACKOFF_SECONDS
        pause = shortest
        while not self._ended.is_set():
            try:
                with self._connect() as connection:
                    self._subscribe(connection)
                    pause = shortest
                    self._listen(connection)
            except psycopg.Error as error:
                log.info("journal: does not hear of other servers: %s", " ".join(str(error).split()))
                self._ended.wait(pause)
                pause = min(pause * 2, longest)

    def _subscribe(self, connection: psycopg.Connection[Any]) -> None:
        connection.autocommit = True
        connection.execute(f"LISTEN {self._channel}".encode())
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
            log.warning("journal: a notice on %s is not ours (%d characters)", self._channel, len(payload))
            return
        self._on_notice(notice.server_id, notice.ids)
