"""A server that is told to stop: no call is cut, and it stays no longer."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from support.figures import Record, show
from support.processes import here, process
from support.waiting import until
from voice_app.sandbox.phone import Person
from voice_app.settings import NumberSettings

STORY = {"VOICE_APP_AGENT": "support.agents:storyteller", "VOICE_APP_FILLER_SECONDS": "0"}
FIRST_HALF = "Once upon a time there was a bicycle shop"
STORY_TOLD = f"{FIRST_HALF} and it had wheels in every size."
GOODBYE = NumberSettings().drain_goodbye


async def test_a_reply_is_heard_to_its_end_and_the_call_goes_on(
    tmp_path: Path, record_property: Record
) -> None:
    async with here(tmp_path, settings=STORY) as server:
        async with server.call() as call:
            await call.reply()
            await call.say("Tell me a story.")
            await until((tmp_path / "begun").exists)
            server.stop()
            await server.drains()
            (tmp_path / "go").touch()
            assert (await call.reply()).text == STORY_TOLD
            assert (await call.ask("Again, please.")).text == STORY_TOLD
        over = time.monotonic()
        assert await server.ends() == 0
    figures = {"from the end of the call to the end of the process, s": round(time.monotonic() - over, 2)}
    show(record_property, "SIGTERM in mid-reply: the reply was heard to its end", figures)
    assert call.problems == []
    assert [ending.status for ending in call.endings] == ["completed"]


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
async def test_it_ends_soon_when_nobody_is_on_the_line(
    tmp_path: Path, stop: signal.Signals, record_property: Record
) -> None:
    async with process(tmp_path) as server:
        async with server.call() as call:
            await call.reply()
        told = time.monotonic()
        server.process.send_signal(stop)
        assert await server.ends() == 0
        figures = {"until the process was over, s": round(time.monotonic() - told, 2)}
        show(record_property, f"{stop.name} with nobody on the line", figures)


async def test_a_feed_that_is_followed_does_not_hold_it_up(tmp_path: Path) -> None:
    token = "a token that is long enough"
    async with here(tmp_path, settings={"VOICE_APP_API_TOKEN": token}) as server:
        headers = {"Authorization": f"Bearer {token}"}
        async with server.http.get(f"{server.base_url}/api/feed", headers=headers) as feed:
            await feed.content.readuntil(b"\n\n")
            server.stop()
            assert (await feed.content.read()).strip() in (b"", b"event: beat\ndata: {}")
        assert await server.ends() == 0


async def test_when_time_is_up_and_there_is_no_other_server_the_agent_says_goodbye(tmp_path: Path) -> None:
    async with (
        here(tmp_path, settings=STORY | {"VOICE_APP_DRAIN_SECONDS": "0.3"}) as server,
        server.call() as call,
    ):
        await call.reply()
        await call.say("Tell me a story.")
        await until((tmp_path / "begun").exists)
        server.stop()
        assert (await call.reply()).text == FIRST_HALF
        assert (await call.reply()).text == GOODBYE
        await call.over.wait()
        assert await server.ends() == 0
    assert call.problems == []
    assert [ending.status for ending in call.endings] == ["ended"]
    assert "<Hangup/>" in call.documents[-1]


async def test_a_second_signal_hurries(tmp_path: Path) -> None:
    async with here(tmp_path) as server, server.call() as call:
        await call.reply()
        server.stop()
        await server.drains()
        server.stop()
        assert (await call.reply()).text == GOODBYE
        assert await server.ends() == 0
    assert call.problems == []


async def test_whoever_cuts_into_the_goodbye_hears_it_again(tmp_path: Path) -> None:
    async with (
        here(tmp_path, pace=20, settings={"VOICE_APP_DRAIN_SECONDS": "0"}) as server,
        server.call() as call,
    ):
        await call.reply()
        server.stop()
        assert (await call.interrupt("But I have a question!", after_words=3)).text == "I am sorry,"
        while (await call.reply()).text != GOODBYE:
            pass  # the agent may have answered first
        assert await server.ends() == 0
    assert call.problems == []


async def test_a_third_signal_ends_it_there_and_then(tmp_path: Path) -> None:
    async with process(tmp_path, pace=10) as server, server.call() as call:
        await call.reply()
        server.stop()
        await server.says("1 call on the line; waiting up to 300 s; a second signal hurries")
        server.stop()
        await server.says("goodbye is said on 1 call")
        server.stop()
        assert await server.ends() == -signal.SIGTERM


async def test_new_callers_are_told_that_all_lines_are_busy(tmp_path: Path) -> None:
    async with here(tmp_path) as server, server.call() as call:
        await call.reply()
        server.stop()
        await server.drains()
        async with server.call() as late:
            assert "all our lines are busy. Please call again" in (await late.reply()).text
            await late.over.wait()
        assert (await call.ask("What does a repair cost?")).text.startswith("A full service costs")
        await call.hang_up()
        assert await server.ends() == 0
    assert (call.problems, late.problems) == ([], [])


async def test_a_call_that_is_with_people_is_waited_for(tmp_path: Path) -> None:
    async with here(tmp_path, settings={"VOICE_APP_HANDOFF_TO": "+15550100010"}) as server:
        async with server.call(Person("answers", says=["Anna here."])) as call:
            await call.reply()
            await call.ask("I want to speak to a person.")
            await call.bridged()
            server.stop()
            await server.drains()
            await call.person_says("It will be ready tomorrow.")
            await call.person_hangs_up()
            await call.over.wait()
        assert await server.ends() == 0
    assert call.problems == []


async def test_a_caller_whose_socket_breaks_meanwhile_is_taken_up_again(tmp_path: Path) -> None:
    async with here(tmp_path) as server, server.call() as call:
        await call.reply()
        server.stop()
        await server.drains()
        await call.drop()
        assert (await call.reply()).text == NumberSettings().resume_greeting
        await call.hang_up()
        assert await server.ends() == 0
    assert call.problems == []
