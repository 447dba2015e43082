"""What one server writes, the others show as it happens: two journals on one PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from support.postgres import Postgres
from support.waiting import until
from voice_app.journal import Entry, Journal
from voice_app.journal.events import Closed, Event, Notified, Opened, Prompted


@pytest.fixture
async def one(postgres_url: str) -> AsyncIterator[Journal]:
    async with Journal(postgres_url) as journal:
        yield journal


@pytest.fixture
async def other(one: Journal, postgres_url: str) -> AsyncIterator[Journal]:
    async with Journal(postgres_url) as journal:
        yield journal


async def take(queue: asyncio.Queue[Entry], count: int) -> list[Event]:
    """The next events, in the order in which they come."""
    async with asyncio.timeout(20):
        return [(await queue.get()).event for _ in range(count)]  # type: ignore[misc]


async def test_a_reader_sees_what_another_server_writes(one: Journal, other: Journal) -> None:
    written: list[Event] = [Opened("+15550100001"), Prompted("Hi"), Closed("completed")]
    with one.feed() as feed:
        for event in written:
            other.write("CA1", event)
        assert await take(feed, 3) == written


async def test_on_each_call_a_reader_sees_the_order_of_writing(one: Journal, other: Journal) -> None:
    with one.feed() as feed:
        for number in range(1500):
            other.write(f"CA{number % 3}", Prompted(f"{number}"))
            if number % 100 == 0:
                await asyncio.sleep(0.01)
        seen: dict[str, list[int]] = {}
        async with asyncio.timeout(20):
            for _ in range(1500):
                entry = await feed.get()
                assert isinstance(entry.event, Prompted)
                seen.setdefault(entry.call_sid, []).append(int(entry.event.text))
    assert seen == {f"CA{first}": list(range(first, 1500, 3)) for first in range(3)}


async def test_what_a_server_writes_itself_is_seen_at_once_and_once(one: Journal, other: Journal) -> None:
    with one.feed() as feed:
        one.write("CA1", Prompted("mine"))
        assert feed.get_nowait().event == Prompted("mine")
        await one.flush()
        other.write("CA1", Prompted("theirs"))
        assert await take(feed, 1) == [Prompted("theirs")]
        one.write("CA1", Prompted("mine again"))
        await one.flush()
        other.write("CA1", Prompted("the end"))
        assert await take(feed, 2) == [Prompted("mine again"), Prompted("the end")]
        assert feed.empty()


async def test_two_readers_see_the_same(one: Journal, other: Journal) -> None:
    with one.feed() as first, one.feed() as second:
        other.write("CA1", Prompted("Hi"))
        assert await take(first, 1) == await take(second, 1) == [Prompted("Hi")]


async def test_what_was_written_before_is_not_shown(one: Journal, other: Journal) -> None:
    other.write("CA1", Prompted("before"))
    await other.flush()
    with one.feed() as feed:
        other.write("CA1", Prompted("now"))
        assert await take(feed, 1) == [Prompted("now")]


async def test_the_same_told_to_two_servers_is_kept_once_and_shown_once(one: Journal, other: Journal) -> None:
    with one.feed() as feed:
        for journal in (one, other, one):
            journal.write("CA1", Notified("PARTICIPANT_ADDED"), once="token")
            await journal.flush()
        other.write("CA1", Prompted("the end"))
        shown = await take(feed, 2)
    assert shown == [Notified("PARTICIPANT_ADDED"), Prompted("the end")]
    assert [entry.event for entry in await one.events("CA1")] == shown


async def test_after_the_database_was_away_a_reader_sees_what_it_missed(
    postgres: Postgres, one: Journal, other: Journal
) -> None:
    with one.feed() as feed:
        other.write("CA1", Prompted("before"))
        assert await take(feed, 1) == [Prompted("before")]
        await asyncio.to_thread(postgres.stop)
        other.write("CA1", Prompted("meanwhile"))
        await asyncio.to_thread(postgres.start)
        other.write("CA1", Prompted("after"))
        assert await take(feed, 2) == [Prompted("meanwhile"), Prompted("after")]


async def test_the_database_is_listened_to_only_while_there_is_a_reader(
    postgres: Postgres, postgres_url: str, one: Journal
) -> None:
    def listeners() -> int:
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query ~ '^LISTEN'"
        )
        return int(postgres.execute(query, postgres_url)[0][0])

    assert listeners() == 0
    with one.feed():
        await until(lambda: listeners() == 1)
        with one.feed():
            pass
        assert listeners() == 1
    await until(lambda: listeners() == 0)
    with one.feed():
        await until(lambda: listeners() == 1)


async def test_a_journal_may_be_closed_while_somebody_follows(postgres_url: str) -> None:
    journal = Journal(postgres_url)
    await journal.open()
    with journal.feed() as feed:
        journal.write("CA1", Prompted("Hi"))
        await journal.aclose()
    assert feed.get_nowait().event == Prompted("Hi")


async def test_on_sqlite_nobody_else_is_listened_to(tmp_path: object) -> None:
    async with Journal(f"sqlite:///{tmp_path}/journal.db") as journal:
        with journal.feed() as feed:
            journal.write("CA1", Prompted("Hi"))
            assert feed.get_nowait().event == Prompted("Hi")
