"""``voice-app call`` at a terminal: what is typed and what is said do not get into each other's way."""

from __future__ import annotations

import asyncio
from pathlib import Path

from support.commands import serving
from support.terminal import terminal


async def test_a_line_that_is_typed_while_the_agent_speaks_stays_apart_from_its_words(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as base_url,
        terminal(tmp_path, "call", "--url", f"{base_url}/voice", "--pace", "3") as (shown, process),
    ):
        await shown.shows("agent", "Hello! You are")
        shown.type("Where are")
        rows = await shown.shows("agent", foot="> Where are")
        assert not any("agent" in row and "Where" in row for row in rows)
        await shown.shows("agent", "How can I help you?", foot="> Where are")
        shown.type(" you?\r")
        rows = await shown.shows("caller", "Where are you?")
        assert not any(row.startswith("> Where") for row in rows), "what was said is not there twice"
        await shown.shows("agent", "Mill Lane")
        shown.type("\x04")  # Ctrl-D: the end of the input
        await shown.shows("the call is over")
        async with asyncio.timeout(60):
            assert await process.wait() == 0


async def test_a_line_cuts_in_while_its_words_appear(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as base_url,
        terminal(tmp_path, "call", "--url", f"{base_url}/voice", "--pace", "3") as (shown, _),
    ):
        await shown.shows("agent", "Hello! You are")
        shown.type("Where are you?\r")
        await shown.shows("caller", "Where are you?")
        await shown.shows("agent", "—  (cut off after")
        await shown.shows("agent", "Mill Lane")
        shown.type("/help\r")
        await shown.shows("/hang-up")
        shown.type("/hang-up\r")
        await shown.shows("the call is over")
