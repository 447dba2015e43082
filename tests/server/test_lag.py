"""A process whose event loop is held up takes no new calls until it has caught up."""

from __future__ import annotations

from pathlib import Path

from support.processes import process
from voice_app.settings import NumberSettings


async def test_a_process_that_an_agent_holds_up_is_full_until_it_has_caught_up(tmp_path: Path) -> None:
    late = {"VOICE_APP_MAX_LAG_MS": "100", "VOICE_APP_AGENT": "support.agents:blocking"}
    (tmp_path / "block").touch()
    async with process(tmp_path, settings=late) as server, server.call() as call:
        await call.reply()
        await server.becomes(lambda status, text: text == "ready")
        await call.say("Hello?")
        told = await server.becomes(lambda status, text: text != "ready")
        assert told.startswith("ready, but takes no new calls: it is ")
        assert "ms late with its work (VOICE_APP_MAX_LAG_MS)" in told
        async with server.call() as turned_away:
            assert "all our lines are busy" in (await turned_away.reply()).text
        (tmp_path / "block").unlink()
        assert (await call.reply()).text == "I am thinking. I have thought."
        await server.becomes(lambda status, text: text == "ready")
        async with server.call() as taken:
            assert (await taken.reply()).text == NumberSettings().greeting
    assert (call.problems, turned_away.problems, taken.problems) == ([], [], [])
