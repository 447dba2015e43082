"""How pages are made."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from support import visitors
from support.chromium import check_accessible, visit
from support.sandbox import sandbox
from support.visitors import users_file
from voice_app.console.pages import clock, duration, milliseconds


async def test_what_a_page_loads_is_ours_and_is_kept_by_the_browser(tmp_path: Path) -> None:
    async with sandbox(tmp_path, users=users_file(tmp_path)) as server, visitors.browser(server) as http:
        async with http.get("/console/sign-in") as response:
            page = await response.text()
        loaded = re.findall(r'<(?:link|script)[^>]*(?:href|src)="([^"]+)"', page)
        assert len(loaded) == 3
        for address in loaded:
            async with http.get(address) as response:
                assert response.status == 200
                assert "immutable" in response.headers["Cache-Control"]
                assert "default-src 'none'" in response.headers["Content-Security-Policy"]


async def test_no_page_has_a_script_or_a_style_of_its_own(tmp_path: Path) -> None:
    async with (
        sandbox(tmp_path, users=users_file(tmp_path)) as server,
        visitors.browser(server) as http,
        http.get("/console/sign-in") as response,
    ):
        page = await response.text()
    assert not re.search(r"<style|<script(?![^>]* src=)| style=| on\w+=", page)


@pytest.mark.parametrize(
    ("seconds", "told"), [(None, "–"), (0.4, "0:00"), (65, "1:05"), (3723, "1:02:03"), (-2, "0:00")]
)
def test_durations(seconds: float | None, told: str) -> None:
    assert duration(seconds) == told


@pytest.mark.parametrize(
    ("value", "told"), [(None, "–"), (0.4, "0 ms"), (320.4, "320 ms"), (1234.0, "1.2 s")]
)
def test_milliseconds(value: float | None, told: str) -> None:
    assert milliseconds(value) == told


def test_a_time_is_told_in_utc_and_for_the_browser() -> None:
    assert clock(0.0) == (
        '<time datetime="1970-01-01T00:00:00.000+00:00" data-time="clock">00:00:00 UTC</time>'
    )


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_whoever_cannot_see_can_sign_in(browser: Browser, tmp_path: Path, scheme: str) -> None:
    """And is told why it did not work; the keyboard does all of it."""
    async with (
        sandbox(tmp_path, users=users_file(tmp_path)) as server,
        visit(browser, server, "/console/", lost="401", color_scheme=scheme) as page,
    ):
        await page.keyboard.type("anna")
        await page.keyboard.press("Tab")
        await page.keyboard.type("wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("The name or the password is wrong.")
        await check_accessible(page)
