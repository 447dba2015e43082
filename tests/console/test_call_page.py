"""The page of one call, live and over, in a real browser."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.async_api import Browser, Page, expect
from pydantic import SecretStr

from support.chromium import check_accessible, visit
from support.journals import write
from support.receiver import SECRET, receiving
from support.sandbox import REAL, database, sandbox
from support.visitors import sid, users_file
from voice_app.journal import Journal
from voice_app.journal import events as ev
from voice_app.runtime.addresses import JoinLinks
from voice_app.sandbox.phone import Person
from voice_app.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="session")

OPENED = ev.Opened("+15550190001", "+15550100009", "inbound")
OVER = ev.Closed("completed", 9.0)


def serving(folder: Path, **changes: Any) -> Any:
    return sandbox(folder, users=users_file(folder), **changes)


async def written(folder: Path, events: Sequence[ev.Event]) -> str:
    """A call with these events, of now; the path of its page."""
    await write(database(folder), {sid(1): events}, at=time.time())
    return f"/console/calls/{sid(1)}"


def lines(page: Page, who: str) -> Any:
    return page.locator(f"#dialogue > .{who}")


async def test_a_call_is_read_as_it_goes_and_the_unheard_words_are_struck_through(
    browser: Browser, tmp_path: Path
) -> None:
    async with serving(tmp_path, pace=20.0) as server, server.call(caller="+15550190001") as call:
        await call.reply()
        async with visit(browser, server, f"/console/calls/{call.sid}", "act") as page:
            await expect(lines(page, "agent")).to_have_count(1)
            await call.say("What are your opening hours, and where can I find you?")
            await expect(lines(page, "caller")).to_contain_text("where can I find you?")
            heard = await call.interrupt("Sorry, only Saturday, please.", after_words=4)
            await expect(page.locator("del")).to_be_visible()
            cut = lines(page, "agent").nth(1).locator(".said")
            assert (await cut.inner_text()).startswith(heard.text)
            assert not (await page.locator("del").inner_text()).startswith(heard.text)
            await call.hang_up()
            await expect(page.locator("#call-head")).to_contain_text("over")
            await expect(page.get_by_role("button", name="End")).to_have_count(0)
            await check_accessible(page)


async def test_somebody_says_notes_mutes_comments_and_ends(browser: Browser, tmp_path: Path) -> None:
    async with serving(tmp_path) as server, server.call(caller="+15550190001") as call:
        await call.reply()
        async with visit(browser, server, f"/console/calls/{call.sid}", "act") as page:
            for button, told in (("Say", "has said"), ("Note", "tells the agent"), ("Comment", "comments")):
                await page.get_by_label("Text").fill(f"One moment: {told}.")
                await page.get_by_role("button", name=button).click()
                await expect(lines(page, "event")).to_contain_text([f"act {told}: One moment: {told}."])
            assert "One moment: has said." in [reply.text for reply in [await call.reply()]]
            await page.get_by_role("button", name="Mute").click()
            await page.get_by_role("button", name="Unmute").click()
            await expect(page.get_by_role("button", name="Mute", exact=True)).to_be_visible()
            await page.get_by_role("button", name="End").click()
            await page.get_by_role("dialog").get_by_label("Said before the end").fill("Goodbye for now.")
            await page.get_by_role("dialog").get_by_role("button", name="End the call").click()
            await call.over.wait()
            assert "Goodbye for now." in [reply.text for reply in call.replies]


async def test_a_transcript_of_the_person_streams_in(browser: Browser, tmp_path: Path) -> None:
    robin = Person(says=("Hello, this is Robin.", "I see to it."))
    async with (
        serving(tmp_path, handoff_to=["+15550100010"]) as server,
        server.call(robin, caller="+15550190001") as call,
    ):
        await call.reply()
        async with visit(browser, server, f"/console/calls/{call.sid}", "act") as page:
            await page.get_by_role("button", name="Pull to a person").click()
            await page.get_by_role("dialog").get_by_label("Reason").fill("order 81")
            await page.get_by_role("dialog").get_by_role("button", name="Send").click()
            await call.bridged()
            await expect(lines(page, "person").first).to_contain_text("Hello, this is Robin.")
            await call.say("It has not come yet.")
            await expect(lines(page, "person").nth(1)).to_contain_text("I see to it.")
            await expect(page.locator("#call-handoff")).to_contain_text("order 81")


async def test_secrets_are_dots_and_hostile_words_are_words(browser: Browser, tmp_path: Path) -> None:
    hostile = '<script>alert(1)</script>\u202e"><img src=x onerror=alert(2)>' + "W" * 10_000
    path = await written(
        tmp_path,
        [
            msgspec.structs.replace(OPENED, webhook={"CallerName": hostile}),
            ev.Connected("VX1"),
            ev.Prompted(hostile),
            ev.Pressed(""),
            ev.Pressed("42#"),
            ev.ToolCalled(1, "t1", "look_up", f'{{"order": "{hostile[:40]}"}}'),
            ev.ToolReturned(1, "t1", "look_up", hostile, 12.0),
            ev.Supervised("comment", "anna", hostile),
            ev.Failed("agent", hostile),
            OVER,
        ],
    )
    narrow = {"width": 320, "height": 640}
    async with serving(tmp_path) as server, visit(browser, server, path, "act", viewport=narrow) as page:
        await expect(lines(page, "caller").first).to_contain_text("<script>alert(1)</script>")
        await expect(lines(page, "caller").nth(1)).to_contain_text("••••")
        await expect(lines(page, "caller").nth(2).locator("kbd")).to_have_text("42#")
        await page.get_by_text("Everything that happened").click()
        await expect(page.locator("#events")).to_contain_text("CallerName")
        assert await page.locator("main script, main img").count() == 0
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320
        await check_accessible(page)


async def test_memory_that_was_used_is_shown(browser: Browser, tmp_path: Path) -> None:
    known = ev.Remembered("mem_profile_1", ('noted: "Likes tea."', 'noted: "Call +15550190077 <b>."'))
    path = await written(tmp_path, [OPENED, ev.Connected("VX1"), known, OVER])
    async with serving(tmp_path) as server:
        for role, number in (("act", "+15550190077"), ("watch", "+1•••77")):
            async with visit(browser, server, path, role) as page:
                used = page.locator("#call-memory li")
                await expect(used).to_have_text(['noted: "Likes tea."', f'noted: "Call {number} <b>."'])


async def test_where_the_time_went_is_told_in_milliseconds(browser: Browser, tmp_path: Path) -> None:
    path = await written(
        tmp_path,
        [
            OPENED,
            ev.Served("answer.xml", "answer"),
            ev.Connected("VX1"),
            ev.Prompted("Are you open?"),
            ev.Replied(1, "VX1", "We are", first_token_ms=412.0),
            ev.Replied(1, "VX1", "We are open.", done=True, total_ms=1510.0),
            ev.Played(1, "VX1", 6, sound_ms=731.0),
            ev.Heard(1, "VX1", "We are", played_ms=800.0),
            OVER,
        ],
    )
    async with serving(tmp_path) as server, visit(browser, server, path, "act") as page:
        steps = page.locator("#call-timeline tbody tr")
        await expect(steps).to_contain_text(
            [
                re.compile(r"webhook\s+1\.0 s"),
                re.compile(r"until the session began\s+1\.0 s"),
                re.compile(r"reply We are open\.\s+412 ms\s*heard 731 ms, all 1\.5 s"),
                "the caller cut in after 0.8 s of speech",
            ]
        )


async def test_who_watches_reads_no_number(browser: Browser, tmp_path: Path) -> None:
    path = await written(tmp_path, [OPENED, ev.Prompted("Call me at +15550190077."), OVER])
    async with serving(tmp_path) as server, visit(browser, server, path, "watch") as page:
        await expect(lines(page, "caller")).to_contain_text("Call me at +1•••77.")
        await page.get_by_text("Everything that happened").click()
        await expect(page.locator("#events")).to_contain_text("+1•••01")
        assert "155501900" not in await page.content()
        await expect(page.get_by_label("Text")).to_have_count(0)


async def test_a_report_is_sent_again(browser: Browser, tmp_path: Path) -> None:
    async with receiving() as receiver:
        reports = {"report_url": receiver.url, "report_secret": SecretStr(SECRET), "followup_seconds": 0}
        async with serving(tmp_path, **reports) as server:
            async with server.call() as call:
                await call.reply()
            async with visit(browser, server, f"/console/calls/{call.sid}", "act") as page:
                await expect(page.locator("#call-report")).to_contain_text("report: delivered")
                await page.get_by_role("button", name="Send again").click()
                assert (await receiver.get(2))["revision"] == 2
                await expect(page.locator("#call-report")).to_contain_text("report#2: delivered")


async def test_an_unknown_call_is_said_to_be_one(browser: Browser, tmp_path: Path) -> None:
    path = f"/console/calls/{sid(9)}"
    async with serving(tmp_path) as server, visit(browser, server, path, "act", lost="404") as page:
        await expect(page.get_by_text(f"No call {sid(9)} is known here.")).to_be_visible()


async def test_the_person_reads_the_call_and_gives_it_back(browser: Browser, tmp_path: Path) -> None:
    robin = Person(says=("Hello, this is Robin.",))
    async with (
        serving(tmp_path, handoff_to=["client:robin"]) as server,
        server.call(robin, caller="+15550190001") as call,
    ):
        await call.reply()
        await call.ask("I want to speak to a person about order 81.")
        await call.bridged()
        rung = next(text for text in call.documents if "<Client" in text)
        told = re.search(r'<Parameter name="join" value="https?://[^/]+(/console/join/[^"]+)"', rung)
        assert told is not None, rung
        async with visit(browser, server, told[1]) as page:
            await expect(page.get_by_role("heading", name="+15550190001")).to_be_visible()
            await expect(page.locator("#call-handoff")).to_contain_text("order 81")
            await expect(lines(page, "caller").first).to_contain_text("about order 81")
            await call.say("It has not come yet.")
            await expect(lines(page, "caller").nth(1)).to_contain_text("It has not come yet.")
            await check_accessible(page)
            await page.get_by_role("button", name="Give back").click()
            await expect(page.locator("#call-head")).to_contain_text("with the agent")
            while (reply := await call.reply()).text != server.settings.handoff_back_line:
                assert reply.text
            assert "open" in (await call.ask("What are your hours?")).text
            assert call.engine_overlaps == []
            await expect(page.get_by_role("button", name="Give back")).to_have_count(0)


async def test_a_link_that_is_not_ours_shows_nothing(browser: Browser, tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        for code in (
            "x",
            f'"{sid(1)}".aaaaaa.bbbb',
            JoinLinks(Settings.model_construct(**REAL)).path(sid(1)),
        ):
            path = code if code.startswith("/") else f"/console/join/{code}"
            async with visit(browser, server, path, lost="404") as page:
                await expect(page.get_by_text("This link is not good any more.")).to_be_visible()


async def frames_are_kept(folder: Path, call_sid: str, *texts: str) -> None:
    """Wait until frames with each of these texts are in the journal."""
    async with asyncio.timeout(30), Journal(database(folder), create=False) as journal:
        while True:
            found = [entry.event for entry in await journal.events(call_sid)]
            frames = [frame.text for event in found if isinstance(event, ev.Framed) for frame in event.frames]
            if all(any(text in frame for frame in frames) for text in texts):
                return
            await asyncio.sleep(0.02)


async def test_twiml_and_frames_are_read_on_demand_without_secrets(browser: Browser, tmp_path: Path) -> None:
    async with serving(tmp_path, keep_frames=500) as server, server.call(caller="+15550190001") as call:
        await call.reply()
        await call.say("Are you open on Sunday?")
        await call.reply()
        await frames_are_kept(tmp_path, call.sid, "Are you open on Sunday?", '"type":"text"')
        async with visit(browser, server, f"/console/calls/{call.sid}", "act") as page:
            await page.get_by_text("TwiML and frames").click()
            rows = page.locator("#wire tbody tr")
            await expect(rows.first).to_contain_text("TwiML answer.xml")
            await expect(rows.first).to_contain_text("/relay/••••")
            await expect(rows.filter(has_text="Are you open on Sunday?")).to_contain_text("frame received")
            await expect(rows.filter(has_text='"type":"text"').first).to_contain_text("frame sent")
            await check_accessible(page)


async def test_frames_are_not_kept_unless_somebody_wants_them(browser: Browser, tmp_path: Path) -> None:
    async with serving(tmp_path) as server, server.call(caller="+15550190001") as call:
        await call.reply()
        async with visit(browser, server, f"/console/calls/{call.sid}", "act") as page:
            await page.get_by_text("TwiML and frames").click()
            await expect(page.locator("#wire tbody tr")).to_have_count(1)
            await expect(page.get_by_text("Frames are not kept: set VOICE_APP_KEEP_FRAMES.")).to_be_visible()


@pytest.mark.parametrize(
    ("after", "shown"),
    [
        ([], ["What I meant to"]),
        ([OVER], ["What I meant to"]),
        ([ev.Prompted("What I meant to say is this.")], ["What I meant to say is this."]),
    ],
    ids=["live", "cut short", "followed by the whole"],
)
async def test_what_the_caller_has_not_finished_is_grey(
    browser: Browser, tmp_path: Path, after: list[ev.Event], shown: list[str]
) -> None:
    path = await written(tmp_path, [OPENED, ev.Connected("VX1"), ev.Partial("What I meant to"), *after])
    async with serving(tmp_path) as server, visit(browser, server, path, "act") as page:
        await expect(lines(page, "caller").locator(".said")).to_have_text(shown)
        unfinished = shown if shown[0] == "What I meant to" else []
        await expect(page.locator("#dialogue .partial")).to_have_text(unfinished)
