from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_app.journal import Entry, erasure
from voice_app.journal.events import Analysed, Called, Closed, Conversed, Event, Notified, Opened, Prompted
from voice_app.journal.store import Store
from voice_app.journal.tables import EVERY

CALLER, STRANGER, OURS = "+15550100001", "+15550100009", "+15550100002"
PROFILE = "mem_profile_" + "0" * 25 + "1"
OTHER_PROFILE = "mem_profile_" + "0" * 25 + "2"


@pytest.fixture
def other(database_url: str, store: Store) -> Iterator[Store]:
    """Another server on the same journal."""
    other = Store(database_url)
    yield other
    other.close()


class Pen:
    """Writes entries with ids and times that grow."""

    def __init__(self) -> None:
        self._number = 0

    def entry(self, call_sid: str, event: Event, at: float | None = None, key: str = "") -> Entry:
        self._number += 1
        return Entry(f"{self._number:06}", self._number if at is None else at, call_sid, event, key)


@pytest.fixture
def pen() -> Pen:
    return Pen()


def kept(store: Store, subject: str) -> list[Event]:
    return [entry.event for entry in store.events(subject)]  # type: ignore[misc]


def test_a_caller_is_forgotten_with_all_calls_from_and_to_the_number(store: Store, pen: Pen) -> None:
    store.append(
        [
            pen.entry("CA1", Opened(CALLER, OURS, "inbound")),
            pen.entry("CA2", Opened(OURS, CALLER, "outbound-api")),
            pen.entry("CA3", Opened(STRANGER, OURS, "inbound")),
            pen.entry("CA1", Prompted("My name is Ada")),
            pen.entry("CA3", Prompted("Not Ada")),
        ]
    )
    found = store.forget(CALLER)
    assert (found.call_sids, found.conversation_ids, found.profile_ids, found.events) == (
        ("CA1", "CA2"),
        (),
        (),
        3,
    )
    assert [call.call_sid for call in store.select(EVERY, 9)] == ["CA3"]
    assert kept(store, "CA1") == kept(store, "CA2") == []
    assert kept(store, "CA3") == [Opened(STRANGER, OURS, "inbound"), Prompted("Not Ada")]


def test_the_conversations_of_the_calls_go_too(store: Store, pen: Pen) -> None:
    store.append(
        [
            pen.entry("CA1", Opened(CALLER, OURS, "inbound")),
            pen.entry("CA1", Conversed("conv_conversation_1")),
            pen.entry("conv_conversation_1", Analysed("op", "Ada wants a refund")),
            pen.entry("conv_conversation_2", Called("CA1")),
            pen.entry("conv_conversation_2", Notified("PARTICIPANT_ADDED", "", "", f"profileId {PROFILE}")),
            pen.entry("CA3", Opened(STRANGER, OURS, "inbound")),
            pen.entry("conv_conversation_3", Called("CA3")),
            pen.entry("conv_conversation_3", Notified("X", "", "", f"profileId {OTHER_PROFILE}")),
        ]
    )
    found = store.forget(CALLER)
    assert found.conversation_ids == ("conv_conversation_1", "conv_conversation_2")
    assert found.profile_ids == (PROFILE,)
    assert found.events == 5
    assert kept(store, "conv_conversation_1") == kept(store, "conv_conversation_2") == []
    assert len(kept(store, "conv_conversation_3")) == 2


def test_on_sqlite_no_word_of_a_forgotten_caller_stays_in_the_files(tmp_path: Path, pen: Pen) -> None:
    store = Store(f"sqlite:///{tmp_path}/journal.db")
    store.create()
    store.append([pen.entry("CA1", Opened(CALLER, OURS, "inbound")), pen.entry("CA1", Prompted("I am Ada"))])
    assert any(b"I am Ada" in file.read_bytes() for file in tmp_path.iterdir())
    store.forget(CALLER)
    files = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert [name for name, data in files.items() if b"I am Ada" in data or CALLER.encode() in data] == []
    store.close()


