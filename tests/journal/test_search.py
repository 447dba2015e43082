"""What calls are found by, on both databases: labels, and words that were said."""

from __future__ import annotations

import ast
import inspect
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import uuid_utils
from sqlalchemy import text

from voice_app.journal import CallRecord, Entry, Selection
from voice_app.journal.events import Acted, Closed, Event, Heard, Opened, Prompted, Replied, Voicemail
from voice_app.journal.search import LABELLED, labels_of, words_of
from voice_app.journal.store import Store

ANN, BOB, OURS = "+15550100001", "client:bob", "+15550100009"
SORRY, OVER = Replied(1, "VX1", "I am sorry.", done=True), Closed("completed")


def write(store: Store, call_sid: str, at: float, *happened: Event, from_: str = ANN) -> None:
    append(store, call_sid, at, Opened(from_, OURS, "inbound"), *happened)


def append(store: Store, call_sid: str, at: float, *happened: Event) -> None:
    store.append([Entry(str(uuid_utils.uuid7()), at, call_sid, event) for event in happened])


def read(store: Store, page: int = 100, newest_first: bool = True, **wanted: Any) -> list[str]:
    selection = Selection(**{**wanted, "labels": frozenset(wanted.get("labels", ()))})
    found: list[CallRecord] = []
    while some := store.select(selection, page, found[-1] if found else None, newest_first):
        found += some
    return [call.call_sid for call in found]


def rows(store: Store, table: str) -> int:
    with store.database.reading() as connection:
        return int(connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0)


def test_calls_are_found_by_their_labels_the_newest_first(store: Store) -> None:
    for number in range(6):
        extra = (Voicemail("RE1"),) if number % 2 else ()
        write(store, f"CA{number}", number, *extra, from_=BOB if number < 4 else ANN)
    assert read(store, labels=[f"address:{BOB}"]) == ["CA3", "CA2", "CA1", "CA0"]
    assert read(store, page=1, labels=[f"address:{BOB}", "flag:voicemail"]) == ["CA3", "CA1"]
    assert read(store, labels=[f"address:{OURS}", "flag:voicemail"], since=2.0, until=5.0) == ["CA3"]
    assert read(store, newest_first=False, labels=["flag:voicemail"]) == ["CA1", "CA3", "CA5"]
    assert read(store, labels=["flag:handoff"]) == []


def test_open_calls_are_found_by_their_labels(store: Store) -> None:
    write(store, "CA1", 1.0, Closed("completed"))
    write(store, "CA2", 2.0)
    assert read(store, closed=False, labels=[f"address:{ANN}"]) == ["CA2"]
    assert read(store, closed=True, labels=[f"address:{ANN}"]) == ["CA1"]


