"""One journal, several servers: who is there, what is kept once, and what is erased for all."""

from __future__ import annotations

import time
from uuid import UUID

import pytest

from support.postgres import Postgres
from voice_app.journal import Journal
from voice_app.journal.events import Closed, Notified, Opened, Prompted

CALLER = "+15550100001"


async def test_what_has_a_name_is_kept_once_whoever_tells_it_and_when(database_url: str) -> None:
    for _ in range(2):
        async with Journal(database_url) as one, Journal(database_url) as other:
            for journal in (one, one, other):
                journal.write("CA1", Notified("CONVERSATION_UPDATED"), once="a")
                journal.write("CA1", Prompted("nameless"))
                await journal.flush()
    async with Journal(database_url) as journal:
        kinds = [type(entry.event) for entry in await journal.events("CA1")]
    assert kinds.count(Notified) == 1
    assert kinds.count(Prompted) == 6


async def test_what_follows_on_a_server_whose_clock_is_behind_comes_after_what_it_has_read(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Journal(postgres_url) as ahead, Journal(postgres_url) as behind:
        with monkeypatch.context() as patch:
            ids = iter(f"{(time.time_ns() // 1_000_000 + 3_600_000) << 16 | 0x7000:016x}" for _ in range(2))
            dashed = (f"{id_[:8]}-{id_[8:12]}-{id_[12:]}-8000-{'0' * 12}" for id_ in ids)
            patch.setattr("voice_app.journal.journal.uuid_utils.uuid7", lambda: next(dashed))
            ahead.write("CA1", Opened(CALLER))
        await ahead.flush()
        await behind.events("CA1")
        written = [behind.write("CA1", Prompted(f"{number}")).id for number in range(50)]
        await behind.flush()
        entries = await ahead.events("CA1")
    assert [entry.id for entry in entries[1:]] == written
    assert type(entries[0].event) is Opened
    assert all(UUID(id_).version == 7 for id_ in written)


async def test_a_server_follows_the_clocks_of_the_others_with_each_beat(postgres_url: str) -> None:
    async with Journal(postgres_url) as ahead, Journal(postgres_url) as behind:
        ahead.follow(time.time_ns() // 1_000_000 + 3_600_000)
        first = ahead.write("CA1", Opened(CALLER))
        await ahead.flush()
        await behind.beat("ready")
        assert behind.reached == ahead.reached
        second = behind.write("CA1", Prompted("Hello?"))
    assert first.id < second.id
    assert [UUID(entry.id).version for entry in (first, second)] == [7, 7]


async def test_servers_know_of_each_other(postgres_url: str) -> None:
    async with Journal(postgres_url) as one, Journal(postgres_url) as other:
        assert one.shared
        assert one.server_id != other.server_id
        await one.beat("ready")
        await other.beat("draining")
        assert [(server.id, server.state) for server in await one.servers()] == [
            (other.server_id, "draining")
        ]
        assert [server.id for server in await other.servers()] == [one.server_id]
        await other.sign_off()
        assert await one.servers() == []


async def test_a_server_that_is_silent_counts_as_lost_until_somebody_signs_it_off(postgres_url: str) -> None:
    async with Journal(postgres_url) as one, Journal(postgres_url) as other:
        await other.beat("ready")
        assert await one.lost_servers(3600) == []
        assert await one.lost_servers(-1) == [other.server_id]
        await one.sign_off(other.server_id)
        assert await one.lost_servers(-1) == []


async def test_on_sqlite_there_is_nobody_else(tmp_path: object) -> None:
    async with Journal(f"sqlite:///{tmp_path}/journal.db") as journal:
        assert not journal.shared
        await journal.beat("ready")
        assert await journal.servers() == []
        assert await journal.lost_servers(-1) == []
        await journal.sign_off()


async def test_a_forgotten_caller_is_forgotten_by_memory_too_and_comes_back_by_no_late_event(
    database_url: str,
) -> None:
    async with Journal(database_url) as journal:
        journal.write("CA1", Opened(CALLER, "+15550100002", "inbound"))
        journal.write("CA1", Prompted("my secret"))
        journal.write("CA2", Opened("+15550100009", "+15550100002", "inbound"))
        forgotten = await journal.forget(CALLER)
        assert (forgotten.call_sids, forgotten.events) == (("CA1",), 2)
        assert journal._cache.of("CA1") == []
        journal.write("CA1", Closed("completed"))
        await journal.flush()
        assert await journal.events("CA1") == []
        assert len(await journal.events("CA2")) == 1


async def test_old_calls_are_purged_however_many_there_are(database_url: str) -> None:
    times = iter(range(1000))
    async with Journal(database_url, clock=lambda: float(next(times))) as journal:
        for number in range(250):
            journal.write(f"CA{number}", Opened(CALLER))
        await journal.flush()
        assert await journal.purge(240.0) == 240
        left = [call.call_sid async for call in journal.select()]
        assert left == [f"CA{number}" for number in range(249, 239, -1)]
        assert await journal.purge(240.0) == 0


@pytest.mark.parametrize("seconds", [0.0, 20.0])
async def test_what_is_settled_can_be_read_by_others(postgres: Postgres, seconds: float) -> None:
    url = postgres.create()
    async with Journal(url) as one, Journal(url) as other:
        assert await one.settle(seconds)
        one.write("CA1", Prompted("Hi"))
        if await one.settle(seconds):
            assert len(await other.events("CA1")) == 1
        else:
            assert seconds == 0.0
    assert not await one.settle(20)
    postgres.drop(url)
