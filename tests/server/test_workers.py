"""Several processes on one port."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from support.commands import served, voice_app, voice_app_process
from support.processes import Server, process
from voice_app.sandbox.load.target import listens
from voice_app.settings import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN, NumberSettings
from voice_app.twilio import Configurations, Credentials, TwilioApi

RULE = {"from": "*", "to": "+15550100001", "metadata": {"callType": "PSTN"}}


def workers(server: Server) -> set[int]:
    """The processes that take calls: those of the parent's that listen, and of anybody's once it is gone."""
    port = urlsplit(server.base_url).port
    assert port is not None
    try:
        family = psutil.Process(server.process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = list(psutil.process_iter())
    return {process.pid for process in family if listens(process, port)}


async def become(server: Server, wanted: Callable[[set[int]], bool]) -> None:
    """Wait until the workers are as wanted."""
    async with asyncio.timeout(30):
        while True:
            if wanted(workers(server)):
                return
            await asyncio.sleep(0.1)


async def test_more_than_one_is_refused_on_sqlite(tmp_path: Path) -> None:
    result = await voice_app(tmp_path, "serve", "--workers", "2")
    assert result.code == 2
    assert "VOICE_APP_WORKERS is 2, but the journal is in SQLite" in result.err
    assert "postgresql://" in result.err
    assert list(tmp_path.iterdir()) == []


async def test_a_second_server_on_the_same_sqlite_is_refused_as_long_as_the_first_lives(
    tmp_path: Path,
) -> None:
    async with process(tmp_path) as server:
        result = await voice_app(tmp_path, "serve", "--port", "0")
        assert result.code == 2
        assert f"another voice-app serve (process {server.process.pid}) uses voice-app.db" in result.err
        assert "Traceback" not in result.err
        assert (await voice_app(tmp_path, "calls", "list")).code == 0
        server.process.kill()
        await server.ends()
        async with served(tmp_path) as (base_url, _):
            assert base_url != server.base_url


async def test_workers_share_a_port_and_their_metrics_and_all_of_them_drain(
    tmp_path: Path, empty_postgres_url: str
) -> None:
    settings = {"VOICE_APP_DATABASE_URL": empty_postgres_url}
    async with process(tmp_path, "--workers", "2", settings=settings) as server, AsyncExitStack() as calls:
        assert len(workers(server)) == 2
        talking = [await calls.enter_async_context(server.call()) for _ in range(8)]
        assert {(await call.reply()).text for call in talking} == {NumberSettings().greeting}
        assert await server.metric("voice_app_sessions_open") == 8
        assert await server.metric("voice_app_taking_calls") == 2
        server.stop()
        assert {(await call.ask("Where are you?")).text[:14] for call in talking} == {"You find us at"}
        for call in talking:
            await call.hang_up()
        assert await server.ends() == 0
    assert [call.problems for call in talking] == [[]] * 8


async def test_a_lost_worker_is_replaced_and_a_lost_parent_stops_them_all(
    tmp_path: Path, empty_postgres_url: str
) -> None:
    settings = {"VOICE_APP_DATABASE_URL": empty_postgres_url}
    async with process(tmp_path, "--workers", "2", settings=settings) as server:
        before = workers(server)
        os.kill(min(before), signal.SIGKILL)
        await become(server, lambda now: len(now) == 2 and now != before)
        async with server.call() as call:
            assert (await call.reply()).text == NumberSettings().greeting
        server.process.kill()
        await server.ends()
        await become(server, lambda now: not now)
    assert call.problems == []


async def test_a_replaced_worker_serves_the_templates_that_the_others_serve(
    tmp_path: Path, empty_postgres_url: str
) -> None:
    """Not what has become of the files since: nobody has checked that."""
    answer = tmp_path / "twiml_templates" / "answer.xml"
    answer.parent.mkdir()
    answer.write_text("<Response><Say>One</Say><Hangup/></Response>")
    loud = {"VOICE_APP_LOG_LEVEL": "info", "VOICE_APP_DRAIN_SECONDS": "0"}
    settings = {"VOICE_APP_DATABASE_URL": empty_postgres_url, **loud}
    async with process(tmp_path, "--workers", "2", settings=settings) as server:
        answer.write_text("<Response><Say>Two</Say><Hangup/></Response>")
        server.process.send_signal(signal.SIGHUP)
        for _ in range(2):
            await server.says("are served from now on")
        answer.write_text("<Response><Say>Three</Say><Hang-up/></Response>")
        before = workers(server)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        await become(server, lambda now: len(now) == 2 and not now & before)
        document = await server.post(
            "/voice", CallSid=f"CA{1:032x}", From="+15550100077", CallStatus="ringing"
        )
    assert "Two" in document


async def test_templates_that_are_refused_are_told_once(tmp_path: Path, empty_postgres_url: str) -> None:
    answer = tmp_path / "twiml_templates" / "answer.xml"
    answer.parent.mkdir()
    answer.write_text("<Response><Say>One</Say><Hangup/></Response>")
    loud = {"VOICE_APP_LOG_LEVEL": "info", "VOICE_APP_DRAIN_SECONDS": "0"}
    settings = {"VOICE_APP_DATABASE_URL": empty_postgres_url, **loud}
    async with process(tmp_path, "--workers", "2", settings=settings) as server:
        answer.write_text("<Response><Hang-up/></Response>")
        server.process.send_signal(signal.SIGHUP)
        await server.says("TWI104")
        await server.says("were read again and refused: those from before are served")
        answer.write_text("<Response><Say>Two</Say><Hangup/></Response>")
        server.process.send_signal(signal.SIGHUP)
        told: list[str] = []
        while sum("are served from now on" in line for line in told) < 2:
            told.append(await server.line())
            assert told[-1], "the log ended"
        assert [line for line in told if "refused" in line or "TWI104" in line] == []


async def test_a_replaced_worker_knows_a_second_engine_before_it_takes_a_call(
    tmp_path: Path, empty_postgres_url: str
) -> None:
    """Nothing but its first look can tell it: no timer, no signal."""
    settings = {
        "VOICE_APP_DATABASE_URL": empty_postgres_url,
        "VOICE_APP_GUARD_RUNNING": "refuse",
        "VOICE_APP_GUARD_SECONDS": "0",
        "VOICE_APP_DRAIN_SECONDS": "0",
    }
    async with process(tmp_path, "--workers", "2", settings=settings) as server:
        form = {"From": "+15550100077", "CallStatus": "ringing"}
        assert "<ConversationRelay" in await server.post("/voice", CallSid=f"CA{1:032x}", **form)
        named = server.account["TWILIO_CONVERSATION_CONFIGURATION_ID"]
        credentials = Credentials(SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN)
        base_url = server.account["VOICE_APP_TWILIO_BASE_URL"]
        configurations = Configurations(TwilioApi(server.http, credentials, base_url=base_url))
        await configurations.update(named, {"channelSettings": {"VOICE": {"captureRules": [RULE]}}})
        before = workers(server)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        await become(server, lambda now: len(now) == 2 and not now & before)
        document = await server.post("/voice", CallSid=f"CA{2:032x}", **form)
    assert "<ConversationRelay" not in document
    assert "all our lines are busy" in document.lower()


async def test_what_stops_every_worker_is_told_and_stops_the_start(tmp_path: Path) -> None:
    settings = {"VOICE_APP_DATABASE_URL": "postgresql://127.0.0.1:9/nowhere"}
    result = await voice_app_process(tmp_path, "serve", "--port", "0", "--workers", "2", **settings)
    assert result.code == 2
    assert "Cannot open the journal at postgresql://127.0.0.1:9/nowhere" in result.err
    assert "Not started: a worker did not start." in result.err
    assert "Traceback" not in result.err
