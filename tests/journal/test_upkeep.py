"""Old calls are erased by a server itself, beside its calls."""

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
from voice_app.journal import Journal
from voice_app.journal.events import Opened, Prompted
from voice_app.journal.upkeep import DAY_SECONDS, keep
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
