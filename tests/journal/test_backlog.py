from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voice_app.journal import Entry, as_heard
from voice_app.journal.backlog import Backlog
from voice_app.journal.events import Event, Heard, Pressed, Prompted, Replied


def filled(capacity: int, events: list[tuple[str, Event]]) -> Backlog:
    backlog = Backlog(capacity)
    for number, (call_sid, event) in enumerate(events):
        backlog.append(Entry(f"{number:06}", float(number), call_sid, event))
    return backlog


def texts(backlog: Backlog) -> list[str]:
    return [entry.event.text for entry in backlog if isinstance(entry.event, Prompted | Replied)]


def test_the_oldest_leave_first() -> None:
    backlog = filled(10, [("CA1", Prompted(str(number))) for number in range(5)])
    assert [entry.id for entry in backlog.take(2)] == ["000000", "000001"]
    assert [entry.id for entry in backlog.take(9)] == ["000002", "000003", "000004"]
    assert len(backlog) == 0


def test_under_overload_growing_replies_go_first() -> None:
    growth = [("CA1", Replied(1, "VX1", "a" * size)) for size in range(1, 10)]
    backlog = filled(
        10, [("CA1", Prompted("first")), *growth, ("CA1", Replied(1, "VX1", "a" * 10, done=True))]
    )
    assert (backlog.superseded, backlog.lost) == (2, 0)
    assert texts(backlog) == ["first", *("a" * size for size in range(3, 11))]


def test_a_growing_reply_stays_if_the_caller_spoke_before_it_grew() -> None:
    backlog = filled(
        3, [("CA1", Replied(1, "VX1", "a")), ("CA1", Prompted("b")), ("CA1", Replied(1, "VX1", "aa"))]
    )
    backlog.append(Entry("9", 9.0, "CA2", Prompted("c")))
    assert (backlog.superseded, backlog.lost) == (0, 2)


def test_if_there_is_nothing_else_the_oldest_entries_go_and_are_counted() -> None:
    backlog = filled(20, [("CA1", Prompted(str(number))) for number in range(21)])
    assert backlog.lost == 3
    assert texts(backlog) == [str(number) for number in range(3, 21)]


calls = st.sampled_from(["CA1", "CA2"])
replies = st.builds(Replied, st.integers(0, 1), st.just("VX1"), st.text("ab", max_size=3), st.booleans())
others = st.one_of(
    st.builds(Prompted, st.text("ab", max_size=2)),
    st.builds(Pressed, st.just("1")),
    st.builds(Heard, st.integers(0, 1), st.just("VX1"), st.text("ab", max_size=3)),
)
written = st.lists(st.tuples(calls, replies | replies | others), max_size=60)


@given(written, st.integers(1, 30))
def test_it_never_grows_beyond_its_capacity_and_counts_what_it_drops(
    events: list[tuple[str, Event]], capacity: int
) -> None:
    backlog = filled(capacity, events)
    assert len(backlog) <= capacity
    assert len(backlog) + backlog.superseded + backlog.lost == len(events)
    ids = [entry.id for entry in backlog]
    assert ids == sorted(ids)


@given(written, st.integers(1, 30))
def test_without_superseded_replies_every_conversation_reads_the_same(
    events: list[tuple[str, Event]], capacity: int
) -> None:
    backlog, whole = filled(capacity, events), filled(len(events) + 1, events)
    if backlog.lost:
        return
    for call_sid in ("CA1", "CA2"):
        kept = [entry for entry in backlog if entry.call_sid == call_sid]
        assert as_heard(kept) == as_heard(entry for entry in whole if entry.call_sid == call_sid)
