"""``voice-app top``: figures from readings, and a server that is watched."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from support.commands import serving, voice_app
from support.terminal import terminal
from voice_app.cli.fleet_servers import free_ports
from voice_app.cli.top import read
from voice_app.cli.top_figures import Figures, Fleet, Reading, parse, percentile
from voice_app.telemetry.metrics import METRICS

SHORT = "voice_app_stage_seconds"


@pytest.fixture(autouse=True)
def nothing_counted() -> Iterator[None]:
    METRICS.reset()
    yield
    METRICS.reset()


def told(turns: int, within: dict[str, int], lag: float = 0.0, findings: int = 0, calls: int = 0) -> str:
    """An exposition: turns, and how many of them had their first token within so many seconds."""
    buckets = [
        f'{SHORT}_bucket{{stage="prompt_to_first_token",le="{end}"}} {count}' for end, count in within.items()
    ]
    return "\n".join(
        [
            "# TYPE voice_app_taking_calls gauge",
            "voice_app_taking_calls 1",
            "# TYPE voice_app_turns counter",
            f'voice_app_turns_total{{kind="prompt"}} {turns}',
            f"# TYPE {SHORT} histogram",
            *buckets,
            "# TYPE voice_app_calls_open gauge",
            f'voice_app_calls_open{{where="agent"}} {calls}',
            f'voice_app_calls_open{{where="elsewhere"}} {calls}',
            "# TYPE voice_app_findings gauge",
            f'voice_app_findings{{rule="CFG001",severity="error"}} {findings}',
            f"# TYPE voice_app_loop_lag_longest_seconds gauge\nvoice_app_loop_lag_longest_seconds {lag}",
            "# TYPE voice_app_journal_up gauge\nvoice_app_journal_up 1",
            "# TYPE voice_app_tool_seconds histogram",
            'voice_app_tool_seconds_count{tool="book",outcome="ok"} 5',
            'voice_app_tool_seconds_count{tool="book",outcome="error"} 2',
            "",
        ]
    )


def reading(url: str, at: float, text: str, state: str = "ready") -> Reading:
    return Reading(url, at, state, parse(text))


def lost(url: str, at: float) -> Reading:
    return Reading(url, at, "not reachable: Connection refused", reachable=False)


def figures(*readings: Reading) -> Figures:
    fleet = Fleet(["a"])
    for each in readings:
        fleet.add([each])
    (row,), total = fleet.figures()
    assert total is None
    return row


@pytest.mark.parametrize(
    ("within", "share", "seconds"),
    [
        ({"0.1": 10, "0.2": 20, "+Inf": 20}, 0.5, 0.1),
        ({"0.1": 10, "0.2": 20, "+Inf": 20}, 0.75, 0.15),
        ({"0.1": 0, "0.2": 4, "+Inf": 4}, 0.5, 0.15),
        ({"0.1": 5, "0.2": 5, "+Inf": 10}, 0.95, 0.2),
        ({"0.1": 0, "+Inf": 0}, 0.5, None),
        ({}, 0.5, None),
    ],
)
def test_a_percentile_lies_within_its_bucket(
    within: dict[str, int], share: float, seconds: float | None
) -> None:
    found = percentile(parse(told(0, within)), "prompt_to_first_token", share)
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_the_first_reading_tells_all_since_the_start_and_no_rate() -> None:
    row = figures(reading("a", 0, told(8, {"0.1": 8, "+Inf": 8}, lag=0.25, findings=3, calls=2)))
    assert (row.turns, row.turns_per_second, row.seconds) == (8, None, None)
    assert row.first_token_ms == (50.0, 95.0)
    assert (row.calls, row.lag_ms, row.findings, row.journal_up) == (4, 250.0, 3, True)
    assert (row.tool_errors, row.sound_ms) == (2, None)


def test_rates_and_percentiles_are_those_between_two_readings() -> None:
    before = reading("a", 10, told(100, {"0.1": 0, "0.2": 100, "+Inf": 100}))
    row = figures(before, reading("a", 14, told(108, {"0.1": 8, "0.2": 108, "+Inf": 108})))
    assert (row.turns, row.turns_per_second, row.seconds) == (8, 2.0, 4.0)
    assert row.first_token_ms == (50.0, 95.0)


def test_the_window_moves_on() -> None:
    rows = [reading("a", at, told(at, {})) for at in range(0, 301, 20)]
    assert (figures(*rows).seconds, figures(*rows).turns) == (60.0, 60)


def test_a_server_that_was_started_again_counts_from_nothing() -> None:
    row = figures(reading("a", 0, told(100, {})), reading("a", 2, told(4, {})))
    assert (row.turns, row.turns_per_second) == (4, 2.0)


def test_a_server_that_is_lost_and_found_has_no_rate_at_first() -> None:
    before, away, back = reading("a", 0, told(5, {})), lost("a", 2), reading("a", 4, told(9, {}))
    assert (figures(before, away).state, figures(before, away).calls) == (away.state, None)
    assert figures(before, away, back).turns_per_second is None


def test_the_total_of_a_fleet_is_sums_common_percentiles_and_the_worst() -> None:
    fleet = Fleet(["a", "b", "c"])
    for at, turns in ((0, 0), (2, 10)):
        quick = told(turns, {"0.1": turns, "0.2": turns, "+Inf": turns}, 0.1, findings=2, calls=1)
        slow = told(turns, {"0.1": 0, "0.2": turns, "+Inf": turns}, 0.4, findings=2, calls=3)
        fleet.add([reading("a", at, quick), reading("b", at, slow), lost("c", at)])
    rows, total = fleet.figures()
    assert [row.reachable for row in rows] == [True, True, False]
    assert total is not None
    assert (total.state, total.calls, total.turns, total.turns_per_second) == (
        "2 of 3 reachable",
        8,
        20,
        10.0,
    )
    assert total.first_token_ms == (100.0, 190.0)
    assert (total.lag_ms, total.findings, total.journal_up) == (400.0, 2, True)


async def test_a_server_with_a_call_is_watched_beside_one_that_is_away(tmp_path: Path) -> None:
    away = f"http://127.0.0.1:{free_ports(1)[0]}"
    async with serving(tmp_path, VOICE_APP_AGENT="voice_app.sandbox.load.agents:fixed_reply") as base_url:
        phoned = await voice_app(
            tmp_path,
            "call",
            "--url",
            f"{base_url}/voice",
            "--say",
            "Turn 7",
            "--expect",
            "r7w1",
            "--pace",
            "300",
        )
        assert phoned.code == 0, phoned.out + phoned.err
        shown = await voice_app(tmp_path, "top", base_url, away, "--once")
        told = await voice_app(tmp_path, "top", f"{base_url}/voice", "--once", "--json")
    assert (shown.code, shown.err, told.code, told.err) == (0, "", 0, "")
    rows = {line.split()[0]: line for line in shown.out.splitlines() if line.strip()}
    assert "ready" in rows[base_url]
    assert "not reachable" in rows[away]
    assert "1 of 2 reachable" in rows["total"]
    document = json.loads(told.out)
    (server,) = document["servers"]
    assert document["total"] is None
    assert (server["server"], server["state"], server["reachable"]) == (base_url, "ready", True)
    assert server["turns"] >= 1
    assert server["first_token_ms"][0] > 0
    assert server["journal_up"] is True
    assert server["agent_errors"] == 0


async def test_the_screen_follows_the_calls_and_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    async with serving(tmp_path) as base_url:
        watching = terminal(tmp_path, "top", base_url, "--interval", "0.1", columns=160)
        calling = terminal(tmp_path, "call", "--url", f"{base_url}/voice")

        def has(calls: str, turns: int) -> Callable[[list[str]], bool]:
            return lambda rows: any(
                row.split()[:2] == [base_url, calls] and int(row.split()[2]) >= turns for row in rows
            )

        async with watching as (screen, top):
            rows = await screen.until(has("0", 0))
            assert rows[0].split()[:3] == ["server", "calls", "turns"]
            assert screen.is_covered
            async with calling as (phone, call):
                await screen.until(has("1", 0))
                phone.type("Where are you?\r")
                await screen.until(has("1", 1))
                assert len(screen.rows) == len(rows), "a frame takes the place of the one before"
                phone.type("\x04")
                async with asyncio.timeout(60):
                    assert await call.wait() == 0
            await screen.until(has("0", 1))
            top.send_signal(signal.SIGINT)
            async with asyncio.timeout(60):
                assert await top.wait() == 0
            await screen.until(lambda rows: not screen.is_covered)
        assert "Traceback" not in "".join(screen.rows)


@pytest.mark.parametrize(
    ("status", "ready", "metrics", "state", "reachable"),
    [
        (200, "ready\n", told(1, {}), "ready", True),
        (200, "ready, but STT001 refuses new calls\n", told(1, {}), "STT001 refuses new calls", True),
        (
            200,
            "ready, but takes no new calls: full\n",
            told(1, {}),
            "takes no new calls: full",
            True,
        ),
        (503, "not ready: draining\n", told(1, {}), "draining", True),
        (200, "ready\n", "up 1\n", "no voice-app: /metrics answers 200", False),
        (
            200,
            "ready\n",
            "<html>hello</html>\n",
            "no voice-app: /metrics is not in the Prometheus text format",
            False,
        ),
    ],
)
async def test_the_state_is_what_the_server_says_of_itself(
    status: int, ready: str, metrics: str, state: str, reachable: bool
) -> None:
    async def readyz(request: web.Request) -> web.Response:
        return web.Response(text=ready, status=status)

    async def exposition(request: web.Request) -> web.Response:
        return web.Response(text=metrics)

    app = web.Application()
    app.add_routes([web.get("/readyz", readyz), web.get("/metrics", exposition)])
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        found = await read(http, str(server.make_url("")).rstrip("/"))
    assert (found.state, found.reachable) == (state, reachable)


async def test_without_any_server_one_reading_is_an_error(tmp_path: Path) -> None:
    away = f"http://127.0.0.1:{free_ports(1)[0]}"
    done = await voice_app(tmp_path, "top", away, "--once")
    assert (done.code, done.out) == (1, "")
    assert done.err == f"Error: {away}: not reachable: Connection refused\n"


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "http://", "http://user:secret@127.0.0.1"])
async def test_what_is_no_address_is_refused(tmp_path: Path, url: str) -> None:
    done = await voice_app(tmp_path, "top", url, "--once")
    assert done.code == 2
    assert "should look like" in done.err
