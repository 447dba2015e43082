"""The database goes away while calls are on the line: PostgreSQL stops, or hangs; SQLite's disk is full."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from support.postgres import Postgres
from support.preloaded import program
from support.tools import unavailable
from support.waiting import until
from voice_app.calls import CallState, HistoryLine
from voice_app.journal import Entry, Journal, JournalError, circuit_breaker
from voice_app.journal import writer as writer_module
from voice_app.journal.events import Closed, Connected, Event, Opened, Prompted, Replied, Served

CALLS = [f"CA{number:032x}" for number in range(5)]


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in less time."""
    monkeypatch.setattr(writer_module, "_PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(writer_module, "_SPILL_SECONDS", 0.05)
    monkeypatch.setattr(writer_module, "_BACKOFF_SECONDS", (0.02, 0.1))
    monkeypatch.setattr(writer_module, "_CLOSING_SECONDS", 1.0)
    monkeypatch.setattr(circuit_breaker, "_PROBE_SECONDS", 0.05)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@asynccontextmanager
async def down(postgres: Postgres) -> AsyncIterator[None]:
    await asyncio.to_thread(postgres.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(postgres.start)


def on_disk(journal: Journal) -> int:
    """How many entries wait on the disk, once none waits in memory."""
    writer = journal._writer
    spooled = len(writer._spool) if writer._spool is not None else 0
    return spooled if spooled == journal.waiting else 0


def said(entries: list[Entry]) -> list[str]:
    return [entry.event.text for entry in entries if isinstance(entry.event, Prompted)]


def rows(postgres: Postgres, url: str) -> int:
    return int(postgres.execute("SELECT count(*) FROM events", url)[0][0])


async def test_a_database_that_is_stopped_and_started_has_everything_in_order_and_once(
    postgres: Postgres, postgres_url: str, folder: Path
) -> None:
    spoken: dict[str, list[str]] = {call_sid: [] for call_sid in CALLS}
    over = asyncio.Event()

    async def talk(journal: Journal, call_sid: str) -> None:
        journal.write(call_sid, Opened("+15550100001", "+15550100002", "inbound"))
        while not over.is_set():
            text = f"{len(spoken[call_sid])}"
            spoken[call_sid].append(text)
            journal.write(call_sid, Prompted(text))
            journal.write(call_sid, Replied(int(text), "VX1", f"Yes, {text}", done=True))
            await asyncio.sleep(0.002)

    async with Journal(postgres_url, spool=folder) as journal:
        async with asyncio.TaskGroup() as tasks:
            for call_sid in CALLS:
                tasks.create_task(talk(journal, call_sid))
            await journal.flush()
            async with down(postgres):
                await until(lambda: on_disk(journal) > 500)
                for call_sid in CALLS:  # each call knows what was said on it
                    known = said(await journal.events(call_sid))
                    assert known == spoken[call_sid][: len(known)]
                    assert len(known) > 50
            await journal.flush()
            over.set()
        await journal.flush()
        for call_sid in CALLS:
            assert said(await journal.events(call_sid)) == spoken[call_sid]
            assert said(journal._store.events(call_sid)) == spoken[call_sid]
        assert journal.lost == journal.superseded == 0
    assert rows(postgres, postgres_url) == sum(1 + 2 * len(texts) for texts in spoken.values())
    assert not folder.exists()


async def test_a_database_that_hangs_holds_nobody_up(
    postgres: Postgres, postgres_url: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Journal(postgres_url, spool=folder, read_s=0.2) as journal:
        journal.write("CA1", Opened("+15550100001"))
        journal.write("CA1", Prompted("one"))
        assert await journal.settle(30)
        with postgres.frozen():
            assert said(await journal.events("CA1")) == ["one"]
            journal.write("CA1", Prompted("two"))
            await until(lambda: on_disk(journal) == 1)
            assert not await journal.settle(3600)
            assert said(await journal.events("CA1")) == ["one", "two"]
            with pytest.raises(JournalError, match="did not answer within"):
                await journal.events("CA2")
        await journal.flush()
        await until(lambda: "can be read again" in caplog.text)
        assert said(await journal.events("CA1")) == ["one", "two"]
        assert await journal.events("CA2") == []
        assert rows(postgres, postgres_url) == 3


async def test_a_call_that_another_server_began_is_known_once_it_was_read(
    postgres: Postgres, postgres_url: str, folder: Path
) -> None:
    async with Journal(postgres_url) as other, Journal(postgres_url, spool=folder) as journal:
        other.write("CA1", Opened("+15550100001"))
        other.write("CA1", Prompted("one"))
        await other.flush()
        assert said(await journal.events("CA1")) == ["one"]
        journal.write("CA1", Prompted("two"))
        async with down(postgres):
            journal.write("CA1", Prompted("three"))
            await until(lambda: on_disk(journal) > 0)
            assert CallState.of(await journal.events("CA1")).transcript.as_heard() == [
                HistoryLine("user", "one"),
                HistoryLine("user", "two"),
                HistoryLine("user", "three"),
            ]


async def test_while_nothing_can_be_written_what_another_server_has_written_is_read(
    postgres: Postgres, postgres_url: str, folder: Path
) -> None:
    async with Journal(postgres_url) as other, Journal(postgres_url, spool=folder) as journal:
        other.write("CA1", Opened("+15550100001"))
        await other.flush()
        await journal.events("CA1")  # from now on it is known here
        other.write("CA1", Prompted("one"))
        await other.flush()
        with postgres.no_writes(postgres_url):
            journal.write("CA1", Prompted("two"))
            await until(lambda: journal.outage)
            assert said(await journal.events("CA1")) == ["one", "two"]
        await journal.flush()


async def test_a_call_whose_session_is_here_waits_for_no_database_in_an_outage(
    postgres: Postgres, postgres_url: str, folder: Path
) -> None:
    async with Journal(postgres_url, spool=folder, read_s=3600) as journal:
        for event in (Opened("+15550100001"), Connected("VX1"), Prompted("one")):
            journal.write("CA1", event)
        assert await journal.settle(30)
        with postgres.frozen():
            journal.write("CA1", Prompted("two"))
            await until(lambda: journal.outage)
            assert said(await journal.events("CA1")) == ["one", "two"]
        await journal.flush()


async def test_the_events_of_a_call_that_nobody_here_knows_cannot_be_read(
    postgres: Postgres, postgres_url: str
) -> None:
    async with Journal(postgres_url) as journal, down(postgres):
        with pytest.raises(JournalError, match="Check that PostgreSQL runs"):
            await journal.events("CA1")
        with pytest.raises(JournalError, match="Check that PostgreSQL runs"):
            await anext(journal.select())
        with pytest.raises(JournalError):
            await journal.beat("ready")


async def test_a_server_that_stops_in_an_outage_leaves_what_it_has_to_the_next(
    postgres: Postgres, postgres_url: str, folder: Path
) -> None:
    journal = Journal(postgres_url, spool=folder)
    await journal.open()
    async with down(postgres):
        journal.write("CA1", Prompted("one"))
        journal.write("CA1", Prompted("two"))
        await journal.aclose()
        assert journal.lost == 0
    async with Journal(postgres_url, spool=folder) as heir:
        await until(lambda: not folder.exists())
        assert said(await heir.events("CA1")) == ["one", "two"]


KILLED = """
import asyncio, sys
from pathlib import Path
from voice_app.journal import Journal
from voice_app.journal.events import Closed, Prompted

async def main():
    journal = Journal(sys.argv[1], spool=Path(sys.argv[2]))
    await journal.open()
    journal.write("CA1", Prompted("0"))
    await journal.flush()
    print("open", flush=True)
    number = 0
    while True:
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        for _ in range(100):
            number += 1
            journal.write("CA1", Prompted(str(number)))
        while journal._writer._spool is None or len(journal._writer._spool) < journal.waiting:
            await asyncio.sleep(0.01)
        print(number, flush=True)

asyncio.run(main())
"""


async def test_a_process_that_is_killed_in_an_outage_loses_nothing(
    postgres: Postgres, postgres_url: str, folder: Path
) -> None:
    process = await program(KILLED, postgres_url, str(folder))
    assert await process.stdout.readline() == b"open\n"
    async with down(postgres):
        for number in (100, 200):
            process.stdin.write(b"\n")
            assert await process.stdout.readline() == f"{number}\n".encode()
        process.kill()
        await process.communicate()
    async with Journal(postgres_url, spool=folder) as heir:
        await until(lambda: not folder.exists())
        assert said(await heir.events("CA1")) == [f"{number}" for number in range(201)]
        assert rows(postgres, postgres_url) == 201


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A disk of 512 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        unavailable("only root can mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


async def test_on_a_full_disk_calls_go_on_and_everything_is_there_when_there_is_room(
    tiny: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "_DISK_PAUSE_SECONDS", 0.05)
    async with Journal(f"sqlite:///{tiny}/journal.db", spool=tiny / "spool") as journal:
        journal.write("CA1", Opened("+15550100001"))
        journal.write("CA1", Prompted("0"))
        await journal.flush()
        ballast = tiny / "ballast"
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"x" * 1024)
        for number in range(1, 200):
            journal.write("CA1", Prompted(f"{number}"))
            if number % 20 == 0:
                await asyncio.sleep(0.01)
        await until(lambda: "disk is full" in caplog.text and "No space left on device" in caplog.text)
        assert said(await journal.events("CA1")) == [f"{number}" for number in range(200)]
        ballast.unlink()
        await journal.flush()
        assert said(await journal.events("CA1")) == [f"{number}" for number in range(200)]
    assert journal.lost == 0


async def test_what_a_full_disk_costs_in_the_end_is_lost_aloud(
    tiny: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(f"sqlite:///{tiny}/journal.db?timeout=0.01", spool=tiny / "spool", capacity=100)
    await journal.open()
    with (tiny / "ballast").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 1024)
    for number in range(5000):
        journal.write("CA1", Prompted("much to say " * 10))
        if number % 50 == 0:
            await asyncio.sleep(0.001)
    await until(lambda: "entries are lost so far" in caplog.text)
    await journal.aclose()
    assert journal.lost > 0
    assert "could not be written and are lost" in caplog.text


async def test_a_database_that_is_moved_away_is_told_and_has_everything_when_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    here, away = tmp_path / "here", tmp_path / "away"
    here.mkdir()
    async with Journal(f"sqlite:///{here}/journal.db", spool=tmp_path / "spool") as journal:
        journal.write("CA1", Opened("+15550100001"))
        journal.write("CA1", Prompted("one"))
        await journal.flush()
        here.rename(away)
        journal.write("CA1", Prompted("two"))
        journal.write("CA2", Opened("+15550100001"))
        await until(lambda: on_disk(journal) == 2)
        assert said(await journal.events("CA1")) == ["one", "two"]
        with pytest.raises(JournalError, match=r"was moved or deleted under the server.* Put it back"):
            await anext(journal.select())
        assert not here.exists()
        away.rename(here)
        await journal.flush()
        assert said(journal._store.events("CA1")) == ["one", "two"]
        await until(lambda: "can be read again" in caplog.text)
        assert sorted([call.call_sid async for call in journal.select()]) == ["CA1", "CA2"]
    assert "journal.db was moved or deleted under the server" in caplog.text
    assert journal.lost == 0


async def test_a_database_that_is_deleted_under_the_server_loses_nothing_of_what_comes_then(
    tmp_path: Path,
) -> None:
    url, spool = f"sqlite:///{tmp_path}/journal.db", tmp_path / "spool"
    async with Journal(url, spool=spool) as journal:
        journal.write("CA1", Prompted("one"))
        await journal.flush()
        for file in tmp_path.glob("journal.db*"):
            file.unlink()
        journal.write("CA1", Prompted("two"))
        await until(lambda: on_disk(journal) == 1)
        assert not list(tmp_path.glob("journal.db*"))
    async with Journal(url, spool=spool) as heir:
        await until(lambda: not spool.exists())
        assert said(await heir.events("CA1")) == ["two"]


async def test_a_database_that_is_put_in_the_place_of_another_is_the_one_that_is_written(
    tmp_path: Path,
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    async with Journal(f"sqlite:///{new}") as made:
        made.write("CA1", Prompted("kept"))
    async with Journal(f"sqlite:///{old}", spool=tmp_path / "spool") as journal:
        journal.write("CA1", Prompted("one"))
        await journal.flush()
        for file in tmp_path.glob("old-*"):
            file.unlink()
        new.replace(old)
        journal.write("CA1", Prompted("two"))
        await journal.flush()
        assert said(journal._store.events("CA1")) == ["kept", "two"]


async def test_a_call_is_forgotten_by_memory_once_it_is_over_and_kept(tmp_path: Path) -> None:
    async with Journal(f"sqlite:///{tmp_path}/journal.db") as journal:
        happened: list[Event] = [Opened("+15550100001"), Prompted("one"), Closed("completed")]
        for event in happened:
            journal.write("CA1", event)
        assert len(journal._cache) == 3
        await journal.flush()
        assert len(journal._cache) == 0
        assert [entry.event for entry in await journal.events("CA1")] == happened
        assert len(journal._cache) == 0


async def test_a_document_is_read_with_its_text_from_the_database_alone(tmp_path: Path) -> None:
    served = Served("answer.xml", "answer", "Hello", document="<Response/>")
    async with Journal(f"sqlite:///{tmp_path}/journal.db") as journal:
        journal.write("CA1", Opened("+15550100001"))
        journal.write("CA1", served)
        for _ in range(2):  # while it waits, and once it is durable
            assert [entry.event for entry in await journal.events("CA1")][1:] == [served]
            await journal.flush()
        assert [entry.event for entry in await journal.events("CA1")][1:] == [served]
        assert [entry.event for entry in journal._cache.of("CA1")][1:] == [replace(served, document="")]


async def test_a_document_that_becomes_durable_while_it_is_read_has_its_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Served("answer.xml", "answer", "Hello", document="<Response/>")
    async with Journal(f"sqlite:///{tmp_path}/journal.db") as journal:
        journal.write("CA1", Opened("+15550100001"))
        journal.write("CA1", served)

        async def read_before(*_: object, **__: object) -> list[Entry]:
            await journal.flush()
            return []

        monkeypatch.setattr(journal._calls, "ask", read_before)
        assert [entry.event for entry in await journal.events("CA1")][1:] == [served]
        assert [entry.event for entry in journal._cache.of("CA1")][1:] == [replace(served, document="")]


async def test_a_call_waits_for_no_list_and_a_list_that_fails_says_nothing_about_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, asked = threading.Event(), []

    def slow(*_: object) -> list[Entry]:
        asked.append(1)
        go_on.wait(20)
        raise JournalError("It took too long.")

    async with Journal(f"sqlite:///{tmp_path}/journal.db", read_s=2) as journal:
        journal.write("CA1", Opened("+15550100001"))
        await journal.flush()
        monkeypatch.setattr(journal._store, "since", slow)
        lists = [asyncio.create_task(journal.since("", 10)) for _ in range(5)]
        await until(lambda: len(asked) == 3, "lists to be read by all threads there are")
        assert [type(entry.event) for entry in await journal.events("CA1")] == [Opened]
        go_on.set()
        await asyncio.wait(lists)
        assert all(isinstance(task.exception(), JournalError) for task in lists)
        assert journal.readable
        assert [type(entry.event) for entry in await journal.events("CA1")] == [Opened]
