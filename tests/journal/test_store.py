from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import uuid_utils
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_app.journal import Entry, Journal, JournalError
from voice_app.journal.entries import Server, ServerLoad
from voice_app.journal.events import Closed, Event, Opened, Prompted, Served, UnknownEvent
from voice_app.journal.store import Store
from voice_app.journal.tables import EVERY, Selection


@pytest.fixture
def other(database_url: str, store: Store) -> Iterator[Store]:
    """Another process on the same database."""
    other = Store(database_url)
    other.create()
    yield other
    other.close()


def entry(number: int, event: Event | UnknownEvent, call_sid: str = "CA1", *, key: str = "") -> Entry:
    return Entry(f"{number:04}", 100.0 + number, call_sid, event, key)


def execute(store: Store, statement: str) -> None:
    with store.database.begin() as connection:
        connection.exec_driver_sql(statement)


INBOUND = Opened("+15550100001", "+15550100002", "inbound")


def test_events_read_back_in_the_order_of_their_ids(store: Store) -> None:
    written = [entry(number, Prompted(str(number))) for number in range(200)]
    store.append(written[100:])
    store.append(written[:100])
    assert store.events("CA1") == written


def test_an_entry_that_is_there_already_is_left_alone(store: Store) -> None:
    store.append([entry(1, Prompted("first"))])
    store.append([entry(1, Prompted("again")), entry(2, Prompted("second"))])
    assert store.events("CA1") == [entry(1, Prompted("first")), entry(2, Prompted("second"))]


def test_an_event_of_a_newer_version_can_be_kept_and_read(store: Store) -> None:
    newer = entry(1, UnknownEvent("teleported", '{"kind":"teleported","to":"Mars"}'))
    store.append([newer])
    assert store.events("CA1") == [newer]


def test_a_call_is_what_its_events_tell(store: Store) -> None:
    store.append([entry(1, INBOUND), entry(2, Prompted("Hi")), entry(5, Closed("completed", 4.0))])
    call = store.call("CA1")
    assert call is not None
    assert (call.from_, call.to, call.direction) == ("+15550100001", "+15550100002", "inbound")
    assert (call.status, call.opened_at, call.closed_at, call.last_at) == ("completed", 101.0, 105.0, 105.0)


def test_a_call_that_is_opened_again_keeps_what_is_known(store: Store) -> None:
    store.append([entry(1, INBOUND), entry(2, Closed("completed"))])
    store.append([entry(3, Opened("+15550199999", "", "outbound"))])
    call = store.call("CA1")
    assert call is not None
    assert (call.from_, call.direction, call.status) == ("+15550100001", "inbound", "completed")
    assert (call.opened_at, call.closed_at, call.last_at) == (101.0, 102.0, 103.0)


def test_a_call_that_is_closed_before_it_is_opened_is_complete_in_the_end(store: Store) -> None:
    store.append([entry(1, Closed("completed"))])
    store.append([entry(2, INBOUND)])
    call = store.call("CA1")
    assert call is not None
    assert (call.from_, call.status, call.opened_at, call.closed_at) == (
        "+15550100001",
        "completed",
        101.0,
        101.0,
    )


def test_a_call_that_nobody_opened_is_a_call(store: Store) -> None:
    store.append([entry(1, Served("resume.xml", "session failed"))])
    call = store.call("CA1")
    assert call is not None
    assert (call.from_, call.status, call.opened_at) == ("", "in-progress", 101.0)


def test_events_written_out_of_order_move_the_opening_back(store: Store) -> None:
    store.append([entry(9, Prompted("late"))])
    store.append([entry(2, INBOUND)])
    call = store.call("CA1")
    assert call is not None
    assert (call.opened_at, call.last_at) == (102.0, 109.0)


def test_calls_come_newest_first_and_page_by_page(store: Store) -> None:
    store.append([entry(number, INBOUND, f"CA{number}") for number in range(5)])
    newest = store.select(EVERY, 2)
    assert [call.call_sid for call in newest] == ["CA4", "CA3"]
    rest = store.select(Selection(until=newest[-1].opened_at), 9)
    assert [call.call_sid for call in rest] == ["CA2", "CA1", "CA0"]


