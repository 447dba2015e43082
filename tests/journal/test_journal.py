from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import cast

import pytest

from support.preloaded import program
from support.waiting import until
from voice_app.calls import CallState, HistoryLine
from voice_app.journal import Entry, Journal, JournalError
from voice_app.journal import writer as writer_module
from voice_app.journal.events import Closed, Opened, Prompted, Replied
from voice_app.journal.store import Store, database


@pytest.fixture
def url(database_url: str) -> str:
    """A database that does not wait long for somebody else's lock."""
    if database_url.startswith("sqlite"):
        return f"{database_url}?timeout=0.01"
    return f"{database_url}&options=-c%20lock_timeout%3D10ms"


class Elsewhere:
    """Somebody else with the same database."""

    def __init__(self, url: str) -> None:
        self._database = database(url)

    def rows(self) -> int:
        with self._database.reading() as connection:
            return int(connection.exec_driver_sql("SELECT count(*) FROM events").scalar_one())

    def execute(self, statement: str) -> None:
        with self._database.begin() as connection:
            connection.exec_driver_sql(statement)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """While the block runs events can be read but not written."""
        with self._database.begin() as connection:
            if self._database.shared:
                connection.exec_driver_sql("LOCK TABLE events IN EXCLUSIVE MODE")
            yield

    def close(self) -> None:
        self._database.close()


@pytest.fixture
def elsewhere(database_url: str) -> Iterator[Elsewhere]:
    elsewhere = Elsewhere(database_url)
    yield elsewhere
    elsewhere.close()


async def said(journal: Journal, call_sid: str = "CA1") -> list[str]:
    return [entry.event.text for entry in await journal.events(call_sid) if isinstance(entry.event, Prompted)]


async def test_what_is_written_becomes_durable_by_itself(url: str, elsewhere: Elsewhere) -> None:
    async with Journal(url) as journal:
        journal.write("CA1", Prompted("Hello?"))
        await until(lambda: elsewhere.rows() == 1)


async def test_after_a_flush_another_process_can_read_it(database_url: str) -> None:
    async with Journal(database_url) as journal:
        for number in range(300):
            journal.write(f"CA{number % 3}", Prompted(str(number)))
        await journal.flush()
        assert journal.waiting == 0
        reader = (
            "import sys; from voice_app.journal.store import Store; "
            "entries = Store(sys.argv[1]).since('', 999); print(len(entries), entries[-1].event.text)"
        )
        process = await program(reader, database_url)
        output, _ = await process.communicate()
    assert output == b"300 299\n"


async def test_what_was_flushed_survives_a_process_that_dies(database_url: str) -> None:
    writer = """
import asyncio, os, sys
from voice_app.journal import Journal
from voice_app.journal.events import Prompted

async def main():
    journal = Journal(sys.argv[1])
    await journal.open()
    journal.write("CA1", Prompted("Remember me"))
    await journal.flush()
    os._exit(9)

asyncio.run(main())
"""
    process = await program(writer, database_url)
    await process.communicate()
    assert process.returncode == 9
    async with Journal(database_url, create=False) as journal:
        heard = CallState.of(await journal.events("CA1")).transcript.as_heard()
    assert heard == [HistoryLine("user", "Remember me")]


async def test_what_was_said_before_an_agent_blocked_survives_a_kill_meanwhile(
    database_url: str, elsewhere: Elsewhere
) -> None:
    blocked = """
import asyncio, sys, time
from voice_app.journal import Journal
from voice_app.journal.events import Prompted

async def main():
    journal = Journal(sys.argv[1])
    await journal.open()
    for number in range(3):
        journal.write("CA1", Prompted(str(number)))
    time.sleep(3600)

asyncio.run(main())
"""
    async with Journal(database_url):
        pass  # now there is a database
    process = await program(blocked, database_url)
    await until(lambda: elsewhere.rows() == 3)
    process.kill()
    await process.communicate()
    async with Journal(database_url, create=False) as journal:
        assert await said(journal) == ["0", "1", "2"]


async def test_closing_writes_what_is_left(url: str, elsewhere: Elsewhere) -> None:
    journal = Journal(url, gather_s=3600)
    await journal.open()
    journal.write("CA1", Prompted("Bye"))
    await journal.aclose()
    await journal.aclose()
    assert elsewhere.rows() == 1
    assert journal.lost == 0


async def test_a_flush_does_not_wait_for_more_to_come(database_url: str) -> None:
    async with Journal(database_url, gather_s=3600) as journal:
        await journal.flush()
        journal.write("CA1", Prompted("Now"))
        async with asyncio.timeout(10):
            await asyncio.gather(journal.flush(), journal.flush())
        assert journal.waiting == 0


