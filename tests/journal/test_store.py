from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from voice_app.journal import Entry, JournalError
from voice_app.journal.events import Closed, Event, Opened, Prompted, Served, Unknown
from voice_app.journal.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path}/journal.db")
    store.create()
    yield store
    store.close()


def entry(number: int, event: Event | Unknown, call_sid: str = "CA1") -> Entry:
    return Entry(f"{number:04}", 100.0 + number, call_sid, event)


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
    newer = entry(1, Unknown("teleported", '{"kind":"teleported","to":"Mars"}'))
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
    newest = store.calls(2, None)
    assert [call.call_sid for call in newest] == ["CA4", "CA3"]
    assert [call.call_sid for call in store.calls(9, newest[-1].opened_at)] == ["CA2", "CA1", "CA0"]


def test_an_unknown_call_has_no_record_and_no_events(store: Store) -> None:
    assert store.call("CA404") is None
    assert store.events("CA404") == []


def test_hostile_text_is_kept_without_harm(store: Store) -> None:
    sid = "CA'); DROP TABLE calls; --\0\ud83d"
    store.append(
        [entry(1, Opened("\0\ud83d", "x" * 5000, "inbound"), sid), entry(2, Prompted("\ud83d"), sid)]
    )
    [call] = store.calls(9, None)
    assert (call.from_, call.to) == ("?", "x" * 5000)
    assert [found.event for found in store.events(sid)][1:] == [Prompted("?")]


def test_a_batch_that_fails_leaves_nothing_behind(store: Store, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "journal.db") as other:
        other.execute("ALTER TABLE events RENAME TO elsewhere")
    with pytest.raises(JournalError, match="no such table: events"):
        store.append([entry(1, INBOUND)])
    assert other.execute("SELECT count(*) FROM calls").fetchone() == (0,)
    with other:
        other.execute("ALTER TABLE elsewhere RENAME TO events")
    store.append([entry(1, INBOUND)])
    other.close()
    assert store.events("CA1") == [entry(1, INBOUND)]


def test_the_database_keeps_a_write_ahead_log(store: Store, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "journal.db")
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()


def test_a_database_in_memory_works() -> None:
    store = Store("sqlite://")
    store.create()
    store.append([entry(1, INBOUND)])
    assert store.events("CA1") == [entry(1, INBOUND)]
    store.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("voice-app.db", "cannot be understood.*sqlite:///"),
        ("sqlite+aiosqlite:///x.db", "only in SQLite"),
        ("mysql://root:secret@db/calls", "'mysql': only in SQLite"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_with_the_form_that_can(url: str, message: str) -> None:
    with pytest.raises(JournalError, match=message) as caught:
        Store(url)
    assert "secret" not in str(caught.value)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"no/such/folder/x\.db.*unable to open.*folder exists"):
        Store(f"sqlite:///{tmp_path}/no/such/folder/x.db").create()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Buy milk. " * 100)
    with pytest.raises(JournalError, match="not a database"):
        Store(f"sqlite:///{tmp_path}/notes.txt").create()


def test_to_find_a_journal_makes_none(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"no journal at .*absent\.db"):
        Store(f"sqlite:///{tmp_path}/absent.db").find()
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_something_else_is_no_journal(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "shop.db")
    other.execute("CREATE TABLE orders (id INTEGER)")
    other.close()
    store = Store(f"sqlite:///{tmp_path}/shop.db")
    with pytest.raises(JournalError, match="not a journal"):
        store.find()
    store.close()
