from __future__ import annotations

from itertools import count

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from support.journals import in_parts
from voice_app.calls import CallState
from voice_app.journal import Entry
from voice_app.journal.call_cache import CallCache
from voice_app.journal.events import (
    Closed,
    Connected,
    Disconnected,
    Event,
    Heard,
    Opened,
    Prompted,
    Reconnected,
    Replied,
    Served,
    Transcribed,
)

TRANSCRIPT = Transcribed("GT1", 1, "caller", "Hi")


class Writing:
    """Writes entries with growing ids."""

    def __init__(self, capacity: int = 1000) -> None:
        self.cache = CallCache(capacity)
        self._ids = map("{:06}".format, count())
        self.last = ""

    def write(self, call_sid: str, *events: Event) -> None:
        for event in events:
            self.last = next(self._ids)
            self.cache.add(Entry(self.last, 1.5, call_sid, event))

    def read(self, call_sid: str, *events: Event) -> list[Entry]:
        """Entries as another server wrote them."""
        return [Entry(next(self._ids), 1.5, call_sid, event) for event in events]

    def events(self, call_sid: str) -> list[object]:
        return [entry.event for entry in self.cache.of(call_sid)]


def test_a_call_that_began_here_is_known_as_a_whole_until_it_is_over_and_durable() -> None:
    writing = Writing()
    writing.write("CA1", Opened(), Prompted("Hi"))
    writing.cache.durable(writing.last)
    assert writing.cache.is_whole("CA1")
    writing.write("CA1", Closed("completed"))
    assert writing.events("CA1") == [Opened(), Prompted("Hi"), Closed("completed")]
    writing.cache.durable(writing.last)
    assert writing.events("CA1") == []
    assert len(writing.cache) == 0


def test_the_text_of_a_document_is_kept_until_it_is_durable() -> None:
    writing = Writing()
    served = Served("answer.xml", "answer", "Hello", document="<Response/>")
    writing.write("CA1", Opened(), served)
    before = writing.last
    writing.write("CA1", Prompted("Hi"), served)
    writing.cache.durable(before)
    lean = replace(served, document="")
    assert writing.events("CA1") == [Opened(), lean, Prompted("Hi"), served]
    writing.cache.durable(writing.last)
    assert writing.events("CA1") == [Opened(), lean, Prompted("Hi"), lean]


def test_what_is_told_of_a_call_after_its_end_is_kept_until_it_is_durable() -> None:
    writing = Writing()
    writing.write("CA1", Opened(), Closed("completed"))
    over = writing.last
    writing.write("CA1", TRANSCRIPT)
    writing.cache.durable(over)
    assert writing.events("CA1") == [Opened(), Closed("completed"), TRANSCRIPT]
    writing.cache.durable(writing.last)
    assert len(writing.cache) == 0
    writing.write("CA1", TRANSCRIPT)
    writing.cache.durable(writing.last)
    assert len(writing.cache) == 0


def test_a_call_of_another_server_is_kept_until_it_is_durable() -> None:
    writing = Writing()
    writing.write("CA1", TRANSCRIPT)
    assert not writing.cache.is_whole("CA1")
    writing.cache.durable(writing.last)
    assert len(writing.cache) == 0


def test_a_call_whose_session_is_here_is_kept_though_it_began_elsewhere() -> None:
    writing = Writing()
    writing.write("CA1", Connected("VX1"))
    writing.cache.durable(writing.last)
    assert writing.events("CA1") == [Connected("VX1")]
    assert not writing.cache.is_whole("CA1")


def test_a_call_is_current_while_its_session_is_here() -> None:
    writing = Writing()
    writing.write("CA1", Opened())
    assert not writing.cache.is_current("CA1")
    writing.write("CA1", Connected("VX1"), Prompted("Hi"))
    assert writing.cache.is_current("CA1")
    writing.write("CA1", Disconnected("VX1"))
    assert not writing.cache.is_current("CA1")
    writing.write("CA1", Reconnected("VX1"))
    assert writing.cache.is_current("CA1")


def test_a_call_is_current_here_only_if_its_beginning_is_known() -> None:
    writing = Writing()
    writing.write("CA1", Connected("VX1"))
    assert not writing.cache.is_current("CA1")


def test_a_call_that_was_read_is_known_as_a_whole() -> None:
    writing = Writing()
    writing.cache.learn("CA1", writing.read("CA1", Opened(), Prompted("Hi")))
    writing.write("CA1", Prompted("there"))
    writing.cache.durable(writing.last)
    assert writing.events("CA1") == [Opened(), Prompted("Hi"), Prompted("there")]
    assert writing.cache.is_whole("CA1")


def test_of_what_is_read_only_calls_that_go_on_are_kept() -> None:
    writing = Writing()
    writing.cache.learn("CA1", writing.read("CA1", Opened(), Closed("completed")))
    writing.cache.learn("CA2", [])
    writing.cache.learn("conv_conversation_1", writing.read("conv_conversation_1", Prompted("Hi")))
    assert len(writing.cache) == 0


def test_only_what_comes_after_an_id_can_be_asked_for() -> None:
    writing = Writing()
    writing.write("CA1", Prompted("one"))
    first = writing.last
    writing.write("CA1", Prompted("two"))
    assert [entry.event for entry in writing.cache.of("CA1", after=first)] == [Prompted("two")]


def test_a_forgotten_call_is_gone() -> None:
    writing = Writing()
    writing.write("CA1", Opened(), Prompted("Hi"))
    writing.cache.forget(["CA1", "CA2"])
    assert len(writing.cache) == 0


def test_the_calls_that_nobody_touched_for_longest_go_first() -> None:
    writing = Writing(capacity=10)
    for number in range(6):
        writing.write(f"CA{number}", Opened())
    writing.write("CA0", *(Prompted(f"{number}") for number in range(6)))
    assert [len(writing.events(f"CA{number}")) for number in range(6)] == [7, 0, 0, 1, 1, 1]


def test_of_one_endless_call_the_oldest_entries_go() -> None:
    writing = Writing(capacity=100_000)
    writing.write("CA1", Opened(), *(Prompted(f"{number}") for number in range(5000)))
    assert len(writing.cache) == 4500
    assert writing.events("CA1")[-1] == Prompted("4999")
    assert not writing.cache.is_whole("CA1")


def test_the_parts_of_a_growing_reply_are_one_entry() -> None:
    writing = Writing()
    writing.write("CA1", Opened(), Replied(1, "VX1", "We are "), Replied(1, "VX1", "open ", begin=7))
    writing.write("CA1", Replied(1, "VX1", "until five.", begin=12))
    assert writing.events("CA1") == [Opened(), Replied(1, "VX1", "We are open until five.")]


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
    st.builds(Heard, st.integers(0, 1), st.just("VX1"), st.text("ab", max_size=3)),
)


@given(
    st.lists(st.tuples(st.sampled_from(["CA1", "CA2"]), replies | replies | others), max_size=60).map(
        in_parts
    )
)
def test_every_conversation_reads_as_it_was_written(written: list[tuple[str, Event]]) -> None:
    writing = Writing()
    entries: list[Entry] = []
    for call_sid, event in written:
        writing.write(call_sid, event)
        entries.append(Entry(writing.last, 1.5, call_sid, event))
    for call_sid in ("CA1", "CA2"):
        whole = [entry for entry in entries if entry.call_sid == call_sid]
        assert (
            CallState.of(writing.cache.of(call_sid)).transcript.as_heard()
            == CallState.of(whole).transcript.as_heard()
        )