async def test_what_comes_together_is_committed_together(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    append = Store.append

    def watched(store: Store, entries: Sequence[Entry]) -> None:
        batches.append(len(entries))
        append(store, entries)

    monkeypatch.setattr(Store, "append", watched)
    async with Journal(database_url, gather_s=3600) as journal:
        for number in range(50):
            journal.write("CA1", Prompted(str(number)))
            await asyncio.sleep(0)
        await journal.flush()
    assert batches == [50]


async def test_a_flush_that_is_given_up_disturbs_nobody(url: str, elsewhere: Elsewhere) -> None:
    async with Journal(url) as journal:
        with elsewhere.lock():
            journal.write("CA1", Prompted("one"))
            impatient = asyncio.create_task(journal.flush())
            patient = asyncio.create_task(journal.flush())
            await asyncio.sleep(0)
            impatient.cancel()
        await patient
        assert impatient.cancelled()


async def test_reads_see_what_was_written_just_now(database_url: str) -> None:
    async with Journal(database_url, gather_s=3600) as journal:
        journal.write("CA1", Opened("+15550100001", "+15550100002", "inbound"))
        journal.write("CA1", Replied(0, "VX1", "Hello!", True))
        await journal.flush()
        journal.write("CA1", Prompted("Hi"))
        journal.write("CA2", Prompted("Not me"))
        assert CallState.of(await journal.events("CA1")).transcript.as_heard() == [
            HistoryLine("assistant", "Hello!"),
            HistoryLine("user", "Hi"),
        ]
        assert journal.waiting == 2
        journal.write("CA1", Closed("completed"))
        call = await journal.call("CA1")
        assert call is not None
        assert call.status == "completed"
        assert [found.call_sid async for found in journal.select()] == ["CA2", "CA1"]


async def test_events_keep_the_order_of_writing_within_a_millisecond(database_url: str) -> None:
    async with Journal(database_url, clock=lambda: 5.0) as journal:
        for number in range(5000):
            journal.write("CA1", Prompted(str(number)))
        await journal.flush()
        assert await said(journal) == [str(number) for number in range(5000)]
        assert {entry.at for entry in await journal.events("CA1")} == {5.0}


async def test_times_are_the_clock_s(database_url: str) -> None:
    ticks = count(100)
    async with Journal(database_url, clock=lambda: float(next(ticks))) as journal:
        journal.write("CA1", Opened())
        journal.write("CA1", Closed("completed"))
        call = await journal.call("CA1")
        assert call is not None
        assert (call.opened_at, call.closed_at, call.duration_s) == (100.0, 101.0, 1.0)


async def test_a_locked_database_delays_and_loses_nothing(
    url: str, elsewhere: Elsewhere, caplog: pytest.LogCaptureFixture
) -> None:
    async with Journal(url) as journal:
        with elsewhere.lock():
            journal.write("CA1", Prompted("0"))
            await until(lambda: "database is locked" in caplog.text or "lock timeout" in caplog.text)
            for number in range(1, 100):
                journal.write("CA1", Prompted(str(number)))
            assert journal.waiting == 100
            assert await said(journal) == [str(number) for number in range(100)]
        await journal.flush()
        assert await said(journal) == [str(number) for number in range(100)]
        assert elsewhere.rows() == 100
    assert journal.lost == 0
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]


async def test_a_database_that_cannot_be_written_is_tried_again(
    url: str, elsewhere: Elsewhere, caplog: pytest.LogCaptureFixture
) -> None:
    async with Journal(url) as journal:
        elsewhere.execute("ALTER TABLE events RENAME TO elsewhere")
        journal.write("CA1", Prompted("one"))
        journal.write("CA1", Prompted("two"))
        await until(lambda: "no such table" in caplog.text or "does not exist" in caplog.text)
        elsewhere.execute("ALTER TABLE elsewhere RENAME TO events")
        await journal.flush()
        assert await said(journal) == ["one", "two"]


async def test_an_event_that_no_database_takes_does_not_stop_the_others(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Journal(database_url) as journal:
        journal.write("CA1", Prompted("before"))
        journal.write("CA1", Prompted(cast(str, object())))
        journal.write("CA1", Prompted("after"))
        await journal.flush()
        assert await said(journal) == ["before", "after"]
        assert journal.lost == 1
    assert "event of call CA1 cannot be stored" in caplog.text


async def test_what_overload_costs_is_counted_and_logged(
    url: str, elsewhere: Elsewhere, caplog: pytest.LogCaptureFixture
) -> None:
    async with Journal(url, capacity=100) as journal:
        for number in range(1000):
            journal.write("CA1", Prompted(str(number)))
        await journal.flush()
        kept = await said(journal)
    assert journal.lost == 1000 - len(kept) > 0
    assert kept == [str(number) for number in range(1000)][-len(kept) :]
    assert caplog.text.count("entries are lost so far") == 1


async def test_closing_takes_no_longer_than_it_may(
    url: str,
    elsewhere: Elsewhere,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer_module, "_CLOSING_SECONDS", 0.05)
    journal = Journal(url)
    await journal.open()
    with elsewhere.lock():
        journal.write("CA1", Prompted("one"))
        journal.write("CA1", Prompted("two"))
        waiting = asyncio.create_task(journal.flush())
        async with asyncio.timeout(10):
            await journal.aclose()
            with pytest.raises(JournalError, match="closed"):
                await waiting
    assert journal.lost == 2
    assert "2 entries could not be written and are lost" in caplog.text


async def test_what_comes_after_the_end_is_lost_aloud(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Journal(database_url) as journal:
        pass
    journal.write("CA1", Closed("completed"))
    assert (journal.waiting, journal.lost) == (0, 1)
    assert "call CA1 came after the journal was closed" in caplog.text


async def test_two_processes_may_write_to_one_journal(database_url: str) -> None:
    async with Journal(database_url) as one, Journal(database_url) as other:
        one.write("CA1", Opened("+15550100001"))
        await one.flush()
        other.write("CA1", Prompted("Hi"))
        await other.flush()
        one.write("CA1", Closed("completed"))
        assert [type(entry.event) for entry in await other.events("CA1")] == [Opened, Prompted]
        assert [type(entry.event) for entry in await one.events("CA1")] == [Opened, Prompted, Closed]


async def test_a_journal_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no journal at"):
        await Journal(f"sqlite:///{tmp_path}/absent.db", create=False).open()


async def test_what_is_written_before_the_journal_is_open_is_kept(database_url: str) -> None:
    journal = Journal(database_url)
    journal.write("CA1", Prompted("early"))
    with pytest.raises(RuntimeError, match="not open"):
        await journal.flush()
    async with journal:
        assert await said(journal) == ["early"]