def test_an_unknown_call_has_no_record_and_no_events(store: Store) -> None:
    assert store.call("CA404") is None
    assert store.events("CA404") == []


def test_hostile_text_is_kept_without_harm(store: Store) -> None:
    sid = "CA'); DROP TABLE calls; --\0\ud83d"
    store.append(
        [entry(1, Opened("\0\ud83d", "x" * 5000, "inbound"), sid), entry(2, Prompted("\ud83d"), sid)]
    )
    [call] = store.select(EVERY, 9)
    assert (call.from_, call.to) == ("?", "x" * 5000)
    assert [found.event for found in store.events(sid)][1:] == [Prompted("?")]


def test_a_batch_that_fails_leaves_nothing_behind(store: Store, other: Store) -> None:
    execute(other, "ALTER TABLE events RENAME TO elsewhere")
    with pytest.raises(JournalError, match=r'no such table: events|relation "events" does not exist'):
        store.append([entry(1, INBOUND)])
    execute(other, "ALTER TABLE elsewhere RENAME TO events")
    assert store.call("CA1") is None
    store.append([entry(1, INBOUND)])
    assert store.events("CA1") == [entry(1, INBOUND)]


def test_of_entries_with_one_key_the_first_is_kept_whoever_wrote_it(store: Store, other: Store) -> None:
    first, again, later = (
        entry(number, Prompted(text), key="notice 1")
        for number, text in enumerate(("first", "again", "later"), 1)
    )
    store.append([first, again, entry(4, Prompted("no key")), entry(5, Prompted("nor this"))])
    other.append([later, entry(6, Prompted("after"))])
    assert [found.id for found in store.events("CA1")] == ["0001", "0004", "0005", "0006"]
    assert store.events("CA1")[0] == first


def test_ids_are_compared_byte_by_byte(store: Store) -> None:
    ids = ["01-Z", "01-a", "01_A", "02", "0a", "A1", "a0"]
    store.append([Entry(id_, 1.0, "CA1", Prompted(id_)) for id_ in reversed(ids)])
    assert [found.id for found in store.events("CA1")] == ids == sorted(ids)
    assert [found.id for found in store.since("02", 3)] == ["0a", "A1", "a0"]


def test_entries_are_found_by_their_ids(store: Store) -> None:
    store.append([entry(1, INBOUND), entry(2, Prompted("Hi"), "CA2"), entry(3, Prompted("Ho"), key="k")])
    found = store.entries(["0003", "0002", "absent"])
    assert found == [entry(2, Prompted("Hi"), "CA2"), entry(3, Prompted("Ho"), key="k")]
    assert store.entries([]) == []


def test_thousands_of_entries_of_hundreds_of_calls_go_in_at_once(store: Store) -> None:
    written = [entry(number, Prompted(str(number)), f"CA{number % 300}") for number in range(3000)]
    store.append(written)
    assert len(store.select(EVERY, 1000)) == 300
    assert store.events("CA7") == written[7::300]


def test_two_writers_that_take_the_same_calls_in_different_order_both_succeed(
    store: Store, other: Store
) -> None:
    def write(writer: Store, names: list[str], start: int) -> None:
        for round_ in range(20):
            writer.append(
                [
                    Entry(f"{start}-{round_:03}-{place:03}", 1.0, name, INBOUND, key=f"{round_} {name}")
                    for place, name in enumerate(names)
                ]
            )

    names = [f"CA{number:02}" for number in range(40)]
    with ThreadPoolExecutor(2) as threads:
        writers = [
            threads.submit(write, store, names, 1),
            threads.submit(write, other, names[::-1], 2),
        ]
        for writer in writers:
            writer.result()
    assert [len(store.events(name)) for name in names] == [20] * 40


