"""DBOS alone, with work that fails as ours never should."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dbos._core
import dbos._queue
import pytest

from voice_app.followups.durable import Begun, Durable, WorkflowTables

CALL = "CA" + "7" * 32


@dataclass(slots=True)
class Performer:
    """Fails so often, and then does what it is asked."""

    failures: int = 0
    tried: list[tuple[str, int]] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def begin(self, call_sid: str) -> list[str]:
        return ["report"]

    async def attempt(self, call_sid: str, name: str, asked_at: float, number: int) -> float | None:
        self.tried.append((name, number))
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the disk is full, say")
        self.done.set()
        return None


@asynccontextmanager
async def opened(folder: Path, performer: Performer) -> AsyncIterator[Durable]:
    durable = Durable(WorkflowTables(f"sqlite:///{folder}/journal.db"), "server", performer)
    await durable.open()
    try:
        yield durable
    finally:
        await durable.close()


async def stray(durable: Durable) -> Begun:
    async with asyncio.timeout(20):
        while True:
            for begun in await durable.begun():
                if begun.failed:
                    return begun
            await asyncio.sleep(0.02)


async def test_what_is_asked_for_twice_is_done_once(tmp_path: Path) -> None:
    performer = Performer()
    async with asyncio.timeout(20), opened(tmp_path, performer) as durable:
        for _ in range(3):
            await durable.follow_up(CALL, 0)
        await performer.done.wait()
        await durable.perform(CALL, "report")
    assert performer.tried == [("report", 0)]


async def test_the_tables_of_a_journal_in_memory_are_gone_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    performer = Performer()
    durable = Durable(WorkflowTables("sqlite+aiosqlite://"), "server", performer)
    async with asyncio.timeout(20):
        await durable.open()
        await durable.perform(CALL, "report")
        await performer.done.wait()
        assert len(list(tmp_path.iterdir())) == 1
        await durable.close()
    assert list(tmp_path.iterdir()) == []


async def test_what_dbos_has_given_up_is_begun_anew(tmp_path: Path) -> None:
    performer = Performer(failures=1)
    async with asyncio.timeout(30), opened(tmp_path, performer) as durable:
        await durable.perform(CALL, "report")
        begun = await stray(durable)
        assert begun == Begun(f"report:{CALL}", "server", failed=True)
        await durable.go_on(begun)
        await performer.done.wait()
    assert performer.tried == [("report", 0), ("report", 0)]


async def test_what_is_being_taken_when_the_server_stops_is_taken_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    performer = Performer()
    take = dbos._core.execute_dequeued_workflow
    taking = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slowly(instance: dbos.DBOS, *arguments: Any) -> Any:
        loop.call_soon_threadsafe(taking.set)
        for stopping in instance.background_thread_stop_events:
            stopping.wait()
        time.sleep(0.3)  # long enough for a loop to be closed that does not wait
        return take(instance, *arguments)

    monkeypatch.setattr(dbos._queue, "execute_dequeued_workflow", slowly)
    async with asyncio.timeout(20):
        async with opened(tmp_path, performer) as durable:
            await durable.perform(CALL, "report")
            await taking.wait()
        assert caplog.messages == []
        monkeypatch.undo()
        async with opened(tmp_path, performer):
            await performer.done.wait()
