"""Which calls are read, on both databases: by who took part and when, page by page."""

from __future__ import annotations

import pytest
import uuid_utils
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_app.journal import CallRecord, Entry, Selection
from voice_app.journal.events import Opened
from voice_app.journal.store import Store
from voice_app.journal.tables import EVERY

ANN, BOB, OURS = "+15550100001", "client:bob", "+15550100009"


def opened(store: Store, call_sid: str, at: float, *, from_: str = ANN, to: str = OURS) -> None:
    store.append([Entry(str(uuid_utils.uuid7()), at, call_sid, Opened(from_, to, "inbound"))])


def read(store: Store, wanted: Selection = EVERY, *, page: int = 100, newest_first: bool = True) -> list[str]:
    """All pages."""
    found: list[CallRecord] = []
    while some := store.select(wanted, page, found[-1] if found else None, newest_first):
        found += some
    return [call.call_sid for call in found]


def test_the_newest_come_first_or_last(store: Store) -> None:
    for at in (20.0, 10.0, 30.0):
        opened(store, f"CA{at:.0f}", at)
    assert read(store) == ["CA30", "CA20", "CA10"]
    assert read(store, newest_first=False) == ["CA10", "CA20", "CA30"]


@pytest.mark.parametrize("newest_first", [True, False])
def test_calls_of_the_same_moment_are_not_lost_between_two_pages(store: Store, newest_first: bool) -> None:
    sids = [f"CA{number}" for number in range(7)]
    for sid in sids:
        opened(store, sid, 10.0)
    assert sorted(read(store, page=2, newest_first=newest_first)) == sids


def test_a_call_that_is_erased_between_two_pages_does_not_end_the_reading(store: Store) -> None:
    for number, caller in enumerate((ANN, BOB, ANN)):
        opened(store, f"CA{number}", float(number), from_=caller)
    first, second = store.select(Selection(), 2, None, False)
    store.forget(BOB)
    assert [call.call_sid for call in store.select(Selection(), 2, second, False)] == ["CA2"]
    assert first.call_sid == "CA0"


def test_an_address_selects_calls_from_it_and_to_it(store: Store) -> None:
    opened(store, "CA1", 1.0, from_=ANN)
    opened(store, "CA2", 2.0, from_=BOB)
    opened(store, "CA3", 3.0, from_=OURS, to=BOB)
    assert read(store, Selection(address=BOB)) == ["CA3", "CA2"]
    assert read(store, Selection(address="+1555")) == []


def test_the_beginning_is_included_and_the_end_is_not(store: Store) -> None:
    for at in (1.0, 2.0, 3.0):
        opened(store, f"CA{at:.0f}", at)
    assert read(store, Selection(since=2.0)) == ["CA3", "CA2"]
    assert read(store, Selection(until=2.0)) == ["CA1"]
    assert read(store, Selection(since=2.0, until=3.0)) == ["CA2"]


def test_what_is_kept_under_the_id_of_a_conversation_is_no_call(store: Store) -> None:
    opened(store, "conv_conversation_1", 1.0)
    assert read(store, Selection(address=ANN)) == []


MOMENTS = st.lists(st.sampled_from([1.0, 2.0, 2.5]), max_size=12)


@settings(max_examples=25)
@given(moments=MOMENTS, page=st.integers(1, 5), since=st.sampled_from([None, 2.0]), newest=st.booleans())
def test_pages_of_any_size_have_each_call_once_in_order(
    moments: list[float], page: int, since: float | None, newest: bool
) -> None:
    store = Store("sqlite://")
    store.create()
    try:
        for number, at in enumerate(moments):
            opened(store, f"CA{number:02}", at)
        wanted = [(at, f"CA{number:02}") for number, at in enumerate(moments) if since is None or at >= since]
        expected = [sid for _, sid in sorted(wanted, reverse=newest)]
        assert read(store, Selection(since=since), page=page, newest_first=newest) == expected
    finally:
        store.close()
