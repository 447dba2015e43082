"""Two minutes of 300 calls that talk and cut in: nothing stale, and nothing left behind."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from support.commands import served
from voice_app.sandbox.load.bench import LoadTest
from voice_app.sandbox.load.meter import LoadMeter
from voice_app.sandbox.load.open_calls import LoadPlan
from voice_app.sandbox.load.target import LoadTarget, listening
from voice_app.sandbox.network import Network
from voice_app.settings import Settings

MINUTE = LoadPlan(calls=300, turns=60, warm_up=1, pause=0.6, interrupts=0.3)
"""With a reply of 0.4 s this takes about a minute."""


@pytest.mark.slow
async def test_three_hundred_calls_leave_nothing_behind(tmp_path: Path) -> None:
    account = Settings.model_construct().sandboxed()
    stub = {
        "VOICE_APP_AGENT": "voice_app.sandbox.load.agents:fixed_reply",
        "VOICE_BENCH_TOKEN_MS": "20",
        "VOICE_APP_CONTINUE_LINE": "",
        "VOICE_APP_SILENCE_SECONDS": "0",  # who waits for the others is not to be asked
        "VOICE_APP_LOG_LEVEL": "warning",
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
        await load.idle(300)
        tasks = await _metric(base_url, "voice_app_tasks")
        resident = []
        for _ in range(2):
            talk = await load.talk(MINUTE)
            assert talk.stale_words == 0
            assert talk.unanswered_turns == 0
            assert talk.interrupts > 4000
            resident.append(server.resident_kib())
        assert await _metric(base_url, "voice_app_sessions_open") == 0
        assert await _metric(base_url, "voice_app_tasks") <= tasks
        assert resident[1] < 1.1 * resident[0]


async def _metric(base_url: str, name: str) -> float:
    async with aiohttp.ClientSession() as http, http.get(f"{base_url}/metrics") as response:
        (value,) = re.findall(rf"(?m)^{name} (\S+)$", await response.text())
        return float(value)
