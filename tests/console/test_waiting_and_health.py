"""Waiting, Health and Figures, as pages; and all pages of lists in a real browser, without a script, too."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Browser, expect

from support.chromium import check_accessible, visit
from support.journals import talk, write
from support.sandbox import database, happened, sandbox
from support.visitors import browser as signed_in
from support.visitors import csrf_in, sid, users_file
from voice_app.journal import Journal
from voice_app.journal import events as ev
from voice_app.journal.events import Event
from voice_app.runtime import capacity
from voice_app.telemetry import metrics

ANN, OURS = "+15550190001", "+15550100009"
HOSTILE = "<script>alert(1)</script>\u202e<img src=x onerror=alert(2)>" + "W" * 10_000
MISSED = [ev.HandedOff("requested", "angry"), ev.HandedOff("rang"), ev.HandedOff("no-answer")]
OPENED = ev.Opened(ANN, OURS, "inbound")
CALLS: dict[str, list[Event]] = {
    sid(1): [
        ev.Opened(f"client:{HOSTILE}", OURS, "inbound"),
        ev.Prompted(HOSTILE),
        ev.HandedOff("requested", HOSTILE),
        ev.HandedOff("rang", target="+15550100010"),
    ],
    sid(2): [OPENED, *MISSED, ev.Closed("completed"), ev.Costed(0.25, "USD")],
    sid(3): [*talk(ANN), ev.Voicemail("RE1", "https://x.example/RE1", 7.0, HOSTILE)],
    sid(4): [OPENED, ev.CallbackWanted(ANN, OURS), ev.CalledBack(1, sid(9)), ev.Closed("completed")],
    sid(5): [
        *talk(ANN),
        ev.Replied(2, "VX1", "Yes.", True, 310.0, 400.0, ends_turn=True),
        ev.Concluded("M", (ev.OutcomeField("resolved", "true", "x"),)),
    ],
}


async def serving(tmp_path: Path, **changes: Any) -> Any:
    await write(database(tmp_path), CALLS, at=time.time() - 60, step=0.1)
    # Nobody is called back while a test looks on: its server has nothing to follow up.
    return sandbox(tmp_path, users=users_file(tmp_path), guard_seconds=0, followup_seconds=3600.0, **changes)


async def post(http: aiohttp.ClientSession, path: str, **form: str) -> int:
    async with http.get(path) as response:
        csrf = csrf_in(await response.text())
    async with http.post(path, data={"csrf": csrf, **form}, allow_redirects=False) as response:
        return response.status


def section(page: str, title: str) -> str:
    found = re.search(rf"<h2>{title}.*?</section>", page, re.DOTALL)
    assert found is not None, page
    return found[0]


async def test_who_waits_is_seen_to_with_a_plain_form(tmp_path: Path) -> None:
    async with await serving(tmp_path) as server, signed_in(server, "act") as http:
        async with http.get("/console/waiting") as response:
            page = await response.text()
        assert sid(1) in section(page, "On the line for a person")
        assert sid(2) in section(page, "Reached nobody")
        assert sid(3) in section(page, "Messages")
        assert sid(4) in section(page, "Want to be called back")
        assert "<script>alert" not in page
        assert await post(http, "/console/waiting", act="done", call_sid=sid(2)) == 303
        async with http.get("/console/waiting") as response:
            missed = section(await response.text(), "Reached nobody")
        assert ">done</span> <small>act</small>" in missed


async def test_a_call_back_is_hurried_and_stopped(tmp_path: Path) -> None:
    async with await serving(tmp_path) as server, signed_in(server, "act") as http:
        for act in ("call-back", "no-call-back"):
            assert await post(http, "/console/waiting", act=act, call_sid=sid(4)) == 303
        await happened(tmp_path, sid(4), ev.Supervised, times=2)
        # Nobody asked for it on this one, nobody knows that one, and what is no act is none.
        assert await post(http, "/console/waiting", act="call-back", call_sid=sid(2)) == 409
        assert await post(http, "/console/waiting", act="call-back", call_sid=sid(99)) == 404
        assert await post(http, "/console/waiting", act="dance", call_sid=sid(4)) == 400
        assert await post(http, "/console/waiting", act="done", call_sid="CA'") == 400


async def test_who_watches_may_not_act(tmp_path: Path) -> None:
    async with await serving(tmp_path) as server, signed_in(server, "watch") as http:
        async with http.get("/console/waiting") as response:
            page = await response.text()
        assert ANN not in page
        assert '<button class="small' not in page
        assert await post(http, "/console/waiting", act="done", call_sid=sid(2)) == 403
        assert await post(http, "/console/health") == 403


async def test_health_tells_what_the_guard_has_found(tmp_path: Path) -> None:
    metrics.MODEL_ERRORS.labels("gpt-test", "timeout").inc()
    async with await serving(tmp_path) as server, signed_in(server, "act") as http:
        async with http.get("/console/health") as response:
            assert "The guard has not looked yet." in await response.text()
        assert await post(http, "/console/health") == 303
        async with http.get("/console/health") as response:
            page = await response.text()
    assert "The guard has not looked yet." not in page
    assert server.phone.number in section(page, "Where the numbers lead")
    assert "gpt-test" in section(page, "Model errors")
    assert re.search(r"<strong>Billed (once|twice)</strong>", page)


async def test_health_tells_how_the_other_servers_are(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capacity, "HEARTBEAT_SECONDS", 0.2)

    def serving_at(name: str, **changes: Any) -> Any:
        folder = tmp_path / name
        folder.mkdir()
        return sandbox(folder, database_url=postgres_url, users=users_file(folder), **changes)

    async def others(http: aiohttp.ClientSession) -> list[dict[str, Any]]:
        async with http.get("/api/v1/status") as response:
            found: list[dict[str, Any]] = (await response.json())["others"]
            return found

    async def others_come_to(http: aiohttp.ClientSession, *wanted: tuple[str, int | None]) -> None:
        async with asyncio.timeout(30):
            while True:
                told = [(one["state"], one["load"] and one["load"]["calls"]) for one in await others(http)]
                if told == list(wanted):
                    return
                await asyncio.sleep(0.05)

    async with serving_at("here") as here, signed_in(here, "act") as http:
        async with serving_at("there", max_calls=1) as there:
            await others_come_to(http, ("ready", 0))
            async with there.call() as call:
                await call.reply()
                await others_come_to(http, ("full", 1))
                async with http.get("/console/health") as response:
                    servers = section(await response.text(), "Servers")
                assert re.search(r"1 <small>of 1</small>", servers)
                assert "it has 1 calls, as many as it may (VOICE_APP_MAX_CALLS)" in servers
                assert re.search(r"\d ms <small>longest", servers)
        await others_come_to(http)  # it has signed off
        async with Journal(postgres_url, create=False) as older:
            await older.beat("draining")
            await others_come_to(http, ("draining", None))
            async with http.get("/console/health") as response:
                assert "It does not tell" in section(await response.text(), "Servers")


@pytest.mark.parametrize("by", ["hour", "day", "number", "agent", "variant", "reason", "outcome"])
async def test_figures_are_shown_with_the_same_numbers_beside(tmp_path: Path, by: str) -> None:
    async with await serving(tmp_path) as server, signed_in(server, "act") as http:
        async with http.get(f"/console/figures?by={by}") as response:
            assert response.status == 200
            page = await response.text()
        async with http.get(f"/console/figures.csv?by={by}") as response:
            rows = (await response.text("utf-8-sig")).splitlines()
    assert rows[0].startswith("key,calls")
    assert page.count('<th scope="row"') == len(rows) - 1
    charts = re.findall(r"<svg(?! class=.icon).*?</svg>", page, re.DOTALL)
    assert (len(charts) > 0) is (len(rows) > 1)
    assert not any(re.search(r"<script|<style| style=| id=| href=", chart) for chart in charts)
    assert "0.25 USD" in page


async def test_figures_lead_to_the_calls_that_they_count(tmp_path: Path) -> None:
    async with await serving(tmp_path) as server, signed_in(server, "act") as http:
        async with http.get("/console/figures?by=outcome") as response:
            page = await response.text()
        link = re.search(r'<th scope="row"[^>]*><a href="([^"]+)"', page)
        assert link is not None
        async with http.get(link[1].replace("&amp;", "&")) as response:
            listed = await response.text()
        assert re.findall(r'href="/console/calls/(CA\w+)"', listed) == [sid(5)]
        async with http.get("/console/figures?by=week") as response:
            assert (response.status, "&#39;week&#39; should be" in await response.text()) == (400, True)


# --- in a browser -----------------------------------------------------------------------------------

PAGES = ("calls", "calls?flags=handoff", "waiting", "health", "figures", "erase?number=%2B15550190001")


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 320)])
async def test_every_page_is_readable_for_everybody(
    browser: Browser, tmp_path: Path, scheme: Any, width: int
) -> None:
    size = {"width": width, "height": 800}
    metrics.MODEL_ERRORS.labels("model" * 12, "timeout").inc()
    async with (
        await serving(tmp_path) as server,
        visit(browser, server, "/console/health", "admin", color_scheme=scheme, viewport=size) as page,
    ):
        await page.get_by_role("button", name="Check now").click()
        await expect(page.get_by_text("Checked")).to_be_visible()
        for path in PAGES:
            await page.goto(f"/console/{path}")
            await check_accessible(page)
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert await page.locator("main script, main img").count() == 0, path


@pytest.mark.asyncio(loop_scope="session")
async def test_lists_need_no_script(browser: Browser, tmp_path: Path) -> None:
    many: dict[str, list[Event]] = {sid(number): talk("+15550190002") for number in range(100, 160)}
    await write(database(tmp_path), many, at=time.time() - 3600, step=0.1)
    async with (
        await serving(tmp_path) as server,
        visit(browser, server, "/console/calls", "act", java_script_enabled=False) as page,
    ):
        await page.get_by_label("Number").fill("+15550190002")
        await page.get_by_role("button", name="Search").click()
        await expect(page.locator("tbody tr")).to_have_count(50)
        await page.get_by_role("link", name="Older").click()
        await expect(page.locator("tbody tr")).to_have_count(10)
        await page.goto("/console/waiting")
        await page.get_by_role("region", name="Reached nobody").get_by_role("button", name="Done").click()
        await expect(page.get_by_role("region", name="Reached nobody")).to_contain_text("done act")
        await page.goto("/console/figures")
        await page.locator("select[name=by]").select_option("Agent")
        await page.get_by_role("button", name="Count").click()
        await expect(page).to_have_url(re.compile("by=agent"))


@pytest.mark.asyncio(loop_scope="session")
async def test_a_view_is_kept_and_thrown_away(browser: Browser, tmp_path: Path) -> None:
    async with (
        await serving(tmp_path) as server,
        visit(browser, server, "/console/calls", "act") as page,
    ):
        await page.get_by_text("More").click()
        await page.get_by_label("a person was asked for").check()
        await page.get_by_role("button", name="Search").click()
        await page.get_by_label("Name of this view").fill("<b>Angry</b>")
        await page.get_by_role("button", name="Save this view").click()
        await page.goto("/console/calls")
        await page.get_by_role("link", name="<b>Angry</b>").click()
        await expect(page).to_have_url(re.compile(r"\?flags=handoff$"))
        await expect(page.locator("tbody tr")).to_have_count(2)
        await page.get_by_role("button", name="Remove the view <b>Angry</b>").click()
        await page.reload()
        await expect(page.get_by_role("link", name="<b>Angry</b>")).to_have_count(0)
