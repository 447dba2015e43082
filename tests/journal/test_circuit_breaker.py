from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from support.waiting import until
from voice_app.journal import JournalError, circuit_breaker
from voice_app.journal.circuit_breaker import ReadCircuitBreaker


class Oracle:
    """A database that answers, fails, or is silent."""

    def __init__(self) -> None:
        self.fails = False
        self.speaks = threading.Event()
        self.speaks.set()
        self.asked = 0

    def answer(self, question: str) -> str:
        self.asked += 1
        self.speaks.wait(20)
        if self.fails:
            raise JournalError("It is down.")
        return question.upper()

    def probe(self) -> None:
        self.answer("")


@pytest.fixture
def oracle() -> Oracle:
    return Oracle()


@pytest.fixture
async def breaker(oracle: Oracle, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ReadCircuitBreaker]:
    monkeypatch.setattr(circuit_breaker, "_PROBE_SECONDS", 0.01)
    with ThreadPoolExecutor(3) as threads:
        made = ReadCircuitBreaker(threads, oracle.probe, "Nobody knows.")
        yield made
        oracle.speaks.set()
        await made.aclose()


async def recovered(breaker: ReadCircuitBreaker) -> str:
    async with asyncio.timeout(20):
        while True:
            try:
                return await breaker.ask(Oracle().answer, "well", within=20)
            except JournalError:
                await asyncio.sleep(0.002)


async def test_an_answer_is_handed_on(breaker: ReadCircuitBreaker, oracle: Oracle) -> None:
    assert await breaker.ask(oracle.answer, "yes", within=20) == "YES"


async def test_after_a_failure_nobody_asks_until_the_database_is_back(
    breaker: ReadCircuitBreaker, oracle: Oracle, caplog: pytest.LogCaptureFixture
) -> None:
    oracle.fails = True
    with pytest.raises(JournalError, match="down"):
        await breaker.ask(oracle.answer, "one", within=20)
    ours = count()
    with pytest.raises(JournalError, match="down"):
        await breaker.ask(lambda: next(ours), within=20)
    assert next(ours) == 0
    oracle.fails = False
    assert await recovered(breaker) == "WELL"
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


async def test_silence_is_a_failure(breaker: ReadCircuitBreaker, oracle: Oracle) -> None:
    oracle.speaks.clear()
    with pytest.raises(JournalError, match=r"did not answer within 0\.01 s"):
        await breaker.ask(oracle.answer, "one", within=0.01)
    with pytest.raises(JournalError, match="did not answer"):
        await breaker.ask(oracle.answer, "two", within=3600)
    oracle.speaks.set()
    assert await recovered(breaker) == "WELL"


async def test_a_query_that_waits_for_others_of_ours_is_not_the_databases_silence(
    breaker: ReadCircuitBreaker, oracle: Oracle
) -> None:
    oracle.speaks.clear()
    others = [asyncio.create_task(breaker.ask(oracle.answer, "busy", within=20)) for _ in range(3)]
    await until(lambda: oracle.asked == 3, "all threads to be at work")
    waiting = asyncio.create_task(breaker.ask(oracle.answer, "yes", within=0.05))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    oracle.speaks.set()
    assert [await other for other in others] == ["BUSY"] * 3
    assert await waiting == "YES"


async def test_who_waits_for_a_thread_hears_at_once_that_the_database_is_silent(
    breaker: ReadCircuitBreaker, oracle: Oracle
) -> None:
    oracle.speaks.clear()
    others = [asyncio.create_task(breaker.ask(oracle.answer, "busy", within=0.1)) for _ in range(3)]
    await until(lambda: oracle.asked == 3, "all threads to be at work")
    with pytest.raises(JournalError, match="did not answer"):
        await breaker.ask(oracle.answer, "yes", within=0.1)
    await asyncio.wait(others)
    assert all(other.exception() for other in others)
    assert oracle.asked == 3


async def test_an_answer_that_is_there_counts_though_the_loop_was_held_up(
    breaker: ReadCircuitBreaker, oracle: Oracle
) -> None:
    answering = asyncio.create_task(breaker.ask(oracle.answer, "yes", within=0.1))
    await asyncio.sleep(0)
    time.sleep(0.3)  # noqa: ASYNC251 - an agent blocks the loop
    assert await answering == "YES"


async def test_other_errors_are_nobodys_outage(breaker: ReadCircuitBreaker, oracle: Oracle) -> None:
    def wrong() -> None:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        await breaker.ask(wrong, within=20)
    assert await breaker.ask(oracle.answer, "yes", within=20) == "YES"


async def test_it_can_be_closed_while_the_database_is_away(
    breaker: ReadCircuitBreaker, oracle: Oracle
) -> None:
    oracle.fails = True
    with pytest.raises(JournalError):
        await breaker.ask(oracle.answer, "one", within=20)
    await breaker.aclose()
    await breaker.aclose()