def test_what_comes_late_of_a_forgotten_call_is_dropped_and_the_rest_of_the_batch_is_kept(
    store: Store, other: Store, pen: Pen
) -> None:
    opened = pen.entry("CA1", Opened(CALLER, OURS, "inbound"))
    other.append([opened, pen.entry("CA1", Conversed("conv_conversation_1"))])
    store.forget(CALLER)
    late = [
        opened,
        pen.entry("CA1", Prompted("I said my name")),
        pen.entry("conv_conversation_1", Analysed("op", "Ada wants a refund")),
        pen.entry("CA4", Prompted("Hello")),
        pen.entry("CA1", Closed("completed")),
    ]
    other.append(late)
    other.append([late[1]])
    assert kept(store, "CA1") == kept(store, "conv_conversation_1") == []
    assert kept(store, "CA4") == [Prompted("Hello")]
    assert [call.call_sid for call in store.select(EVERY, 9)] == ["CA4"]


def test_a_forgotten_caller_may_call_again(store: Store, pen: Pen) -> None:
    store.append([pen.entry("CA1", Opened(CALLER, OURS, "inbound"))])
    assert store.forget(CALLER).call_sids == ("CA1",)
    store.append([pen.entry("CA2", Opened(CALLER, OURS, "inbound"))])
    assert len(kept(store, "CA2")) == 1
    assert store.forget(CALLER).call_sids == ("CA2",)
    assert store.forget(CALLER).call_sids == ()


def test_a_call_that_follows_does_not_get_the_events_of_a_forgotten_one(
    store: Store, other: Store, pen: Pen
) -> None:
    other.append([pen.entry("CA1", Opened(CALLER, OURS, "inbound"))])
    store.forget(CALLER)
    store.append([pen.entry("CA2", Opened(STRANGER, OURS, "inbound"))])
    other.append([pen.entry("CA1", Prompted("late"))])
    assert kept(store, "CA2") == [Opened(STRANGER, OURS, "inbound")]


@pytest.mark.parametrize("address", ["", " ", "\0"])
def test_nobody_is_not_a_caller_to_forget(store: Store, pen: Pen, address: str) -> None:
    store.append([pen.entry("CA1", Prompted("Whoever I am"))])
    with pytest.raises(ValueError, match="no address"):
        store.forget(address)
    assert len(kept(store, "CA1")) == 1


def test_a_caller_of_many_calls_is_forgotten_in_portions(
    store: Store, pen: Pen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "_AT_ONCE", 7)
    sids = [f"CA{number:03}" for number in range(50)]
    store.append([pen.entry(sid, Opened(CALLER, OURS, "inbound")) for sid in sids])
    store.append([pen.entry(sid, Conversed(f"conv_conversation_{sid}")) for sid in sids])
    store.append([pen.entry(f"conv_conversation_{sid}", Called(sid)) for sid in sids])
    found = store.forget(CALLER)
    assert found.call_sids == tuple(sids)
    assert (len(found.conversation_ids), found.events) == (50, 150)
    assert store.select(EVERY, 99) == []
    assert store.since("", 99) == []


def test_nothing_of_a_caller_is_left_however_busily_others_write(
    store: Store, other: Store, pen: Pen
) -> None:
    store.append([pen.entry("CA1", Opened(CALLER, OURS, "inbound"))])
    stop = threading.Event()
    batches: list[int] = []

    def write(writer: Store, start: int) -> None:
        number = start
        while not stop.is_set():
            number += 1
            batch = [
                Entry(f"{number}-{sid}", 1.0, sid, Prompted("still here")) for sid in ("CA9", "CA1", "CA8")
            ]
            writer.append(batch)
            batches.append(number)

    with ThreadPoolExecutor(2) as threads:
        writers = [threads.submit(write, store, 100_000), threads.submit(write, other, 200_000)]
        try:
            while len(batches) < 10:
                assert not any(writer.done() for writer in writers)
            found = store.forget(CALLER)
            after = len(batches)
            while len(batches) < after + 10:
                assert not any(writer.done() for writer in writers)
        finally:
            stop.set()
        for writer in writers:
            writer.result()
    assert found.call_sids == ("CA1",)
    assert kept(store, "CA1") == []
    assert len(kept(store, "CA8")) == len(kept(store, "CA9")) == len(batches)


