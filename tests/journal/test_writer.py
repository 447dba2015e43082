from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pytest
import uuid_utils
from hypothesis import given, settings
from hypothesis import strategies as st

from support.waiting import until
from voice_app.journal import Entry, JournalError
from voice_app.journal import writer as writer_module
from voice_app.journal.events import Prompted, Replied
from voice_app.journal.spool import Spool
from voice_app.journal.writer import Disk, Writer
from voice_app.telemetry import metrics

DATABASE = "a database"

Mode = Literal["up", "down", "hanging", "mute"]


class Shelf:
    """A database of few words: it takes each id once, or fails in the ways databases do."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.mode: Mode = "up"
        self._changed = threading.Condition()

    def be(self, mode: Mode) -> None:
        with self._changed:
            self.mode = mode
            self._changed.notify_all()

    def append(self, batch: Sequence[Entry]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self.mode != "hanging")
            if self.mode == "down":
                raise JournalError("It is down.")
            taken = {entry.id for entry in self.entries}
            self.entries += [entry for entry in batch if entry.id not in taken]
            if self.mode == "mute":  # it was committed, and the connection broke before it said so
                raise JournalError("The connection is lost.")

    def said(self) -> list[str]:
        return [entry.event.text for entry in self.entries if isinstance(entry.event, Prompted)]


class Bench:
    """A writer in front of a shelf."""

    def __init__(self, shelf: Shelf, folder: Path | None, capacity: int, room: int, gather_s: float) -> None:
        self.shelf = shelf
        self.thread = ThreadPoolExecutor(1)
        self.durable = ""
        self.writer = Writer(
            shelf.append,
            thread=self.thread,
            durable=self._now_durable,
            disk=None if folder is None else Disk(folder, DATABASE, room),
            gather_s=gather_s,
            capacity=capacity,
        )

    def say(self, *texts: str) -> None:
        for text in texts:
            self.writer.put(Entry(str(uuid_utils.uuid7()), 1.5, "CA1", Prompted(text)))

    async def on_disk(self, count: int) -> None:
        """Wait until the disk has so many entries, and memory none."""
        await until(lambda: spooled(self.writer) == self.writer.waiting == count)

    def _now_durable(self, last: str) -> None:
        assert last <= max(entry.id for entry in self.shelf.entries)
        self.durable = max(last, self.durable)


def spooled(writer: Writer) -> int:
    return len(writer._spool) if writer._spool is not None else 0


def is_safe(writer: Writer) -> bool:
    """Whether memory holds nothing that is nowhere else."""
    return spooled(writer) == writer.waiting


def block_until(happened: Callable[[], object]) -> None:
    """Hold the loop up until a condition holds, as an agent that blocks does."""
    until_then = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < until_then
        time.sleep(0.002)


@asynccontextmanager
async def bench(
    shelf: Shelf,
    folder: Path | None = None,
    *,
    capacity: int = 50_000,
    room: int = 1 << 20,
    gather_s: float = 0.001,
) -> AsyncIterator[Bench]:
    made = Bench(shelf, folder, capacity, room, gather_s)
    await made.writer.start()
    try:
        yield made
    finally:
        await made.writer.aclose()
        shelf.be("down")  # nothing may hang on it
        made.thread.shutdown()


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


def hurry(patch: pytest.MonkeyPatch) -> None:
    """The same in less time."""
    patch.setattr(writer_module, "_PATIENCE_SECONDS", 0.02)
    patch.setattr(writer_module, "_SPILL_SECONDS", 0.01)
    patch.setattr(writer_module, "_BACKOFF_SECONDS", (0.002, 0.01))
    patch.setattr(writer_module, "_DISK_PAUSE_SECONDS", 0.02)
    patch.setattr(writer_module, "_CLOSING_SECONDS", 0.2)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


async def test_as_long_as_the_database_works_the_disk_is_not_touched(
    shelf: Shelf, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "_PATIENCE_SECONDS", 60.0)
    monkeypatch.setattr(writer_module, "_SPILL_SECONDS", 60.0)
    async with bench(shelf, folder) as made:
        made.say("one", "two")
        await made.writer.flush()
        assert (shelf.said(), made.writer.waiting) == (["one", "two"], 0)
        assert made.durable == shelf.entries[-1].id
    assert not folder.exists()


@pytest.mark.parametrize("mode", ["down", "hanging", "mute"])
async def test_what_the_database_does_not_take_is_on_the_disk_until_it_does(
    mode: Mode, shelf: Shelf, folder: Path
) -> None:
    async with bench(shelf, folder) as made:
        shelf.be(mode)
        made.say("one")
        await made.on_disk(1)
        made.say("two", "three")
        await made.on_disk(3)
        assert made.writer.outage
        shelf.be("up")
        await made.writer.flush()
        await until(lambda: not folder.exists())
        assert shelf.said() == ["one", "two", "three"]
        assert not made.writer.outage
        assert (made.writer.lost, made.writer.superseded) == (0, 0)


async def test_what_comes_while_the_spool_is_delivered_comes_after_it(shelf: Shelf, folder: Path) -> None:
    said = [f"{number}" for number in range(3000)]
    async with bench(shelf, folder) as made:
        shelf.be("down")
        for text in said[:2000]:
            made.say(text)
            if int(text) % 100 == 0:
                await asyncio.sleep(0)
        await made.on_disk(2000)
        shelf.be("up")
        for text in said[2000:]:
            made.say(text)
            if int(text) % 20 == 0:
                await asyncio.sleep(0.001)
        await made.writer.flush()
    assert shelf.said() == said


async def test_an_outage_does_not_hold_up_those_who_want_to_settle(shelf: Shelf, folder: Path) -> None:
    async with bench(shelf, folder) as made:
        made.say("one")
        assert await made.writer.settle(20)
        shelf.be("hanging")
        made.say("two")
        assert not await made.writer.settle(0.001)
        await until(lambda: made.writer.outage)
        assert not await made.writer.settle(3600)
        shelf.be("up")
        await made.writer.flush()
        assert await made.writer.settle(0)


async def test_what_is_left_at_the_end_goes_to_the_disk_and_is_taken_in_by_the_next(
    shelf: Shelf, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with bench(shelf, folder) as made:
        shelf.be("down")
        made.say("one", "two")
        waiter = asyncio.create_task(made.writer.flush())
        await asyncio.sleep(0)
    with pytest.raises(JournalError, match="closed before"):
        await waiter
    assert made.writer.lost == 0
    assert "2 entries wait in" in caplog.text
    shelf.be("up")
    async with bench(shelf, folder):
        await until(lambda: shelf.said() == ["one", "two"])
        await until(lambda: not folder.exists())
    assert "2 entries of a former process are taken in" in caplog.text


async def test_at_the_end_the_disk_has_even_what_hangs_in_the_database(shelf: Shelf, folder: Path) -> None:
    async with bench(shelf, folder) as made:
        shelf.be("hanging")
        made.say("one")
        await until(lambda: made.writer.outage)
        made.say("two")
        await made.writer.aclose()
        [left] = Spool.left_behind(folder, DATABASE)
        assert len(left) == 2
        left.close()
        shelf.be("up")


async def test_without_a_disk_memory_keeps_what_it_can(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    # Nothing is taken from memory before all is in it: what the writer has in hand is not shed.
    async with bench(shelf, capacity=100, gather_s=3600) as made:
        made.say("first")
        await made.writer.flush()
        shelf.be("down")
        made.say(*(f"{number}" for number in range(250)))
        written = asyncio.create_task(made.writer.flush())
        await until(lambda: "lost so far" in caplog.text)
        shelf.be("up")
        await written
        first, *kept = shelf.said()
    assert first == "first"
    assert kept == [f"{number}" for number in range(250)][-len(kept) :]
    assert made.writer.lost == 250 - len(kept) > 0


async def test_a_disk_that_takes_nothing_leaves_memory_and_is_tried_again(
    shelf: Shelf, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write_text("This is a file.")
    async with bench(shelf, folder) as made:
        shelf.be("down")
        made.say("one", "two")
        await until(lambda: "Nothing can be written to the spool" in caplog.text)
        made.say("three")
        assert made.writer.waiting == 3
        folder.unlink()
        await made.on_disk(3)
        made.say("four")
        shelf.be("up")
        await made.writer.flush()
    assert shelf.said() == ["one", "two", "three", "four"]
    assert "the disk takes entries again" in caplog.text
    assert caplog.text.count("Nothing can be written to the spool") == 1


async def test_what_memory_holds_is_written_while_the_callers_loop_is_blocked(
    shelf: Shelf, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write_text("This is a file.")
    async with bench(shelf, folder) as made:
        shelf.be("down")
        made.say("one", "two")
        await until(lambda: "Nothing can be written to the spool" in caplog.text)
        made.say("three")
        folder.unlink()
        block_until(lambda: spooled(made.writer) == made.writer.waiting == 3)
        made.say("four")
        shelf.be("up")
        block_until(lambda: shelf.said() == ["one", "two", "three", "four"])
        block_until(lambda: not folder.exists())
        made.say("five")
        block_until(lambda: shelf.said()[4:] == ["five"])
        assert made.durable == ""
        await made.writer.flush()
        assert made.durable == shelf.entries[-1].id
    assert made.writer.lost == 0


async def test_a_folder_that_cannot_be_written_to_is_told_of_at_the_start(
    shelf: Shelf, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    async with bench(shelf, tmp_path / "file" / "spool"):
        assert "Name another folder with VOICE_APP_SPOOL" in caplog.text


async def test_a_full_spool_leaves_the_newest_in_memory(
    shelf: Shelf, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with bench(shelf, folder, room=4096) as made:
        shelf.be("down")
        made.say(*(f"{number}" for number in range(10)))
        await until(lambda: spooled(made.writer) == 10)
        made.say(*(f"{number}" for number in range(10, 200)))
        await until(lambda: "is full" in caplog.text)
        assert 0 < spooled(made.writer) < made.writer.waiting == 200
        shelf.be("up")
        await made.writer.flush()
    assert shelf.said() == [f"{number}" for number in range(200)]
    assert made.writer.lost == 0


async def test_a_crowd_in_memory_goes_to_the_disk_while_the_database_works(
    shelf: Shelf, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "_CROWD", 100)
    monkeypatch.setattr(writer_module, "_PATIENCE_SECONDS", 60.0)
    said = [f"{number}" for number in range(900)]
    async with bench(shelf, folder, capacity=1000, gather_s=3600) as made:
        shelf.be("hanging")  # as long as it is looked at
        made.say(*said)
        written = asyncio.create_task(made.writer.flush())
        await made.on_disk(900)
        assert not made.writer.outage
        shelf.be("up")
        await written
    assert shelf.said() == said
    assert made.writer.lost == 0


async def test_an_entry_that_no_database_takes_does_not_stop_the_spool(
    shelf: Shelf, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def picky(batch: Sequence[Entry]) -> None:
        if any(entry.event == Prompted("bad") for entry in batch):
            raise ValueError("bad")
        Shelf.append(shelf, batch)

    monkeypatch.setattr(shelf, "append", picky)
    async with bench(shelf, folder) as made:
        shelf.be("down")
        made.say("one")
        await made.on_disk(1)
        made.say("bad", "two")
        await made.on_disk(3)
        shelf.be("up")
        await made.writer.flush()
    assert shelf.said() == ["one", "two"]
    assert made.writer.lost == 1
    assert "event of call CA1 cannot be stored" in caplog.text


async def test_the_metrics_tell_how_it_stands(shelf: Shelf, folder: Path) -> None:
    def told(name: str) -> float | None:
        return metrics.METRICS.sample(f"voice_app_journal_{name}")

    async with bench(shelf, folder) as made:
        assert told("up") == 1
        shelf.be("down")
        made.say("one", "two")
        await until(lambda: (told("up"), told("waiting"), told("spooled")) == (0, 2, 2))
        lost = told("lost_total")
        made.say(object())  # type: ignore[arg-type]
        await until(lambda: told("lost_total") == (lost or 0) + 1)
        shelf.be("up")
        await made.writer.flush()
        await until(lambda: (told("up"), told("waiting"), told("spooled")) == (1, 0, 0))


async def test_a_trouble_is_told_when_it_begins_and_when_it_ends(
    shelf: Shelf, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with bench(shelf, folder) as made:
        shelf.be("down")
        made.say("one")
        await made.on_disk(1)
        made.say("two")
        await made.on_disk(2)
        shelf.be("up")
        await made.writer.flush()
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]


async def test_a_database_that_hangs_is_told_of(
    shelf: Shelf, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "_SILENCE_SECONDS", 0.0)
    async with bench(shelf, folder) as made:
        shelf.be("hanging")
        made.say("one")
        await until(lambda: "does not answer" in caplog.text)
        shelf.be("up")
        await made.writer.flush()


async def crash(made: Bench) -> None:
    """What the kernel does when a process is killed: its tasks are no more, and its locks are released."""

    async def end() -> None:
        for task in made.writer._tasks:
            task.cancel()
        for spool in (made.writer._spool, *made.writer._inherited):
            if spool is not None:
                os.close(spool._lock)
                spool._lock = -1

    await made.writer._own.run(end)
    made.writer._own.stop()


Step = tuple[Literal["say", "be", "crash", "pause"], int | Mode]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(1, 40)),
        st.tuples(st.just("be"), st.sampled_from(["up", "down", "hanging", "mute"])),
        st.tuples(st.just("crash"), st.just(0)),
        st.tuples(st.just("pause"), st.integers(0, 30)),
    ),
    max_size=12,
)


@given(steps)
@settings(max_examples=40)
def test_whatever_happens_each_entry_arrives_once_and_in_order(steps: list[Step]) -> None:
    async def run(folder: Path) -> tuple[list[str], list[str]]:
        shelf, said = Shelf(), list[str]()
        made = Bench(shelf, folder, 1000, 1 << 20, 0.001)
        await made.writer.start()
        for what, value in steps:
            if what == "say" and isinstance(value, int):
                texts = [f"{len(said) + number}" for number in range(value)]
                said += texts
                made.say(*texts)
            elif what == "be" and not isinstance(value, int):
                shelf.be(value)
            elif what == "pause" and isinstance(value, int):
                await asyncio.sleep(value / 1000)
            elif what == "crash":
                # Within a second of being said everything is durable, be it on the disk.
                await until(partial(is_safe, made.writer))
                await crash(made)
                shelf.be("down")
                made = Bench(shelf, folder, 1000, 1 << 20, 0.001)
                await made.writer.start()
        shelf.be("up")
        await made.writer.flush()
        await until(lambda: len(shelf.entries) >= len(said))
        await made.writer.aclose()
        return said, shelf.said()

    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        said, kept = asyncio.run(run(Path(folder) / "spool"))
    assert sorted(kept, key=int) == said


def test_the_spool_takes_growing_replies_as_they_are(tmp_path: Path) -> None:
    """Only a full spool spares any."""
    spool = Spool.begin(tmp_path, DATABASE, 1 << 20)
    grown = [Entry(f"{n}", 1.5, "CA1", Replied(1, "VX1", "a" * n)) for n in range(5)]
    spool.append(grown)
    assert spool.head() == grown
    spool.close()
