"""Calls in figures, on both databases, over HTTP and in the terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.commands import voice_app
from support.journals import talk, write
from support.sandbox import database
from support.visitors import get, sid, with_calls
from voice_app.console.figures import FigureQuery, as_csv, figures
from voice_app.journal import Journal
from voice_app.journal import events as ev
from voice_app.journal.events import Event

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


async def test_days_and_hours_begin_where_they_are_looked_at(tmp_path: Path, database_url: str) -> None:
    await write(database_url, {sid(1): talk(ANN)}, at=DAY - 1800)
    await write(database_url, {sid(2): talk(ANN)}, at=DAY + 1800)
    async with Journal(database_url) as journal:

        async def keys(by: str, minutes: int) -> list[str]:
            asked = {"by": by, "offset": str(minutes), "from": str(DAY - 86_400), "to": str(DAY + 86_400)}
            return [row.key for row in (await figures(journal, FigureQuery.of(asked))).rows]

        assert await keys("day", 0) == ["2023-11-14", "2023-11-15"]
        assert await keys("day", 60) == ["2023-11-15"]
        assert await keys("day", -60) == ["2023-11-14"]
        assert await keys("hour", 30) == ["2023-11-15T00:00", "2023-11-15T01:00"]


async def test_figures_are_asked_for_over_http(tmp_path: Path) -> None:
    async with with_calls(tmp_path, CALLS) as server:
        status, body = await get(server, "/figures?from=2023-11-14&to=2023-11-15&by=number", "watch")
        assert (status, body["total"]["calls"], body["rows"][0]["key"]) == (200, 4, "+1•••09")
        for query in ("by=week", "offset=x", "from=2023-11-15&to=2023-11-13", "from=2020-01-01", "to=x"):
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
    assert "Handed over" in printed.out
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
