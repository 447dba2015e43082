"""The database goes away in mid-call: the call goes on as if nothing had happened, and nothing is missing."""

from __future__ import annotations

import asyncio
from pathlib import Path

from support.postgres import Postgres
from support.sandbox import sandbox
from voice_app.calls import CallState
from voice_app.journal import Journal
from voice_app.journal.events import Closed, Opened
from voice_app.sandbox.phone import Person

WISH = "I want to speak to a person."


async def test_a_call_goes_on_though_the_database_is_stopped(
    tmp_path: Path, postgres: Postgres, postgres_url: str
) -> None:
    people = ("+15550100010",)
    async with (
        sandbox(tmp_path, database_url=postgres_url, handoff_to=people) as server,
        server.call(Person("answers")) as before,
        asyncio.timeout(60),
    ):
        await before.reply()
        await asyncio.to_thread(postgres.stop)
        try:
            await before.ask("What are your hours?")
            # The handoff asks the journal at each step what has been done.
            await before.ask(WISH)
            await before.bridged()
            await before.person_says("Anna here.")
            await before.hang_up()
            async with server.call() as during:  # and new calls are taken
                await during.reply()
                await during.ask("What are your hours?")
        finally:
            await asyncio.to_thread(postgres.start)
    async with Journal(postgres_url) as journal:
        lines = [line.text for line in CallState.of(await journal.events(before.sid)).transcript.lines()]
        assert lines[1] == "What are your hours?"
        assert {WISH, "Anna here."} <= set(lines)
        kinds = [type(entry.event) for entry in await journal.events(during.sid)]
        assert kinds[0] is Opened
        assert Closed in kinds
        assert "What are your hours?" in [
            line.text for line in CallState.of(await journal.events(during.sid)).transcript.lines()
        ]
