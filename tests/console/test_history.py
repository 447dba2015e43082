"""The history of calls, and the erasure of a caller: by plain links and forms, as a browser without a script
sends them.
"""

from __future__ import annotations

import csv
import io
import re
from html import unescape
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from support.journals import talk
from support.visitors import browser as signed_in
from support.visitors import csrf_in, sid, with_calls
from voice_app.journal import events as ev
from voice_app.journal.events import Event

ANN, BOB, OURS = "+15550190001", "+15550190002", "+15550100009"
HOSTILE = "<script>alert(1)</script>\u202e<img src=x onerror=alert(2)>"
CALLS: dict[str, list[Event]] = {
    sid(1): [*talk(ANN, said="Where is my order?"), ev.Concluded("M", (ev.OutcomeField("ok", "true", "x"),))],
    sid(2): [*talk(BOB), ev.HandedOff("requested", HOSTILE)],
    sid(3): [ev.Opened(f"client:{HOSTILE}", OURS, "inbound"), ev.Prompted(HOSTILE * 500)],
}


async def page_of(http: aiohttp.ClientSession, path: str, status: int = 200) -> str:
    # As it is written: aiohttp would encode it once more.
    async with http.get(URL(path, encoded=True)) as response:
        assert response.status == status, path
        return await response.text()


def callers(page: str) -> list[str]:
    return [str(int(found, 16)) for found in re.findall(r'<a href="/console/calls/CA(\w{32})">', page)]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["3", "2", "1"]),
        ("?text=order&number=&state=", ["1"]),
        ("?number=%2B15550190002", ["2"]),
        ("?state=live", ["3"]),
        ("?outcome=ok%3Dtrue", ["1"]),
        ("?flags=handoff&flags=interrupted", []),
        ("?flags=handoff", ["2"]),
        ("?from=2023-11-14&to=2023-11-14", ["3", "2", "1"]),
        ("?to=2023-11-13", []),
    ],
)
async def test_calls_are_filtered_by_a_plain_form(tmp_path: Path, query: str, found: list[str]) -> None:
    async with with_calls(tmp_path, CALLS) as server, signed_in(server, "act") as http:
        page = await page_of(http, f"/console/calls{query}")
        if "state=live" in query:  # it began years ago, and is lost
            found = []
        assert callers(page) == found
        assert "<script>alert" not in page


async def test_a_filter_that_cannot_be_used_is_told_on_the_page(tmp_path: Path) -> None:
    async with with_calls(tmp_path, CALLS) as server, signed_in(server, "act") as http:
        assert "should look like 2026-11-22" in await page_of(http, "/console/calls?from=yesterday", 400)
        assert "&lt;b&gt;" in await page_of(http, "/console/calls?flags=%3Cb%3E", 400)
        await page_of(http, "/console/calls.csv?state=dead", 400)


async def test_pages_lead_to_one_another(tmp_path: Path) -> None:
    many = {sid(number): talk(ANN) for number in range(1, 121)}
    async with with_calls(tmp_path, many) as server, signed_in(server, "act") as http:
        seen: list[str] = []
        path: str | None = "/console/calls?number=%2B15550190001"
        while path:
            page = await page_of(http, path)
            seen += callers(page)
            following = re.search(r'<a href="([^"]+)" rel="next">', page)
            path = None if following is None else f"/console/calls{unescape(following[1])}"
        assert seen == [str(number) for number in range(120, 0, -1)]


async def test_the_list_is_a_spreadsheet_too(tmp_path: Path) -> None:
    many = {sid(number): talk(ANN) for number in range(10, 520)} | CALLS
    async with (
        with_calls(tmp_path, many) as server,
        signed_in(server, "act") as http,
        http.get("/console/calls.csv") as response,
    ):
        assert response.content_type == "text/csv"
        rows = list(csv.DictReader(io.StringIO(await response.text("utf-8-sig"))))
    assert len(rows) == len(many)
    told = {row["call_sid"]: row for row in rows}
    assert (told[sid(1)]["caller"], told[sid(1)]["outcomes"]) == (ANN, "ok=true")
    assert told[sid(2)]["flags"] == "handoff"


async def test_who_watches_sees_no_numbers(tmp_path: Path) -> None:
    async with with_calls(tmp_path, CALLS) as server, signed_in(server, "watch") as http:
        for path in ("/console/calls", "/console/calls.csv"):
            page = await page_of(http, path)
            assert ANN not in page
            assert "+1•••01" in page


# --- erasure ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["watch", "act"])
async def test_only_admins_erase(tmp_path: Path, role: str) -> None:
    async with with_calls(tmp_path, CALLS) as server, signed_in(server, role) as http:
        await page_of(http, "/console/erase?number=%2B15550190001", 403)
        async with http.post("/console/erase", data={"number": ANN}) as response:
            assert response.status == 403
        assert callers(await page_of(http, "/console/calls")) == ["3", "2", "1"]


async def erase(http: aiohttp.ClientSession, number: str, **more: str) -> tuple[int, str]:
    preview = await page_of(http, f"/console/erase?number={number.replace('+', '%2B')}")
    form = {"number": number, "csrf": csrf_in(preview), **more}
    async with http.post("/console/erase", data=form) as response:
        return response.status, await response.text()


async def test_a_caller_is_erased_after_a_look(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    (folder / "1.mp3").write_bytes(b"sound")
    calls = CALLS | {
        sid(4): [*talk(ANN), ev.Stored("RE1", "1.mp3", 5, "0"), ev.Stored("RE2", "2.mp3", 5, "0")]
    }
    async with with_calls(tmp_path, calls, recordings=folder) as server, signed_in(server, "admin") as http:
        preview = await page_of(http, "/console/erase?number=%2B15550190001")
        assert "<dt>Calls</dt><dd>2," in preview
        assert callers(await page_of(http, "/console/calls")) == ["4", "3", "2", "1"]
        status, told = await erase(http, ANN)
        assert (status, "Twilio was not asked" in told) == (200, True)
        assert "The recording 2.mp3 was not erased" in told
        assert callers(await page_of(http, "/console/calls")) == ["3", "2"]
    assert not (folder / "1.mp3").exists()


async def test_a_caller_is_erased_at_twilio_too(tmp_path: Path) -> None:
    async with with_calls(tmp_path, {}) as server, signed_in(server, "admin") as http:
        async with server.call(caller=ANN) as call:
            await call.ask("What are your hours?")
        async with signed_in(server, "admin") as other:
            page = await page_of(other, "/console/erase?number=%2B15550190001")
        assert "At Twilio: records of calls" in page
        status, told = await erase(http, ANN, at_twilio="yes")
        assert (status, "Twilio has taken it in" in told) == (200, True)
        assert callers(await page_of(http, "/console/calls")) == []


async def test_our_own_number_is_not_erased(tmp_path: Path) -> None:
    async with with_calls(tmp_path, CALLS) as server, signed_in(server, "admin") as http:
        assert "is a number of this server" in await page_of(http, "/console/erase?number=%2B15550100009")
        async with http.get("/console/calls") as response:
            csrf = csrf_in(await response.text())
        async with http.post("/console/erase", data={"number": OURS, "csrf": csrf}) as response:
            assert "is a number of this server" in await response.text()
        assert callers(await page_of(http, "/console/calls")) == ["3", "2", "1"]
