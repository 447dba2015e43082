"""The check while calls run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import pytest

from support.accounts import NUMBER, capturing, configuration, others, rule, snapshot, stores, trouble
from support.waiting import until
from voice_app.guard import Report, Snapshot, Watch, judge
from voice_app.guard.snapshot import Part, Unread
from voice_app.telemetry import metrics

FINE = snapshot()
REFUSED = snapshot(capturing(rule("*", NUMBER)))
UNREAD = snapshot(unread=(Unread(Part.CONFIGURATIONS, "", trouble()),), configurations=None)


class Account:
    """Shows one snapshot after the other, and says when it was looked at."""

    def __init__(self) -> None:
        self.shows: Snapshot | Exception = FINE
        self.looks = 0
        self.looked = asyncio.Event()

    async def look(self) -> Report:
        self.looks += 1
        self.looked.set()
        if isinstance(self.shows, Exception):
            raise self.shows
        return Report(self.shows, judge(self.shows))


Show: TypeAlias = Callable[[Snapshot | Exception], Awaitable[list[str]]]


@asynccontextmanager
async def watching(account: Account, seconds: float = 0) -> AsyncIterator[Show]:
    """A watch that runs; what is given makes it look at something else, and waits until it has."""
    watch = Watch(account.look, seconds=seconds)
    task = asyncio.create_task(watch.run())

    async def show(what: Snapshot | Exception) -> list[str]:
        account.shows = what
        account.looked.clear()
        watch.look()
        await account.looked.wait()
        await asyncio.sleep(0)
        return watch.refusals

    try:
        yield show
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_refusal_that_appears_is_in_force_until_it_is_gone() -> None:
    async with watching(Account()) as show:
        assert await show(FINE) == []
        assert await show(REFUSED) == ["STT101"]
        assert await show(REFUSED) == ["STT101"]
        assert await show(FINE) == []


async def test_a_look_that_could_not_find_out_changes_nothing() -> None:
    async with watching(Account()) as show:
        assert await show(UNREAD) == []
        assert await show(REFUSED) == ["STT101"]
        assert await show(UNREAD) == ["STT101"]


@pytest.mark.parametrize("strict", [True, False])
async def test_a_doubt_takes_no_refusal_back(strict: bool) -> None:
    unread: dict[str, Any] = {"unread": UNREAD.unread, "configurations": None, "scope": {"strict": strict}}
    async with watching(Account()) as show:
        await show(REFUSED)
        assert await show(snapshot(**unread)) == ["STT101"]
        worse = snapshot(**unread | {"configurations": others(rule("*", NUMBER))})
        assert await show(worse) == ["STT101", "STT102"]
        assert await show(FINE) == []


async def test_it_looks_on_even_if_a_look_fails(caplog: pytest.LogCaptureFixture) -> None:
    async with watching(Account()) as show:
        await show(RuntimeError("session is closed"))
        assert await show(REFUSED) == ["STT101"]
    assert "the guard's check failed" in caplog.text


async def test_it_looks_by_itself_when_it_is_time() -> None:
    account = Account()
    async with watching(account, seconds=0.01):
        await until(lambda: account.looks >= 3, "the third look")


async def test_a_refusal_is_one_line_in_the_log_and_a_metric(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    gauge = metrics.GUARD_REFUSALS.labels("STT101")
    async with watching(Account()) as show:
        await show(REFUSED)
        await show(REFUSED)
        refusals = [line for line in caplog.messages if "billed twice" in line]
        assert len(refusals) == 1
        assert metrics.METRICS.sample("voice_app_guard_checks_total", verdict="refused") > 0
        assert "STT101" in refusals[0]
        assert NUMBER not in refusals[0]
        assert gauge._value.get() == 1
        assert metrics.METRICS.sample("voice_app_findings", rule="STT101", severity="error") == 1
        await show(FINE)
        assert gauge._value.get() == 0
        assert metrics.METRICS.sample("voice_app_findings", rule="STT101", severity="error") == 0
    assert "speech-to-text is billed once again: STT101 is gone" in caplog.messages


@pytest.mark.parametrize(
    ("refuse", "told"), [(False, "and calls go on"), (True, "and new calls go to people or busy.xml")]
)
async def test_the_log_says_exactly_what_happens(
    caplog: pytest.LogCaptureFixture, refuse: bool, told: str
) -> None:
    account = Account()
    account.shows = REFUSED
    watch = Watch(account.look, seconds=0, refuse=refuse)
    await watch.look_first()
    assert watch.refusing is refuse
    assert watch.alarm == "speech-to-text is billed twice (STT101), see voice-app check"
    [line] = [line for line in caplog.messages if "billed twice" in line]
    assert told in line


@pytest.mark.parametrize(
    "beside",
    [
        snapshot(stores=stores(None)),
        snapshot(configuration(statusCallbacks=[{"url": "http://voice.example.com/x"}])),
        snapshot(capturing(rule("*", "+1555*", None), channel="SMS")),
        UNREAD,
    ],
)
async def test_nothing_but_a_second_engine_is_an_alarm(beside: Snapshot) -> None:
    account = Account()
    account.shows = beside
    watch = Watch(account.look, seconds=0, refuse=True)
    await watch.look_first()
    assert (watch.alarm, watch.refusing) == ("", False)


async def test_who_waits_for_the_alarm_is_told_when_it_comes_and_when_it_goes() -> None:
    account = Account()
    watch = Watch(account.look, seconds=0)
    for shown, alarmed in ((REFUSED, True), (FINE, False)):
        waiting = asyncio.create_task(watch.changed())
        await asyncio.sleep(0)
        account.shows = shown
        await watch.look_first()
        async with asyncio.timeout(5):
            await waiting
        assert bool(watch.alarm) is alarmed


async def test_a_first_look_that_takes_too_long_is_made_again_beside_the_calls() -> None:
    account, held = Account(), asyncio.Event()
    account.shows = REFUSED

    async def look() -> Report:
        if not account.looks:
            account.looks += 1
            await held.wait()
        return await account.look()

    watch = Watch(look, seconds=0)
    await watch.look_first(0.01)
    assert not watch.alarm
    task = asyncio.create_task(watch.run())
    async with asyncio.timeout(5):
        await watch.changed()
    assert watch.refusals == ["STT101"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_cannot_be_read_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async with watching(Account()) as show:
        await show(UNREAD)
        await show(UNREAD)
        await show(FINE)
        await show(UNREAD)
    assert len([line for line in caplog.messages if "cannot read" in line]) == 2
