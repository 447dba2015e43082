"""The thread that takes work from DBOS's queue: woken where there is work, and stopped without a wait."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dbos import DBOS, Queue

_JOIN_S: Final = 5.0
_END_S: Final = 1.0
"""How long what writes to the tables may take to end; it does at once, unless the database is away."""
_EXECUTING: Final = "dbos-executor-"
"""How the names of the threads begin in which DBOS writes."""
_TAKING: Final = "queue-worker-"
"""How the name of a thread begins that takes work from a queue, DBOS's own too."""
POLL_S: Final = 1.0
"""Between two looks at the queue, for what another server has put there."""
_FIRST_S: Final = 0.05
"""From the start to the second look. Each further one is twice as late, until the usual ones."""
_GATHER_S: Final = 0.05
"""From the news of work to the look at the queue: what comes together is taken together."""


class QueueBell(threading.Event):
    """DBOS's event to stop the thread that takes work from the queue. It can wake the thread, too.

    The thread looks often at first: what was begun before is put back into the queue beside the start.
    """

    def __init__(self) -> None:
        super().__init__()
        self._rung = threading.Event()
        self._longest_s = _FIRST_S

    def ring(self) -> None:
        """There is work in the queue."""
        self._rung.set()

    def set(self) -> None:
        super().set()
        self._rung.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the bell, or so many seconds; whether the thread is to stop."""
        timeout = POLL_S if timeout is None else timeout
        longest_s, self._longest_s = self._longest_s, min(2 * self._longest_s, timeout)
        if self._rung.wait(min(longest_s, timeout)) and not super().wait(_GATHER_S):
            self._rung.clear()
        return self.is_set()


def take_from(queue: Queue, dbos: DBOS, bell: QueueBell) -> None:
    """Start the thread that takes work from a queue: at once what there is, then whenever the bell rings."""
    from dbos._queue import queue_worker_thread

    bell.ring()
    taking = threading.Thread(
        target=queue_worker_thread, args=(bell, dbos, queue), name=f"{_TAKING}{queue.name}", daemon=True
    )
    dbos.background_thread_stop_events.append(bell)
    taking.start()


def stop_taking(dbos: DBOS) -> None:
    """End the threads that take work from queues, and leave alone the one that listens for messages.

    DBOS closes its own loop before it joins the first: what one was just taking would go to a closed loop.
    The other sleeps for up to a second, has no messages to look for, and ends by itself.
    """
    for stopping in dbos.background_thread_stop_events:
        stopping.set()
    _join(_TAKING, _JOIN_S)
    listening = "run_notification_listener"
    dbos._background_threads = [one for one in dbos._background_threads if listening not in one.name]


def wait_for_writers() -> None:
    """Wait until nothing is written to the tables any more, after DBOS was told to stop."""
    _join(_EXECUTING, _END_S)


def _join(name: str, seconds: float) -> None:
    """Wait for the threads whose names begin so, so long at most."""
    ends = time.monotonic() + seconds
    for thread in threading.enumerate():
        if thread.name.startswith(name):
            thread.join(max(0.0, ends - time.monotonic()))
