from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from support.journals import in_parts
from voice_app.calls import CallState
from voice_app.journal import Entry
from voice_app.journal.bounded_queue import BoundedQueue
from voice_app.journal.events import Event, Heard, Pressed, Prompted, Replied


def filled(capacity: int, events: list[tuple[str, Event]]) -> BoundedQueue:
    queue = BoundedQueue(capacity)
    for number, (call_sid, event) in enumerate(events):
        queue.append(Entry(f"{number:06}", float(number), call_sid, event))
    return queue


def texts(queue: BoundedQueue) -> list[str]:
    return [entry.event.text for entry in queue if isinstance(entry.event, Prompted | Replied)]


def test_the_oldest_leave_first() -> None:
    queue = filled(10, [("CA1", Prompted(str(number))) for number in range(5)])
    assert [entry.id for entry in queue.oldest(2)] == ["000000", "000001"]
    assert queue.drop("000001") == 2
    assert [entry.id for entry in queue.oldest(9)] == ["000002", "000003", "000004"]
    assert queue.drop("000004") == 3
    assert len(queue) == 0


def test_what_was_handed_out_stays_until_it_is_safe_elsewhere() -> None:
    queue = filled(10, [("CA1", Prompted(str(number))) for number in range(10)])
    queue.oldest(5)
    for number in range(10, 21):
        queue.append(Entry(f"{number:06}", float(number), "CA1", Prompted(str(number))))
    assert texts(queue) == [str(number) for number in (*range(5), *range(11, 21))]
    assert queue.lost == 6
    assert queue.drop("000004") == 5
    assert texts(queue) == [str(number) for number in range(11, 21)]


def test_under_overload_growing_replies_go_first() -> None:
    growth = [("CA1", Replied(1, "VX1", "a" * size)) for size in range(1, 10)]
    queue = filled(10, [("CA1", Prompted("first")), *growth, ("CA1", Replied(1, "VX1", "a" * 10, done=True))])
    assert (queue.superseded, queue.lost) == (2, 0)
    assert texts(queue) == ["first", *("a" * size for size in range(3, 11))]


def test_under_overload_the_parts_of_a_reply_go_once_it_was_written_whole() -> None:
    parts = [("CA1", Replied(1, "VX1", "a", begin=size)) for size in range(9)]
    queue = filled(10, [("CA1", Prompted("first")), *parts, ("CA1", Replied(1, "VX1", "a" * 10, done=True))])
    assert (queue.superseded, queue.lost) == (2, 0)
    unfinished = filled(10, [("CA1", Prompted("first")), *parts, ("CA1", Replied(1, "VX1", "a", begin=9))])
    assert (unfinished.superseded, unfinished.lost) == (0, 2)


def test_a_growing_reply_stays_if_the_caller_spoke_before_it_grew() -> None:
    queue = filled(
        3, [("CA1", Replied(1, "VX1", "a")), ("CA1", Prompted("b")), ("CA1", Replied(1, "VX1", "aa"))]
    )
    queue.append(Entry("9", 9.0, "CA2", Prompted("c")))
    assert (queue.superseded, queue.lost) == (0, 2)


def test_if_there_is_nothing_else_the_oldest_entries_go_and_are_counted() -> None:
    queue = filled(20, [("CA1", Prompted(str(number))) for number in range(21)])
    assert queue.lost == 3
    assert texts(queue) == [str(number) for number in range(3, 21)]


calls = st.sampled_from(["CA1", "CA2"])
replies = st.builds(
    Replied,
    st.integers(0, 1),
    st.just("VX1"),
    st.text("ab", max_size=3),
    st.booleans(),
    begin=st.integers(0, 5),
)
others = st.one_of(
    st.builds(Prompted, st.text("ab", max_size=2)),
    st.builds(Pressed, st.just("1")),
    st.builds(Heard, st.integers(0, 1), st.just("VX1"), st.text("ab", max_size=3)),
)
written = st.lists(st.tuples(calls, replies | replies | others), max_size=60).map(in_parts)


@given(written, st.integers(1, 30))
def test_it_never_grows_beyond_its_capacity_and_counts_what_it_drops(
    events: list[tuple[str, Event]], capacity: int
) -> None:
    queue = filled(capacity, events)
    assert len(queue) <= capacity
    assert len(queue) + queue.superseded + queue.lost == len(events)
    ids = [entry.id for entry in queue]
    assert ids == sorted(ids)


@given(written, st.integers(1, 30))
def test_without_superseded_replies_every_conversation_reads_the_same(
    events: list[tuple[str, Event]], capacity: int
) -> None:
    queue, whole = filled(capacity, events), filled(len(events) + 1, events)
    if queue.lost:
        return
    for call_sid in ("CA1", "CA2"):
        kept = [entry for entry in queue if entry.call_sid == call_sid]
        assert (
            CallState.of(kept).transcript.as_heard()
            == CallState.of(entry for entry in whole if entry.call_sid == call_sid).transcript.as_heard()
        )
