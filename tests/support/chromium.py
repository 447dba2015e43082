"""A real browser that looks at the console: one for all tests of a run, a fresh profile for each visit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright

from support.sandbox import Sandbox
from support.tools import required
from support.visitors import PASSWORD

GRAVE = ("serious", "critical")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Debian's Chromium, without a window. Without one the tests are skipped; in CI they fail.

    The one that is made for it costs a quarter of what the other does; that one will do.
    """
    program = required("chromium-headless-shell", "chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def visit(
    browser: Browser,
    server: Sandbox,
    path: str = "/console/",
    role: str = "",
    *,
    lost: str = "",
    **profile: Any,
) -> AsyncIterator[Page]:
    """A page of this server, signed in as the user who is named as the role is.

    Nothing may be wrong in its console at the end, but for what has ``lost`` in it.
    """
    context = await browser.new_context(base_url=server.base_url, locale="en-GB", **profile)
    context.set_default_timeout(10_000)
    wrong: list[str] = []
    try:
        page = await context.new_page()
        page.on(
            "console", lambda told: wrong.append(told.text) if told.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: wrong.append(str(error)))
        if role:  # as the form does, which is tested by itself
            form: dict[str, str | float | bool] = {"name": role, "password": PASSWORD}
            signed_in = await context.request.post("/console/sign-in", form=form, max_redirects=0)
            assert signed_in.status == 303
        await page.goto(path)
        yield page
        assert [text for text in wrong if not lost or lost not in text] == []
    finally:
        await context.close()


async def check_accessible(page: Page) -> None:
    """axe finds nothing serious on the page as it is now."""
    found = await Axe().run(page)
    told = [
        f"{item['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for item in found.response["violations"]
        if item["impact"] in GRAVE
        for node in item["nodes"]
    ]
    assert not told, "\n".join(told)
