"""Pictures of the console's pages, light, dark and narrow, with calls that happen while they are taken.

PYTHONPATH=tests .venv/bin/python -m support.screenshots FOLDER [PAGE …]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Page

from support.chromium import chromium, visit
from support.journals import write
from support.sandbox import Sandbox, database, sandbox
from support.visitors import sid, users_file
from voice_app.journal import events as ev
from voice_app.journal.events import Event
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
            shown = {name: path for name, path in pages.items() if not wanted or name in wanted}
            for look, profile in LOOKS.items():
                for role in ("", "admin"):
                    some = [name for name in shown if (name in ("sign-in", "join")) is (role == "")]
                    async with visit(browser, server, "/console/sign-in", role, **profile) as page:
                        for name in some:
                            await page.goto(shown[name])
                            await prepare(page, name)
                            await page.screenshot(path=folder / f"{name}-{look}.png", full_page=True)
                            sys.stdout.write(f"{folder}/{name}-{look}.png\n")


async def prepare(page: Page, name: str) -> None:
    """Have something on the page."""
    if name == "phone":
        await talk(page)
    if name == "health" and await page.get_by_text("Not checked yet").count():
        await page.get_by_role("button", name="Check now").click()
    await page.wait_for_timeout(300)


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
    for day in range(14):
        calls = {sid(100 * day + number): list(past(day, number)) for number in range(1, 8)}
        await write(database(folder), calls, at=time.time() - (day + 0.3) * 86_400.0, step=9.0)
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
                "calls": "/console/calls",
                "calls-filtered": "/console/calls?flags=handoff",
                "erase": "/console/erase?number=%2B15550190011",
                "waiting": "/console/waiting",
                "health": "/console/health",
                "figures": "/console/figures",
                "figures-by-agent": "/console/figures?by=agent",
            },
        )


def past(day: int, number: int) -> Iterator[Event]:
    """A call of a day ago, or more."""
    caller, ours = f"+155501900{(day + number) % 7 + 10}", "+15550100009"
    yield ev.Opened(caller, ours, "inbound")
    yield ev.AgentAssigned("billing" if number % 3 == 0 else "receptionist")
    yield ev.Prompted(f"Where is my order {10 * day + number}?")
    first = 250.0 + 70 * number + 31 * (day % 5)
    yield ev.Replied(1, "VX1", "It is on its way.", True, first, first + 600, ends_turn=True)
    yield ev.Played(1, "VX1", 17, first + 330)
    if number == 1:
        yield from (
            ev.HandedOff("requested", "a complaint", "The order never came."),
            ev.HandedOff("rang", target="+15550100010"),
            ev.HandedOff("no-answer"),
        )
    elif number == 2 and day % 4 == 0:
        yield ev.Voicemail("RE" + f"{day:032x}", "", 7.0, "Please call me back about my order.", "completed")
    elif number == 3 and day % 5 == 0:
        yield ev.CallbackWanted(caller, ours)
        yield ev.FollowedUp("callback", "called back")
    elif number == 4:
        yield ev.Heard(1, "VX1", "It is", 400.0)
    elif number == 5 and day % 3 == 0:
        yield ev.Acted("end-call", "silence")
    yield ev.Closed("completed", 60.0)
    mood = ev.OutcomeField("mood", '"annoyed"' if number == 1 else '"pleased"', "x")
    yield ev.Concluded(
        "Default", (ev.OutcomeField("resolved", "false" if number == 1 else "true", "x"), mood)
    )
    yield ev.Costed(0.03 * number, "USD")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