def test_old_calls_are_purged_whole_and_younger_ones_stay_whole(store: Store, pen: Pen) -> None:
    store.append(
        [
            pen.entry("CA1", Opened(CALLER, OURS, "inbound"), at=10.0),
            pen.entry("CA1", Prompted("Hi"), at=20.0),
            pen.entry("CA2", Opened(CALLER, OURS, "inbound"), at=10.0),
            pen.entry("CA2", Prompted("Hi"), at=30.0),
            pen.entry("CA3", Opened(CALLER, OURS, "inbound"), at=30.0),
        ]
    )
    assert store.purge(30.0) == 1
    assert store.purge(30.0) == 0
    assert kept(store, "CA1") == []
    assert [len(kept(store, sid)) for sid in ("CA2", "CA3")] == [2, 1]


def test_a_late_event_of_a_purged_call_harms_nothing_and_is_purged_in_turn(
    store: Store, other: Store, pen: Pen
) -> None:
    other.append([pen.entry("CA1", Opened(CALLER, OURS, "inbound"), at=10.0)])
    assert store.purge(30.0) == 1
    other.append([pen.entry("CA1", Closed("completed"), at=12.0), pen.entry("CA2", Prompted("Hi"), at=40.0)])
    assert kept(store, "CA1") == [Closed("completed")]
    assert kept(store, "CA2") == [Prompted("Hi")]
    assert store.purge(30.0) == 1
    assert kept(store, "CA1") == []


def test_of_what_is_no_call_the_old_events_go(store: Store, pen: Pen) -> None:
    store.append(
        [
            pen.entry("conv_conversation_1", Called("CA1"), at=10.0),
            pen.entry("AC1", Notified("X", at="old"), at=10.0),
            pen.entry("AC1", Notified("X", at="new"), at=40.0),
        ]
    )
    assert store.purge(30.0) == 0
    assert kept(store, "conv_conversation_1") == []
    assert kept(store, "AC1") == [Notified("X", at="new")]
    assert store.purge(30.0) == 0


def test_a_purge_takes_no_more_calls_than_it_may(store: Store, pen: Pen) -> None:
    store.append([pen.entry(f"CA{number}", Prompted("Hi"), at=10.0) for number in range(25)])
    assert [store.purge(30.0, limit=10) for _ in range(4)] == [10, 10, 5, 0]
    assert store.select(EVERY, 99) == []


def test_two_that_purge_at_once_share_the_work(store: Store, other: Store, pen: Pen) -> None:
    store.append([pen.entry(f"CA{number}", Prompted("Hi"), at=10.0) for number in range(100)])

    def purge(who: Store) -> int:
        purged = 0
        while some := who.purge(30.0, limit=7):
            purged += some
        return purged

    with ThreadPoolExecutor(2) as threads:
        assert sum(threads.map(purge, (store, other))) == 100
    assert store.select(EVERY, 199) == []


RUNS = count()


@settings(max_examples=25)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.integers(0, 1), st.integers(0, 3)),
            st.tuples(st.just("forget"), st.integers(0, 1), st.integers(0, 1)),
        ),
        max_size=25,
    )
)
def test_after_any_history_a_forgotten_call_is_gone_and_every_other_is_whole(
    store: Store, other: Store, steps: list[tuple[str, int, int]]
) -> None:
    run, pen = next(RUNS), Pen()
    stores, callers = (store, other), (f"{CALLER}{run}", f"{STRANGER}{run}")
    expected: dict[str, int] = {}
    erased: set[str] = set()
    for place, (kind, who, what) in enumerate(steps):
        if kind == "write":
            sid = f"CA{run}-{what}"
            entry = pen.entry(sid, Opened(callers[what % 2], OURS, "inbound"))
            stores[who].append([Entry(f"{run}-{place}", entry.at, sid, entry.event)])
            if sid not in erased:
                expected[sid] = expected.get(sid, 0) + 1
        else:
            gone = {sid for sid in expected if int(sid[-1]) % 2 == what}
            assert set(stores[who].forget(callers[what]).call_sids) == gone
            erased |= gone
            expected = {sid: number for sid, number in expected.items() if sid not in gone}
    assert {sid: len(other.events(sid)) for sid in expected} == expected
    assert not any(store.events(sid) for sid in erased)
    for address in callers:
        store.forget(address)
