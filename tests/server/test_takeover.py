"""Two servers on one PostgreSQL: what one cannot take, or has to give up, the other has."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from support.figures import Record, show
from support.processes import StoppableServer, here, process
from support.waiting import until
from voice_app.runtime import capacity
from voice_app.sandbox.phone import Person
from voice_app.settings import NumberSettings

ANSWER = "Before that there were"


@asynccontextmanager
async def two(
    folder: Path, url: str, settings: dict[str, str] | None = None, *, processes: bool = False
) -> AsyncIterator[tuple[StoppableServer, StoppableServer]]:
    """One server that stays, and one that the test is about: the phone is on the latter, and knows both.

    They are two processes, or two servers in this one.
    """
    start = process if processes else here
    shared = {"VOICE_APP_DATABASE_URL": url, "VOICE_APP_AGENT": "support.agents:echo"}
    limits = {name: value for name, value in (settings or {}).items() if name == "VOICE_APP_MAX_CALLS"}
    (folder / "stays").mkdir()
    (folder / "stops").mkdir()
    async with (
        start(folder / "stays", settings=shared | limits) as stays,
        start(folder / "stops", settings=shared | (settings or {}), beside=stays) as stops,
    ):
        network = stops.phone.network
        network.others = (stays.base_url,)
        network.lose(stays.base_url)
        yield stays, stops


def new_call() -> str:
    return "CA" + secrets.token_hex(16)


async def redirected(server: StoppableServer, path: str = "/voice") -> str:
    """Wait until a new call is sent to the other server, and give the document."""
    async with asyncio.timeout(20):
        while True:
            document = await server.post(path, CallSid=new_call(), From="+15550199998")
            if "<Redirect" in document:
                return document
            await asyncio.sleep(0.05)


async def test_when_time_is_up_the_other_server_goes_on_with_the_call(
    tmp_path: Path, postgres_url: str, record_property: Record
) -> None:
    short = {"VOICE_APP_DRAIN_SECONDS": "0.2"}
    async with two(tmp_path, postgres_url, short, processes=True) as (stays, stops), stops.call() as call:
        await call.reply()
        await call.ask("Hello?")
        stops.phone.network.regain(stays.base_url)
        stops.stop()
        told = time.monotonic()
        assert (await call.reply()).text == NumberSettings().resume_greeting
        resumed = round(time.monotonic() - told, 2)
        assert ANSWER in (await call.ask("Do you remember?")).text
        assert await stops.ends() == 0
        ended = round(time.monotonic() - told, 2)
        assert ANSWER in (await call.ask("Still?")).text
        assert await stays.metric("voice_app_sessions_open") == 1
    figures = {"from SIGTERM until the caller heard the other one, s": resumed, "until it was over, s": ended}
    show(record_property, "Drain of 0.2 s, the call goes to another server", figures)
    assert call.problems == []
    assert [ending.error_code for ending in call.endings] == [64105, None]


async def test_a_full_server_goes_on_with_the_calls_of_one_that_stops(
    tmp_path: Path, postgres_url: str
) -> None:
    limits = {"VOICE_APP_DRAIN_SECONDS": "0.2", "VOICE_APP_MAX_CALLS": "1"}
    async with (
        two(tmp_path, postgres_url, limits) as (stays, stops),
        stays.call() as talking,
        stops.call() as call,
    ):
        await talking.reply()
        await call.reply()
        await stays.becomes(lambda status, text: status == 200 and "no new calls" in text)
        stops.phone.network.regain(stays.base_url)
        stops.stop()
        assert (await call.reply()).text == NumberSettings().resume_greeting
        assert await stops.ends() == 0
        assert ANSWER in (await talking.ask("Still there?")).text
    assert (call.problems, talking.problems) == ([], [])


async def test_a_server_that_has_just_come_takes_the_calls_of_one_that_stops(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capacity, "HEARTBEAT_SECONDS", 60.0)  # they hear of each other when they have to
    shared = {"VOICE_APP_DATABASE_URL": postgres_url, "VOICE_APP_AGENT": "support.agents:echo"}
    for name in ("stops", "comes"):
        (tmp_path / name).mkdir()
    async with here(tmp_path / "stops", settings=shared) as stops, stops.call() as call:
        await call.reply()
        async with here(tmp_path / "comes", settings=shared, beside=stops) as comes:
            stops.stop()
            answers = []
            while (await stops.readiness())[0] == 200:
                answers.append(await stops.post("/voice", CallSid=new_call(), From="+15550199998"))
            answers.append(await stops.post("/voice", CallSid=new_call(), From="+15550199998"))
            assert [
                text for text in answers if "<Redirect" not in text and "<ConversationRelay" not in text
            ] == []
            assert "<Redirect" in answers[-1]
            assert (await comes.readiness())[0] == 200
            await call.hang_up()


async def test_a_new_call_that_reaches_a_server_that_drains_is_taken_by_the_other(
    tmp_path: Path, postgres_url: str
) -> None:
    async with two(tmp_path, postgres_url) as (stays, stops), stops.call() as call:
        await call.reply()
        stops.phone.network.regain(stays.base_url)
        stops.stop()
        await stops.drains()
        async with stops.call() as late:
            assert (await late.reply()).text == NumberSettings().greeting
            assert ANSWER in (await late.ask("Hello?")).text
        assert ANSWER in (await call.ask("Am I disturbed?")).text
        await call.hang_up()
        assert await stops.ends() == 0
    assert (call.problems, late.problems) == ([], [])


async def test_a_new_call_that_reaches_a_full_server_is_taken_by_the_other(
    tmp_path: Path, postgres_url: str
) -> None:
    async with (
        two(tmp_path, postgres_url, {"VOICE_APP_MAX_CALLS": "1"}) as (stays, stops),
        stops.call() as call,
    ):
        await call.reply()
        first = await redirected(stops)
        assert '<Redirect method="POST">https://sandbox.localhost/voice?hop=1</Redirect>' in first
        assert "<Pause" not in first
        assert '<Pause length="1"/><Redirect' in await redirected(stops, "/voice?hop=3")
        tired = await stops.post("/voice?hop=8", CallSid=new_call(), From="+15550199998")
        assert "all our lines are busy" in tired
        stops.phone.network.regain(stays.base_url)
        async with stops.call() as other:
            assert (await other.reply()).text == NumberSettings().greeting
            assert ANSWER in (await other.ask("Hello?")).text
    assert (call.problems, other.problems) == ([], [])


async def test_a_call_that_is_with_people_is_not_waited_for_where_another_server_answers(
    tmp_path: Path, postgres_url: str
) -> None:
    people = {"VOICE_APP_HANDOFF_TO": "+15550100010", "VOICE_APP_ANSWER": "people"}
    anna = Person("answers", says=["Anna here."])
    async with two(tmp_path, postgres_url, people) as (stays, stops), stops.call(anna) as call:
        await call.bridged()
        stops.phone.network.regain(stays.base_url)
        stops.stop()
        assert await stops.ends() == 0
        await call.person_hangs_up()
        await call.over.wait()
    assert call.problems == []


async def test_a_server_that_gives_its_calls_away_takes_no_socket(tmp_path: Path, postgres_url: str) -> None:
    async with two(tmp_path, postgres_url, {"VOICE_APP_DRAIN_SECONDS": "0"}) as (stays, stops):
        async with stops.call() as call:
            await call.reply()
            stops.stop()
            await stops.says("1 call to go to another server")
            # Its question what follows finds only the server that stops, which sends it on, over and over.
            await until(lambda: "<Redirect" in call.documents[-1])
            headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
            headers |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
            async with stops.http.get(f"{stops.base_url}/relay/any", headers=headers) as response:
                assert response.status == 503
            stops.phone.network.regain(stays.base_url)
            assert (await call.reply()).text == NumberSettings().resume_greeting
        assert await stops.ends() == 0
    assert call.problems == []