def test_several_threads_may_read_while_one_writes(store: Store) -> None:
    def read() -> list[int]:
        return [len(store.events("CA1")) for _ in range(50)]

    with ThreadPoolExecutor(3) as threads:
        readers = [threads.submit(read) for _ in range(2)]
        for number in range(50):
            store.append([entry(number, Prompted("more"))])
        counts = [reader.result() for reader in readers]
    assert all(found == sorted(found) for found in counts)
    assert len(store.events("CA1")) == 50


@settings(max_examples=50)
@given(sid=st.text(), text=st.text(), key=st.text(), data=st.text())
def test_any_text_at_all_can_be_kept(store: Store, sid: str, text: str, key: str, data: str) -> None:
    id_, other_id = str(uuid_utils.uuid7()), str(uuid_utils.uuid7())
    store.append(
        [
            Entry(id_, 1.0, sid, Opened(text, text, text), key),
            Entry(other_id, 2.0, sid, UnknownEvent(text, data)),
        ]
    )
    [first, *_] = store.entries([id_, other_id])
    stored = text.encode(errors="replace").decode()
    assert [found.id for found in store.events(sid)][-1] == other_id
    assert first.event == Opened(stored, stored, stored) or key


def test_servers_know_of_one_another_by_the_clock_of_the_database(store: Store, other: Store) -> None:
    store.beat("ready")
    other.beat("ready")
    load = ServerLoad(version="1.2", calls=3, max_calls=50, lag_ms=1.5)
    other.beat("draining", load)
    assert store.servers(60.0) == [Server(other.server_id, "draining", load)]
    assert other.servers(60.0) == [Server(store.server_id, "ready")]
    assert store.lost_servers(60.0) == []


def test_a_server_whose_beat_has_stopped_is_lost_until_it_is_signed_off(store: Store, other: Store) -> None:
    other.beat("ready")
    execute(other, "UPDATE servers SET beat_at = beat_at - 100")
    store.beat("ready")
    assert store.servers(60.0) == []
    assert store.lost_servers(60.0) == [other.server_id]
    store.sign_off(other.server_id)
    assert store.lost_servers(60.0) == []
    store.sign_off()
    assert other.servers(60.0) == []


def test_a_sqlite_database_keeps_a_write_ahead_log(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/journal.db")
    store.create()
    store.close()
    other = sqlite3.connect(tmp_path / "journal.db")
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()


def test_a_database_in_memory_is_the_same_for_every_thread() -> None:
    store = Store("sqlite://")
    store.create()
    with ThreadPoolExecutor(2) as threads:
        threads.submit(store.append, [entry(1, INBOUND)]).result()
        together = [threads.submit(store.events, "CA1") for _ in range(20)]
        assert [read.result() for read in together] == [[entry(1, INBOUND)]] * 20
    store.close()


async def test_the_files_of_a_database_are_their_owners_only(tmp_path: Path) -> None:
    async with Journal(f"sqlite:///{tmp_path}/voice.db") as journal:
        journal.write("CA1", Opened("+15550199999", "+15550100001", "inbound"))
        await journal.events("CA1")
        modes = {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.glob("voice.db*")}
    assert modes == {"voice.db": "0o600", "voice.db-wal": "0o600", "voice.db-shm": "0o600"}


def test_a_database_that_others_could_read_is_its_owners_only_once_it_is_opened(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "voice.db"
    former, store = Store(f"sqlite:///{path}"), Store(f"sqlite:///{path}")
    former.create()
    files = sorted(tmp_path.iterdir())
    assert len(files) == 3
    for file in files:
        file.chmod(0o644)
    store.create()
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600] * 3
    assert f"{path} was not for its owner only" in caplog.text
    store.close()
    former.close()


def test_the_files_of_another_program_keep_their_mode(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE calls (x)")
    path.chmod(0o644)
    store = Store(f"sqlite:///{path}")
    with pytest.raises(JournalError, match="not a journal"):
        store.create()
    store.close()
    assert path.stat().st_mode & 0o777 == 0o644
