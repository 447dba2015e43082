"""Templates that are edited under a running server: what is served has been checked, before and after."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
from pathlib import Path

import pytest

from support.processes import Server, process
from support.waiting import until
from voice_app.twiml import shipped_folder

LOUD = {"VOICE_APP_LOG_LEVEL": "info", "VOICE_APP_DRAIN_SECONDS": "0"}
NUMBERS = itertools.count(1)
GOOD = "<Response><Say>{}</Say><Hangup/></Response>"
BAD = GOOD.format("Three").replace("<Hangup/>", "<Hang-up/>")


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    folder = tmp_path / "twiml_templates"
    shutil.copytree(shipped_folder(), folder)
    (folder / "answer.xml").write_text(GOOD.format("One"))
    return folder


async def _answer(server: Server) -> str:
    return await server.post(
        "/voice", CallSid=f"CA{next(NUMBERS):032x}", From="+15550100077", CallStatus="ringing"
    )


async def _answers(server: Server, wanted: str) -> None:
    """Wait until a new call is answered so."""
    await server.says("are served from now on")
    assert wanted in await _answer(server)


async def test_an_edited_template_is_checked_before_it_is_served(templates: Path, tmp_path: Path) -> None:
    async with process(tmp_path, "--reload", settings=LOUD) as server:
        await server.says("when something in")
        assert "One" in await _answer(server)
        (templates / "answer.xml").write_text(GOOD.format("Two"))
        await _answers(server, "Two")
        (templates / "answer.xml").write_text(BAD)
        assert "those from before are served" in await server.says("were read again and refused")
        assert "Two" in await _answer(server)


async def test_without_reload_templates_are_read_on_sighup_only(templates: Path, tmp_path: Path) -> None:
    async with process(tmp_path, settings=LOUD) as server:
        (templates / "answer.xml").write_text(GOOD.format("Two"))
        assert "One" in await _answer(server)
        server.process.send_signal(signal.SIGHUP)
        await _answers(server, "Two")
        (templates / "answer.xml").write_text(BAD)
        (templates / "goodbye.xml").write_text(GOOD.format("Farewell"))
        server.process.send_signal(signal.SIGHUP)
        assert "those from before are served" in await server.says("were read again and refused")
        assert "Two" in await _answer(server)
        async with server.call() as call:
            await call.ended()
        assert "Two" in call.documents[0]


SLOW_AGENT = """
import os, pathlib, time

pathlib.Path("pid").write_text(str(os.getpid()))
pathlib.Path("pid").rename("starting")
while not pathlib.Path("go").exists():
    time.sleep(0.01)


async def agent(call, turn):
    yield "Hello."
"""


@pytest.mark.parametrize(("edited", "served", "told"), [(True, "Two", "now on"), (False, "One", "refused")])
async def test_a_sighup_while_the_server_starts_is_heard_once_it_serves(
    templates: Path, tmp_path: Path, edited: bool, served: str, told: str
) -> None:
    """The templates were read before the agent; it is the agent that takes its time."""
    (tmp_path / "slow_agent.py").write_text(SLOW_AGENT)
    settings = {**LOUD, "VOICE_APP_AGENT": "slow_agent:agent"}

    async def edit_and_signal() -> None:
        await until((tmp_path / "starting").exists)
        (templates / "answer.xml").write_text(GOOD.format("Two") if edited else BAD)
        os.kill(int((tmp_path / "starting").read_text()), signal.SIGHUP)
        (tmp_path / "go").touch()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(edit_and_signal())
        async with process(tmp_path, settings=settings) as server:
            await server.says(told)
            assert served in await _answer(server)
