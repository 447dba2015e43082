"""Pictures of the console's pages, light, dark and narrow, with calls that happen while they are taken.

PYTHONPATH=tests .venv/bin/python -m support.screenshots FOLDER [PAGE …]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Page

from support.chromium import chromium, visit
from support.sandbox import Sandbox, sandbox
from support.visitors import users_file
from voice_app.runtime.addresses import JoinLinks
from voice_app.sandbox.phone import Person, PhoneCall

LOOKS: Final[dict[str, dict[str, Any]]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 800}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 800}},
    "narrow": {"color_scheme": "light", "viewport": {"width": 320, "height": 640}},
}


async def main(folder: Path, wanted: list[str]) -> None:
    """Write ``PAGE-LOOK.png`` for each page that is ``wanted``; by default for all."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as here:
        async with busy(Path(here)) as (server, pages), chromium() as browser:
            for name, path in pages.items():
                if wanted and name not in wanted:
                    continue
                for look, profile in LOOKS.items():
                    role = "" if name in ("sign-in", "join") else "act"
                    async with visit(browser, server, path, role, **profile) as page:
                        if name == "phone":
                            await talk(page)
                        await page.wait_for_timeout(300)
                        await page.screenshot(path=folder / f"{name}-{look}.png", full_page=True)
                        sys.stdout.write(f"{folder}/{name}-{look}.png\n")


async def talk(page: Page) -> None:
    """Phone from the page, and cut in."""
    await page.get_by_label("Words a second").fill("20")
    await page.get_by_role("button", name="Call", exact=True).click()
    for words in ("What are your opening hours, and where are you?", "Sorry, only Saturday."):
        await page.wait_for_timeout(900)
        await page.get_by_label("What you say").fill(words)
        await page.keyboard.press("Enter")
    await page.wait_for_timeout(900)


@asynccontextmanager
async def busy(folder: Path) -> AsyncIterator[tuple[Sandbox, dict[str, str]]]:
    """A server with calls of all kinds, and the addresses of its pages."""
    async with (
        sandbox(folder, pace=60.0, users=users_file(folder), handoff_to=["+15550100010"]) as server,
        AsyncExitStack() as stack,
    ):

        async def phone(caller: str, *people: Person) -> PhoneCall:
            call = await stack.enter_async_context(server.call(*people, caller=caller))
            await call.reply()
            return call

        asking, cutting, handed, over = (
            await phone("+15550190001"),
            await phone("+15550190002"),
            await phone("+15550190003", Person(says=("Hello, this is Robin. How can I help?", "I see."))),
            await phone("client:kim"),
        )
        await asking.ask("What are your opening hours?")
        await cutting.say("What are your opening hours, and where can I find you?")
        await cutting.interrupt("Sorry, only Saturday, please.", after_words=4)
        await cutting.reply()
        await handed.ask("I want to speak to a person about order 81.")
        await handed.bridged()
        await handed.say("It has not come yet.")
        await over.ask("Where are you?")
        await over.hang_up()
        await asyncio.sleep(1.0)
        yield (
            server,
            {
                "sign-in": "/console/sign-in",
                "live": "/console/",
                "call": f"/console/calls/{cutting.sid}",
                "call-handed-over": f"/console/calls/{handed.sid}",
                "phone": "/console/phone",
                "join": JoinLinks(server.settings).path(handed.sid),
                "call-over": f"/console/calls/{over.sid}",
            },
        )


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
