from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import Queue

import pytest
import uuid_utils

from support.postgres import Postgres
from voice_app.journal import Entry
from voice_app.journal.database import CHANNEL
from voice_app.journal.events import Opened, Prompted
from voice_app.journal.store import Store

WAIT_S = 30
"""Only a test that fails waits so long."""


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    store = Store(postgres_url)
    store.create()
    yield store
    store.close()


class Ear:
    """Listens to a store, and waits until it does."""

    def __init__(self, store: Store) -> None:
        self.notices: Queue[tuple[str, list[str]]] = Queue()
        self._connected: Queue[None] = Queue()
        self.listener = store.database.listen(self.hear, self.connect)

    def hear(self, server_id: str, ids: list[str]) -> None:
        self.notices.put((server_id, ids))

    def connect(self) -> None:
        self._connected.put(None)

    def until_connected(self) -> None:
        self._connected.get(timeout=WAIT_S)


@pytest.fixture
def listen(store: Store) -> Iterator[Callable[[], Ear]]:
    ears: list[Ear] = []

    def listening() -> Ear:
        ears.append(ear := Ear(store))
        ear.until_connected()
        return ear

    yield listening
    for ear in ears:
        ear.listener.close()


def entries(number: int, call_sid: str = "CA1") -> list[Entry]:
    return [Entry(str(uuid_utils.uuid7()), 1.0, call_sid, Prompted("Hi")) for _ in range(number)]


def test_all_who_listen_hear_what_was_written_and_by_whom(
    store: Store, postgres_url: str, listen: Callable[[], Ear]
) -> None:
    one, two = listen(), listen()
    other = Store(postgres_url)
    written = entries(3)
    other.append(written)
    other.close()
    for ear in (one, two):
        server_id, ids = ear.notices.get(timeout=WAIT_S)
        assert server_id == other.server_id != store.server_id
        assert store.entries(ids) == written


def test_a_batch_of_any_size_is_told_completely(store: Store, listen: Callable[[], Ear]) -> None:
    ear = listen()
    written = entries(5000)
    store.append(written)
    told: list[str] = []
    while len(told) < 5000:
        told += ear.notices.get(timeout=WAIT_S)[1]
    assert told == [entry.id for entry in written]


def test_what_was_not_kept_is_not_told(store: Store, listen: Callable[[], Ear]) -> None:
    store.append([Entry("0001", 1.0, "CA1", Opened("+15550100001"))])
    store.forget("+15550100001")
    ear = listen()
    store.append(entries(1, "CA1"))
    after = entries(1, "CA2")
    store.append(after)
    assert ear.notices.get(timeout=WAIT_S)[1] == [after[0].id]


def test_after_an_outage_it_listens_again_and_says_so(
    postgres: Postgres, store: Store, listen: Callable[[], Ear]
) -> None:
    ear = listen()
    with postgres.down():
        pass
    ear.until_connected()
    written = entries(1)
    store.append(written)
    assert ear.notices.get(timeout=WAIT_S)[1] == [written[0].id]


def test_a_notice_of_somebody_else_does_no_harm(
    postgres: Postgres, postgres_url: str, store: Store, listen: Callable[[], Ear]
) -> None:
    ear = listen()
    for payload in ("", "hello", "{}", "[1]", '{"from": 1, "ids": ["x"]}'):
        postgres.execute(f"NOTIFY {CHANNEL}, '{payload}'", postgres_url)
    written = entries(1)
    store.append(written)
    assert ear.notices.get(timeout=WAIT_S)[1] == [written[0].id]


def test_it_ends_at_once_whether_connected_or_waiting(
    postgres: Postgres, store: Store, listen: Callable[[], Ear]
) -> None:
    ear = listen()
    ear.listener.close()
    ear.listener.close()
    with postgres.down():
        store.database.listen(ear.hear, ear.connect).close()
    assert not [thread for thread in threading.enumerate() if thread.name == "journal-notices"]
