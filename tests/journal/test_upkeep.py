"""Old calls are erased by a server itself, beside its calls, and what a crash cut off is finished."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from support.journals import talk, write
from support.postgres import Postgres
from support.sandbox import database, sandbox
from support.waiting import until
from voice_app.journal import Journal, Selection, search
from voice_app.journal.events import Closed, Event, Opened, Prompted
from voice_app.journal.upkeep import DAY_SECONDS, MISSED_DAYS, index_missed, keep
from voice_app.telemetry import metrics

CALLER = "+15550100001"


@asynccontextmanager
async def keeping(journal: Journal, days: int = 7) -> AsyncIterator[None]:
    """Erase, again and again and without a pause, while the block runs."""
    task = asyncio.create_task(keep(journal, days, first_s=0, every_s=0.001))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def purged() -> float:
    """What the metric says."""
    return metrics.METRICS.sample("voice_app_calls_purged_total")


async def until_left(journal: Journal, *call_sids: str) -> None:
    """Wait until these calls are all that there are."""
    async with asyncio.timeout(20):
        while True:
            if [call.call_sid async for call in journal.select(newest_first=False)] == list(call_sids):
                return
            await asyncio.sleep(0.01)


async def test_calls_go_when_their_last_event_is_old_enough(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    now, day = time.time(), DAY_SECONDS
    await write(database_url, {"CA1": talk(CALLER), "CA2": talk(CALLER)}, at=now - 8 * day)
    await write(database_url, {"CA3": talk(CALLER)}, at=now - 6 * day)
    await write(database_url, {"CA4": [Opened(CALLER, "", "inbound")]}, at=now - 8 * day)
    await write(database_url, {"CA4": [Prompted("Still here")]}, at=now)
    before = purged()
    caplog.set_level(logging.INFO, "voice_app.journal.upkeep")
    async with Journal(database_url) as journal, keeping(journal):
        await until(lambda: purged() == before + 2)
        await until_left(journal, "CA4", "CA3")
        assert len(await journal.events("CA4")) == 2
    assert purged() == before + 2
    assert caplog.messages == ["journal: 2 calls that were older than 7 days are erased"]


async def test_two_servers_that_erase_at_once_erase_each_call_once(postgres_url: str) -> None:
    calls = {f"CA{number:03}": talk(CALLER) for number in range(350)}
    await write(postgres_url, calls, at=time.time() - 30 * DAY_SECONDS)
    before = purged()
    async with Journal(postgres_url) as one, Journal(postgres_url) as other, keeping(one), keeping(other):
        await until(lambda: purged() == before + 350)
        await until_left(one)
    assert purged() == before + 350


async def test_what_is_written_meanwhile_is_not_lost(database_url: str) -> None:
    await write(database_url, {f"CA{number:03}": talk(CALLER) for number in range(300)})
    async with Journal(database_url) as journal, keeping(journal):
        for number in range(200):
            journal.write("CA999", Prompted(str(number)))
            await asyncio.sleep(0)
        await until_left(journal, "CA999")
        entries = await journal.events("CA999")
    assert [entry.event for entry in entries] == [Prompted(str(number)) for number in range(200)]


async def test_a_database_that_fails_is_tried_again(
    postgres: Postgres, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await write(postgres_url, {"CA1": talk(CALLER)}, at=time.time() - 30 * DAY_SECONDS)
    async with Journal(postgres_url) as journal:
        with postgres.down():
            async with keeping(journal):
                await until(lambda: "journal: old calls could not be erased" in caplog.text)
        async with keeping(journal):
            await until_left(journal)


@pytest.mark.parametrize("days", [0, 7])
async def test_a_server_erases_only_if_it_is_told_to(tmp_path: Path, days: int) -> None:
    await write(database(tmp_path), {"CA1": talk(CALLER)})
    async with sandbox(tmp_path, retention_days=days), Journal(database(tmp_path), create=False) as journal:
        names = {task.get_coro().__qualname__ for task in asyncio.all_tasks()}  # type: ignore[union-attr]
        assert (keep.__qualname__ in names) is bool(days)
        if days:
            await until_left(journal)


async def found(journal: Journal, words: str) -> list[str]:
    return [call.call_sid async for call in journal.select(Selection(said=words))]


def die_before_indexing(*_: object) -> int:
    """What stands in for the index of a server that dies once the end of a call is written."""
    return 0


async def write_and_die(
    url: str, calls: dict[str, list[Event]], monkeypatch: pytest.MonkeyPatch, *, at: float
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(search, "add_words", die_before_indexing)
        await write(url, calls, at=at)


async def test_words_that_a_crash_left_out_of_the_index_are_found_after_the_next_start(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "voice_app.journal.upkeep")
    cut_off: dict[str, list[Event]] = {
        "CA1": talk(CALLER, said="My zebra never came."),
        "CA2": talk(CALLER, said="A zebra, please."),
        "CA3": [Opened(CALLER, "", "inbound"), Prompted("The zebra is here.")],  # it goes on
        "CA4": [Opened(CALLER, "", "inbound"), Prompted(""), Closed("completed")],
    }
    await write_and_die(database_url, cut_off, monkeypatch, at=time.time() - 100)
    await write(database_url, {"CA5": talk(CALLER, said="Where is my zebra?")}, at=time.time())
    async with Journal(database_url) as journal:
        assert await found(journal, "zebra") == ["CA5"]
        task = asyncio.create_task(index_missed(journal, first_s=0, every_s=0.001))
        await until(lambda: bool(caplog.messages))
        assert await found(journal, "zebra") == ["CA5", "CA2", "CA1"]
        assert await journal.index_missed(MISSED_DAYS * DAY_SECONDS) == 0  # once is enough
        task.cancel()
    assert caplog.messages == ["journal: the words of 2 calls are indexed, which a crash had left out"]


async def test_only_the_last_days_with_calls_are_looked_through(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long ago they were: a server may be started again a month after it died."""
    month_ago = time.time() - 30 * DAY_SECONDS
    for name, days_before in (("CA1", MISSED_DAYS + 1), ("CA2", 0)):
        calls = {name: talk(CALLER, said="zebra")}
        await write_and_die(database_url, calls, monkeypatch, at=month_ago - days_before * DAY_SECONDS)
    async with Journal(database_url) as journal:
        assert await journal.index_missed(MISSED_DAYS * DAY_SECONDS) == 1
        assert await found(journal, "zebra") == ["CA2"]


async def test_who_is_forgotten_is_not_indexed_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write_and_die(database_url, {"CA1": talk(CALLER, said="zebra")}, monkeypatch, at=time.time())
    async with Journal(database_url) as journal:
        missed = await asyncio.to_thread(journal._store.without_words, DAY_SECONDS)
        await journal.forget(CALLER)
        assert await asyncio.to_thread(journal._store.index_words, missed) == 0
        assert await found(journal, "zebra") == []


async def test_a_server_looks_for_missed_words_by_itself(tmp_path: Path) -> None:
    async with sandbox(tmp_path):
        names = {task.get_coro().__qualname__ for task in asyncio.all_tasks()}  # type: ignore[union-attr]
        assert index_missed.__qualname__ in names