@pytest.mark.parametrize("common", [1, 10_000])
def test_calls_are_found_by_what_was_said(store: Store, common: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voice_app.journal.sqlite.FEW", common)
    write(store, "CA1", 1.0, Prompted("My order 81 never came."), SORRY, OVER)
    write(store, "CA2", 2.0, Prompted("Are you open?"), Prompted("Where is my ORDER?"), OVER)
    write(store, "CA3", 3.0, Prompted("order"), Voicemail("RE1", text="Call back, I am sorry."), OVER)
    assert read(store, said="order") == ["CA3", "CA2", "CA1"]
    assert read(store, said="order my") == ["CA2", "CA1"]
    assert read(store, said="sorry") == ["CA3", "CA1"]
    assert read(store, said="sorry", labels=["flag:voicemail"]) == ["CA3"]
    assert read(store, said="ord") == []


def test_a_server_may_write_the_last_words_while_another_writes_the_end(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = Store(postgres_url), Store(postgres_url)
    one.create()
    write(one, "CA1", 1.0)
    tell, other = one.database.tell, threading.Thread(target=append, args=(two, "CA1", 2.0, OVER))

    def told(*arguments: Any) -> None:
        """The words are written, and before they are committed the end is."""
        tell(*arguments)
        other.start()
        while not read(one, closed=True):
            time.sleep(0.01)

    with monkeypatch.context() as patch:
        patch.setattr(one.database, "tell", told)
        append(one, "CA1", 2.0, Prompted("My order"))
    other.join(10)
    assert read(two, said="order") == ["CA1"]
    one.close()
    two.close()


@pytest.mark.parametrize(
    "words", ['"', "AND", 'a" OR "b', "text:x*", "'; DROP TABLE said", "-", "()", "x\0y", "\ud800"]
)
def test_no_words_are_an_operator(store: Store, words: str) -> None:
    write(store, "CA1", 1.0, Prompted("Hello."), OVER)
    assert read(store, said=words) == []


def test_what_is_said_is_indexed_once_the_call_is_over(store: Store) -> None:
    write(store, "CA1", 1.0, Prompted("My order"))
    append(store, "CA1", 2.0, SORRY)
    assert (read(store, said="order"), rows(store, "said")) == ([], 0)
    append(store, "CA1", 3.0, OVER)
    assert (read(store, said="order"), read(store, said="sorry"), rows(store, "said")) == (
        ["CA1"],
        ["CA1"],
        2,
    )


def test_what_comes_after_the_end_of_a_call_is_indexed_as_well(store: Store) -> None:
    write(store, "CA1", 1.0, Prompted("My order"), OVER)
    append(store, "CA1", 2.0, Voicemail("RE1", text="Please call back."))
    append(store, "CA1", 3.0, Heard(1, "VX1", "not a word"))
    assert (read(store, said="order"), read(store, said="please"), rows(store, "said")) == (
        ["CA1"],
        ["CA1"],
        2,
    )


def test_who_is_forgotten_is_found_by_nothing(store: Store) -> None:
    write(store, "CA1", 1.0, Prompted("confidential"), OVER, from_=BOB)
    write(store, "CA2", 2.0, Prompted("public"), OVER)
    store.forget(BOB)
    assert (read(store, said="confidential"), read(store, said="public")) == ([], ["CA2"])
    assert (rows(store, "labels"), rows(store, "said")) == (2, 1)


def test_what_was_said_by_who_is_forgotten_is_not_in_the_file(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/journal.db")
    store.create()
    for number in range(50):
        write(
            store,
            f"CA{number}",
            1.0,
            Prompted(f"confidential{number} words"),
            OVER,
            from_=BOB if number % 2 else ANN,
        )
    store.forget(BOB)
    store.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"confidential2 " in kept
    assert b"confidential1 " not in kept
    assert b"confidential49" not in kept


def test_what_is_too_old_is_found_by_nothing(store: Store) -> None:
    write(store, "CA1", 1.0, Prompted("long ago"), OVER)
    write(store, "CA2", 200.0, Prompted("just now"), OVER)
    assert store.purge(100.0) == 1
    assert (read(store, said="ago"), rows(store, "labels"), rows(store, "said")) == ([], 2, 1)


def test_a_call_that_turns_out_to_be_older_moves(store: Store) -> None:
    write(store, "CA1", 5.0)
    write(store, "CA2", 3.0)
    assert read(store, labels=[f"address:{ANN}"]) == ["CA1", "CA2"]
    write(store, "CA1", 1.0)
    assert read(store, labels=[f"address:{ANN}"]) == ["CA2", "CA1"]


def test_entries_that_come_twice_are_harmless(store: Store) -> None:
    entries = [
        Entry(str(uuid_utils.uuid7()), 1.0, "CA1", event)
        for event in (Opened(ANN, OURS), Prompted("Hi"), OVER)
    ]
    store.append(entries)
    store.append(entries)
    assert (read(store, said="hi"), rows(store, "labels"), rows(store, "said")) == (["CA1"], 2, 1)


@pytest.mark.parametrize(
    ("event", "labels", "words"),
    [
        (Opened(ANN, ANN), [f"address:{ANN}"], ""),
        (Acted("become", "billing"), ["agent:billing"], ""),
        (Heard(1, "VX1", "We are"), [], ""),
        (Heard(1, "VX1", "We are", 400.0), ["flag:interrupted"], ""),
        (Replied(1, "VX1", "We are"), [], ""),
        (Prompted(""), [], ""),
    ],
)
def test_what_an_event_tells(event: Event, labels: list[str], words: str) -> None:
    assert (list(labels_of(event)), words_of(event)) == (labels, words)


def test_no_kind_of_event_that_has_labels_is_left_out() -> None:
    patterns = ast.walk(ast.parse(inspect.getsource(labels_of)))
    named = {
        node.cls.id for node in patterns if isinstance(node, ast.MatchClass) if isinstance(node.cls, ast.Name)
    }
    assert named == {kind.__name__ for kind in LABELLED}
