"""Calls in figures, on both databases, over HTTP and in the terminal."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.commands import voice_app
from support.journals import talk, write
from support.sandbox import database
from support.visitors import get, sid, with_calls
from voice_app.console.figures import FigureQuery, as_csv, figures
from voice_app.journal import Journal
from voice_app.journal import events as ev
from voice_app.journal.events import Event
from voice_app.journal.statistics import Grouping, shifts

ANN, OURS = "+15550190001", "+15550100009"
DAY = 1_700_006_400.0
"""2023-11-15, the beginning of that day in UTC."""


def answered(ms: float) -> Event:
    return ev.Replied(1, "VX1", "Yes.", True, ms, 100.0, ends_turn=True)


CALLS: dict[str, list[Event]] = {
    sid(1): [
        *talk(ANN),
        *(answered(101), answered(102), answered(103), answered(999)),
        *(ev.Played(1, "VX1", 2), ev.Played(1, "VX1", 4, 400.0), ev.Played(2, "VX1", 4, 1200.0)),
        *(ev.Costed(0.5, "USD"), ev.Costed(0.75, "USD")),
    ],
    sid(2): [*talk(ANN), ev.AgentAssigned("billing"), ev.HandedOff("requested", "angry"), answered(50)],
    sid(3): [
        *talk(OURS, ANN, direction="outbound-api"),
        ev.Heard(1, "VX1", "We", 100.0),
        ev.Voicemail("RE1"),
        ev.Costed(0.5, "USD"),
        ev.Concluded("Default", (ev.OutcomeField("unanswered_question", '"When?"', "When?"),)),
    ],
    sid(4): [ev.Opened(ANN, OURS, "inbound"), ev.AgentAssigned("billing"), ev.TurnedAway("full", "message")],
}


async def test_calls_are_counted_in_groups(tmp_path: Path, database_url: str) -> None:
    await write(database_url, CALLS, at=DAY)
    query = FigureQuery(since=DAY - 86_400, until=DAY + 86_400, by="number")
    async with Journal(database_url) as journal:
        found = await figures(journal, query)
        agents = await figures(journal, FigureQuery(since=query.since, until=query.until, by="agent"))
        reasons = await figures(journal, FigureQuery(since=query.since, until=query.until, by="reason"))
        before = await figures(journal, query.before)
    (row,) = found.rows
    assert (row.key, row.calls, row.live) == (OURS, 4, 1)
    assert (row.contained, row.handed_over, row.voicemails, row.turned_away, row.interrupted) == (
        1,
        1,
        1,
        1,
        1,
    )
    assert (row.replies, row.first_token_p50_ms, row.first_token_p95_ms) == (5, 110.0, 1000.0)
    assert (row.sound_p50_ms, row.sound_p95_ms, row.unanswered, row.cost) == (410.0, 1210.0, 1, "1.25 USD")
    assert (found.total.calls, found.total.replies) == (4, 5)
    assert [(row.key, row.calls, row.handed_over, row.replies) for row in agents.rows] == [
        ("billing", 2, 1, 1)
    ]
    assert [(row.key, row.calls) for row in reasons.rows] == [("angry", 1)]
    assert (before.total.calls, before.rows) == (0, [])


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


async def keys(url: str, by: Grouping, zone: str, since: str, until: str) -> dict[str, int]:
    asked = {"by": by, "zone": zone, "from": since, "to": until}
    async with Journal(url) as journal:
        return {row.key: row.calls for row in (await figures(journal, FigureQuery.of(asked))).rows}


async def calls_at(url: str, *moments: str) -> None:
    for number, moment in enumerate(moments):
        await write(url, {sid(number): talk(ANN)}, at=at(moment), step=0.001)


async def test_days_and_hours_begin_where_they_are_looked_at(database_url: str) -> None:
    await calls_at(database_url, "2023-11-14T23:30Z", "2023-11-14T23:59:59.9Z", "2023-11-15T00:30Z")
    for by, zone, wanted in [
        ("day", "UTC", {"2023-11-14": 2, "2023-11-15": 1}),
        ("day", "Europe/Berlin", {"2023-11-15": 3}),
        ("day", "America/New_York", {"2023-11-14": 3}),
        ("hour", "Asia/Kolkata", {"2023-11-15T05:00+05:30": 2, "2023-11-15T06:00+05:30": 1}),
    ]:
        assert await keys(database_url, cast("Grouping", by), zone, "2023-11-13", "2023-11-16") == wanted, (
            zone
        )


async def test_a_day_on_which_clocks_are_changed_is_one_day(database_url: str) -> None:
    """Of 25 hours in autumn, when one hour is there twice, and of 23 in spring."""
    await calls_at(
        database_url,
        *("2026-10-24T21:59Z", "2026-10-24T22:01Z", "2026-10-25T00:30Z", "2026-10-25T01:30Z"),
        *("2026-10-25T22:59Z", "2026-10-25T23:01Z", "2026-03-28T23:01Z", "2026-03-29T21:59Z"),
        "2026-03-29T22:01Z",
    )
    berlin = partial(keys, database_url, zone="Europe/Berlin")
    assert await berlin("day", since="2026-10-24", until="2026-10-26") == {
        "2026-10-24": 1,
        "2026-10-25": 4,
        "2026-10-26": 1,
    }
    assert await berlin("day", since="2026-10-25", until="2026-10-25") == {"2026-10-25": 4}
    assert await berlin("hour", since="2026-10-25", until="2026-10-25") == {
        "2026-10-25T00:00+02:00": 1,
        "2026-10-25T02:00+02:00": 1,
        "2026-10-25T02:00+01:00": 1,
        "2026-10-25T23:00+01:00": 1,
    }
    assert await berlin("day", since="2026-03-29", until="2026-03-29") == {"2026-03-29": 2}


@given(
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]),
    since=st.integers(1_500_000_000, 2_000_000_000),
    days=st.integers(0, 400),
    share=st.floats(0, 1),
)
def test_what_the_database_is_told_of_a_zone_is_what_the_zone_is(
    zone: str, since: int, days: int, share: float
) -> None:
    known, until = ZoneInfo(zone), since + days * 86_400
    moment = since + int(share * (until - since))
    offset = [seconds for begin, seconds in shifts(known, since, until) if begin <= moment][-1]
    assert timedelta(seconds=offset) == datetime.fromtimestamp(moment, known).utcoffset()


async def test_the_zone_of_the_settings_is_that_of_figures_lists_and_the_terminal(tmp_path: Path) -> None:
    await calls_at(database(tmp_path), "2026-10-24T22:30Z", "2026-10-25T22:30Z")
    async with with_calls(tmp_path, {}, timezone="Europe/Berlin") as server:
        _, body = await get(server, "/figures?from=2026-10-25&to=2026-10-25")
        assert (body["zone"], [(row["key"], row["calls"]) for row in body["rows"]]) == (
            "Europe/Berlin",
            [("2026-10-25", 2)],
        )
        _, body = await get(server, "/calls?from=2026-10-25&to=2026-10-25")
        assert len(body["calls"]) == 2
    printed = await voice_app(
        tmp_path,
        *("stats", "--by", "day", "--since", "2026-10-25", "--until", "2026-10-25", "--json"),
        *("--database-url", database(tmp_path)),
        VOICE_APP_TIMEZONE="Europe/Berlin",
    )
    assert json.loads(printed.out)["figures"][0]["rows"][0]["calls"] == 2


async def test_figures_are_asked_for_over_http(tmp_path: Path) -> None:
    async with with_calls(tmp_path, CALLS) as server:
        status, body = await get(server, "/figures?from=2023-11-14&to=2023-11-15&by=number", "watch")
        assert (status, body["total"]["calls"], body["rows"][0]["key"]) == (200, 4, "+1•••09")
        times = ("from=2023-11-15&to=2023-11-13", "from=2020-01-01", "to=x")
        for query in (*times, "by=week", "zone=Nowhere/City", "zone=../etc/passwd", "zone=Europe"):
            assert (await get(server, f"/figures?{query}"))[0] == 400, query


async def test_they_are_printed(tmp_path: Path) -> None:
    await write(database(tmp_path), CALLS, at=DAY)
    arguments = (
        "stats",
        "--since",
        "2023-11-14",
        "--until",
        "2023-11-16",
        "--database-url",
        database(tmp_path),
    )
    printed = await voice_app(tmp_path, *arguments, "--by", "day,agent")
    assert "billing" in printed.out
    for title in ("Handed over", "Unanswered", "Cut in", "Failed", "First word", "Voice", "410, 1210 ms"):
        assert title in printed.out
    told = json.loads((await voice_app(tmp_path, *arguments, "--by", "total", "--json")).out)
    assert told["figures"][0]["total"]["calls"] == 4


@pytest.mark.parametrize(
    ("key", "cell"),
    [("=1+1", "'=1+1"), ("+A1", "'+A1"), ("-x", "'-x"), ('a"b', '"a""b"'), ("a, b", '"a, b"'), (OURS, OURS)],
)
async def test_a_table_for_a_spreadsheet_has_no_formulas(tmp_path: Path, key: str, cell: str) -> None:
    url = database(tmp_path)
    await write(url, {sid(1): [*talk(ANN), ev.HandedOff("requested", key)]}, at=DAY)
    async with Journal(url) as journal:
        found = await figures(journal, FigureQuery(since=DAY - 1, until=DAY + 86_400, by="reason"))
    head, row = as_csv(found.rows).splitlines()
    assert head.startswith("key,calls,live,contained")
    assert row.startswith(f"{cell},1,0,")
