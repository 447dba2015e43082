"""Hundreds of calls that talk and cut in, for minutes: nothing stale, and nothing left behind."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import psutil
import pytest

from support.commands import served
from support.figures import Record, show
from voice_app.sandbox.load.bench import LoadTest
from voice_app.sandbox.load.meter import LoadMeter
from voice_app.sandbox.load.open_calls import LoadPlan
from voice_app.sandbox.load.target import LoadTarget, ServerProcesses, listening
from voice_app.sandbox.network import Network
from voice_app.settings import Settings

KIB_OF_AN_IDLE_CALL = 32.0


def minute(calls: int) -> LoadPlan:
    """With a reply of 0.4 s this takes about a minute. The more calls, the longer each thinks."""
    pause = calls / 500
    return LoadPlan(calls=calls, turns=round(60 / (pause + 0.4)), warm_up=1, pause=pause, interrupts=0.3)


@pytest.mark.slow
@pytest.mark.parametrize(("calls", "minutes"), [(300, 2), (500, 10)])
async def test_hundreds_of_calls_leave_nothing_behind(
    tmp_path: Path, calls: int, minutes: int, record_property: Record
) -> None:
    account = Settings.model_construct().sandboxed()
    stub = {
        "VOICE_APP_AGENT": "voice_app.sandbox.load.agents:fixed_reply",
        "VOICE_BENCH_TOKEN_MS": "20",
        "VOICE_APP_CONTINUE_LINE": "",
        "VOICE_APP_SILENCE_SECONDS": "0",  # who waits for the others is not to be asked
        "VOICE_APP_LOG_LEVEL": "error",  # nobody reads it, and a pipe is soon full
        # Without the sandbox's double: it keeps every conversation in the memory that is measured here.
        "VOICE_APP_TWILIO_BASE_URL": "http://127.0.0.1:9",
        "VOICE_APP_GUARD": "lenient",
    }
    async with served(tmp_path, **stub) as (base_url, _):
        server = listening("127.0.0.1", urlsplit(base_url).port or 0)
        target = LoadTarget(
            network=Network(base_url, account.origin, account.signing_tokens[0]),
            webhook=f"{account.origin}/voice",
            account_sid=account.account_sid or "",
        )
        load = LoadTest(target, LoadMeter(server))
        idle = await load.idle(calls)
        assert idle.kib_per_call is not None
        assert idle.kib_per_call < KIB_OF_AN_IDLE_CALL
        tasks, descriptors = await _metric(base_url, "voice_app_tasks"), _descriptors(server)
        resident, figures = [], []
        for _ in range(minutes):
            talk = await load.talk(minute(calls))
            assert talk.stale_words == 0
            assert talk.unanswered_turns == 0
            assert talk.interrupts > 0.2 * talk.turns
            resident.append(server.resident_kib())
            figures.append((talk.turns, talk.first_token.p99_ms if talk.first_token else None))
        assert await _metric(base_url, "voice_app_sessions_open") == 0
        async with asyncio.timeout(60):  # what follows a call is done beside it
            while await _metric(base_url, "voice_app_tasks") > tasks:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.5)
        assert _descriptors(server) <= descriptors + 8
    show(
        record_property,
        f"{calls} calls, {minutes} minutes",
        {
            "turns": sum(turns for turns, _ in figures),
            "first token p99 of each minute, ms": [p99 for _, p99 in figures],
            "resident after each minute, KiB": [round(kib) for kib in resident],
        },
    )
    settled = resident[minutes // 4]  # what is remembered of calls is bounded and soon filled
    assert resident[-1] < 1.1 * settled


def _descriptors(server: ServerProcesses) -> int:
    return sum(psutil.Process(pid).num_fds() for pid in server.pids)


async def _metric(base_url: str, name: str) -> float:
    async with aiohttp.ClientSession() as http, http.get(f"{base_url}/metrics") as response:
        (value,) = re.findall(rf"(?m)^{name} (\S+)$", await response.text())
        return float(value)
