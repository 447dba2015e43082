"""The start page: calls as they come, go on and end, in a real browser."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import unused_port
from playwright.async_api import Browser, expect

from support.chromium import check_accessible, visit
from support.journals import write
from support.sandbox import database, recorded, sandbox
from support.visitors import sid, users_file
from voice_app.journal import events as ev
from voice_app.sandbox.phone import Person

pytestmark = pytest.mark.asyncio(loop_scope="session")


def serving(folder: Path, **changes: Any) -> Any:
    return sandbox(folder, users=users_file(folder), **changes)


async def test_a_call_is_seen_as_it_comes_goes_on_and_ends(browser: Browser, tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visit(browser, server, role="act") as page:
        await expect(page.get_by_text("No call goes on.")).to_be_visible()
        async with server.call(caller="+15550190001") as call:
            row = page.get_by_role("row", name="+15550190001")
            await expect(row).to_contain_text("with the agent")
            await expect(page.locator("#count-live")).to_have_text("1")
            await call.reply()
            answer = (await call.ask("What are your hours?")).text
            await expect(row.locator(".said")).to_contain_text(answer[:40])
            await check_accessible(page)
        await expect(row).to_have_count(0)
        await expect(page.get_by_text("No call goes on.")).to_be_visible()


async def test_somebody_is_told_and_pulls_and_ends(browser: Browser, tmp_path: Path) -> None:
    async with (
        serving(tmp_path, handoff_to=["+15550100010"]) as server,
        visit(browser, server, role="act") as page,
        server.call(caller="+15550190001") as call,
    ):
        await call.reply()
        row = page.get_by_role("row", name="+15550190001")
        await row.get_by_role("button", name="Pull").click()
        await page.get_by_role("dialog").get_by_label("Reason").fill("a complaint")
        await check_accessible(page)
        await page.get_by_role("dialog").get_by_role("button", name="Send").click()
        await expect(page.get_by_role("log")).to_contain_text("+15550190001 asks for a person (a complaint)")
        await row.get_by_role("button", name="End").click()
        await page.get_by_role("dialog").get_by_role("button", name="End the call").click()
        await call.over.wait()
        await expect(row).to_have_count(0)


async def test_whoever_pulls_chooses_who_is_rung(browser: Browser, tmp_path: Path) -> None:
    async with (
        serving(tmp_path, handoff_to=["+15550100010", "client:anna"]) as server,
        visit(browser, server, role="act") as page,
        server.call(Person("answers"), caller="+15550190001") as call,
    ):
        await call.reply()
        row = page.get_by_role("row", name="+15550190001")
        await row.get_by_role("button", name="Pull").click()
        await page.get_by_role("dialog").get_by_label("Whom to ring first").select_option("client:anna")
        await page.get_by_role("dialog").get_by_role("button", name="Send").click()
        await call.bridged()
        await expect(row).to_contain_text("client:anna")
    rung = [
        entry.event.target
        for entry in await recorded(tmp_path, call.sid)
        if isinstance(entry.event, ev.HandedOff)
    ]
    assert list(filter(None, rung)) == ["client:anna"]


async def test_who_watches_sees_no_number_and_has_nothing_to_act_with(
    browser: Browser, tmp_path: Path
) -> None:
    async with (
        serving(tmp_path) as server,
        visit(browser, server, role="watch") as page,
        server.call(caller="+15550190001") as call,
    ):
        await call.reply()
        await expect(page.get_by_role("row", name="+1•••01")).to_contain_text("with the agent")
        assert "15550190001" not in await page.content()
        await expect(page.get_by_role("button", name="End")).to_have_count(0)


async def test_a_hostile_caller_harms_nothing(browser: Browser, tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>\u202e<img src=x onerror=alert(2)>" + "W" * 10_000
    opened = ev.Opened("+15550190001", "+15550100009", "inbound", webhook={"CallerName": hostile})
    calls: dict[str, list[ev.Event]]
    calls = {sid(1): [opened, ev.Connected("VX1"), ev.Prompted(hostile)]}
    await write(database(tmp_path), calls, at=time.time())
    narrow = {"width": 320, "height": 640}
    async with (
        serving(tmp_path) as server,
        visit(browser, server, role="act", viewport=narrow) as page,
    ):
        await expect(page.locator(".said")).to_contain_text("<script>alert(1)</script>")
        assert await page.locator("main script, main img").count() == 0
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320


async def test_a_page_that_lost_its_server_says_so_and_fills_the_gap(
    browser: Browser, tmp_path: Path
) -> None:
    async with (
        serving(tmp_path) as server,
        visit(browser, server, role="act", lost="ERR_INTERNET_DISCONNECTED") as page,
        server.call(caller="+15550190001") as call,
    ):
        row = page.get_by_role("row", name="+15550190001")
        await expect(row).to_be_visible()
        await page.context.set_offline(True)
        await expect(page.get_by_text("Stale since")).to_be_visible()
        await call.hang_up()
        await page.context.set_offline(False)
        await expect(page.get_by_text("Stale since")).to_be_hidden()
        await expect(row).to_have_count(0)


async def test_a_call_that_is_phoned_on_one_server_is_seen_on_another(
    browser: Browser, tmp_path: Path, postgres_url: str
) -> None:
    folders = [tmp_path / "here", tmp_path / "there"]
    for folder in folders:
        folder.mkdir()
    async with (
        sandbox(folders[0], database_url=postgres_url) as here,
        sandbox(folders[1], database_url=postgres_url) as there,
        visit(browser, here) as page,
        visit(browser, there, "/console/phone") as phone,
    ):
        await phone.get_by_label("Words a second").fill("50")
        await phone.get_by_role("button", name="Call", exact=True).click()
        row = page.get_by_role("row", name="+15550199999")
        await expect(row.locator(".said")).to_contain_text("How can I help you?")
        await phone.get_by_label("What you say").fill("Where are you?")
        await phone.keyboard.press("Enter")
        await expect(row.locator(".said")).to_contain_text("Mill Lane")
        await phone.get_by_role("button", name="Hang up", exact=True).click()
        await expect(row).to_have_count(0)


async def test_a_page_whose_server_is_gone_misses_nothing(
    browser: Browser, tmp_path: Path, postgres_url: str
) -> None:
    folders = [tmp_path / "here", tmp_path / "there"]
    for folder in folders:
        folder.mkdir()
    port = unused_port()
    async with sandbox(folders[1], database_url=postgres_url) as there, AsyncExitStack() as stack:
        async with sandbox(folders[0], database_url=postgres_url, port=port) as here:
            page = await stack.enter_async_context(visit(browser, here, lost="ERR_"))
            call = await stack.enter_async_context(there.call(caller="+15550190001"))
            await call.reply()
            row = page.get_by_role("row", name="+15550190001")
            await expect(row.locator(".said")).to_contain_text("How can I help you?")
        await expect(page.get_by_text("Stale since")).to_be_visible()
        await call.ask("Where are you?")
        async with sandbox(folders[0], database_url=postgres_url, port=port):
            await expect(row.locator(".said")).to_contain_text("Mill Lane", timeout=20_000)
            await expect(page.get_by_text("Stale since")).to_be_hidden()
