"""Load, against a real server on a real port."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from support.sandbox import sandbox
from voice_app.sandbox.load import webhook_load
from voice_app.sandbox.load.bench import LoadTest
from voice_app.sandbox.load.figures import latency
from voice_app.sandbox.load.meter import LoadMeter
from voice_app.sandbox.load.open_calls import LoadPlan
from voice_app.sandbox.load.target import LoadError, LoadTarget, ProcessError, process_of
from voice_app.sandbox.network import Network

STUB = "voice_app.sandbox.load.agents:fixed_reply"
ABSENT = LoadMeter(ProcessError("there is none"), settle_seconds=0.0)
PLAN = LoadPlan(calls=4, turns=5, warm_up=1, pause=0.0, interrupts=0.5)


@asynccontextmanager
async def under_load(folder: Path, *, key: str = "", measured: bool = True) -> AsyncIterator[LoadTest]:
    async with sandbox(folder, agent=STUB) as running:
        settings = running.settings
        target = LoadTarget(
            network=Network(running.base_url, settings.origin, key or settings.signing_tokens[0]),
            webhook=f"{settings.origin}/voice",
            account_sid=settings.account_sid or "",
        )
        server = process_of(os.getpid()) if measured else ProcessError("it is not to be seen")
        yield LoadTest(target, LoadMeter(server, settle_seconds=0.01))


async def test_talking_is_measured_and_no_stale_word_is_heard(tmp_path: Path) -> None:
    async with under_load(tmp_path) as load:
        talk = await load.talk(PLAN)
    assert (talk.calls, talk.turns, talk.unanswered_turns) == (4, 20, 0)
    assert 0 < talk.interrupts < 20
    assert talk.stale_words == 0
    assert talk.first_token is not None
    assert talk.first_token.samples == 20
    assert 0 < talk.first_token.p50_ms <= talk.first_token.p99_ms <= talk.first_token.max_ms
    assert talk.turns_per_second > 0
    assert talk.wrong_replies == 0
    assert talk.stop is not None
    assert talk.stop.samples == talk.interrupts
    assert talk.words_ahead is not None
    assert talk.server_cpu_ms_per_turn is not None
    assert talk.kib_per_call is not None
    assert talk.unknown == {}


async def test_the_delay_of_the_agent_is_taken_off(tmp_path: Path) -> None:
    plan = LoadPlan(calls=1, turns=2, warm_up=0, pause=0.0, interrupts=0.0, agent_delay_ms=60_000.0)
    async with under_load(tmp_path) as load:
        talk = await load.talk(plan)
    assert talk.first_token is not None
    assert talk.first_token.max_ms < 0


async def test_what_is_unknown_is_null_with_a_reason(tmp_path: Path) -> None:
    async with under_load(tmp_path, measured=False) as load:
        talk = await load.talk(LoadPlan(calls=1, turns=1, warm_up=0, pause=0.0, interrupts=0.0))
        idle = await load.idle(1)
        webhooks = await load.webhooks(10)
    assert talk.server_cpu_ms_per_turn is None
    assert talk.unknown["server_cpu_ms_per_turn"] == "it is not to be seen"
    assert talk.stale_words is None
    assert talk.unknown["stale_words"] == "no reply was interrupted"
    assert idle.kib_per_call is None
    assert idle.unknown["kib_per_call"] == "it is not to be seen"
    assert webhooks.server_cpu_ms_per_webhook is None
    assert "server_cpu_ms_per_webhook" in webhooks.unknown


async def test_the_memory_of_calls_is_measured_once_only(tmp_path: Path) -> None:
    """What earlier calls have left behind is used again, and would look like frugality."""
    async with under_load(tmp_path) as load:
        first, second = await load.idle(4), await load.idle(4)
    assert first.kib_per_call is not None
    assert first.unknown == {}
    assert second.kib_per_call is None
    assert "fresh server" in second.unknown["kib_per_call"]


async def test_every_webhook_is_answered(tmp_path: Path) -> None:
    async with under_load(tmp_path) as load:
        webhooks = await load.webhooks(50, connections=4)
    assert (webhooks.requests, webhooks.connections, webhooks.refused) == (50, 4, {})
    assert webhooks.answer is not None
    assert webhooks.answer.samples == 50
    assert webhooks.per_second > 0
    assert webhooks.server_cpu_ms_per_webhook is not None


async def test_refused_webhooks_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with under_load(tmp_path, key="not the key") as load:
        webhooks = await load.webhooks(10)
    assert webhooks.refused == {"403": 10}
    assert webhooks.answer is None
    assert webhooks.unknown["answer"] == "no request was answered with 200"


async def test_a_server_that_refuses_calls_is_told(tmp_path: Path) -> None:
    async with under_load(tmp_path, key="not the key") as load:
        with pytest.raises(LoadError, match=r"11200: .* answered 403"):
            await load.talk(PLAN)


async def test_a_server_that_is_not_there_is_told(unused_tcp_port: int) -> None:
    network = Network(f"http://127.0.0.1:{unused_tcp_port}", "https://voice.example.com", "secret")
    target = LoadTarget(network=network, webhook="https://voice.example.com/voice", account_sid="AC1")
    load = LoadTest(target, ABSENT)
    with pytest.raises(LoadError, match="nothing answers at http://127"):
        await load.talk(PLAN)
    with pytest.raises(LoadError, match="nothing answers at http://127"):
        await load.webhooks(1)


async def test_a_server_that_never_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_load, "ANSWER_SECONDS", 0.05)

    closed = asyncio.Semaphore(0)

    async def is_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        closed.release()

    async with await asyncio.start_server(is_silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        network = Network(f"http://127.0.0.1:{port}", "https://voice.example.com", "secret")
        target = LoadTarget(network=network, webhook="https://voice.example.com/voice", account_sid="AC1")
        with pytest.raises(LoadError, match="no webhook was answered"):
            await LoadTest(target, ABSENT).webhooks(10)
        await closed.acquire()


def test_percentiles_are_values_that_did_occur() -> None:
    figures = latency([float(value) for value in range(1, 201)], less_ms=0.5)
    assert figures is not None
    assert (figures.samples, figures.p50_ms, figures.p99_ms, figures.max_ms) == (200, 99.5, 197.5, 199.5)
    assert latency([]) is None
