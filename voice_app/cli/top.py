"""``voice-app top``: calls, latencies, lag and alarms of servers, from ``/metrics`` and ``/readyz``."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

import typer

from voice_app.cli.top_figures import Figures, Fleet, Reading, parse

if TYPE_CHECKING:
    import aiohttp
    from rich.table import Table

TIMEOUT_SECONDS: Final = 5.0
NONE: Final = "-"
COLUMNS: Final = (
    *("calls", "turns", "turns/s", "cut in", "first token", "sound", "lag", "journal", "errors", "findings"),
)


def base_of(url: str) -> str:
    """The address of a server, without what is after it. Raises `typer.BadParameter`."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise typer.BadParameter(f"{url!r} should look like http://127.0.0.1:8000")
    return f"{parts.scheme}://{parts.netloc}"


async def read(http: aiohttp.ClientSession, url: str) -> Reading:
    """Ask one server."""
    import aiohttp

    try:
        async with http.get(f"{url}/readyz") as ready, http.get(f"{url}/metrics") as told:
            state = (await ready.text()).strip().removeprefix("ready, but ").removeprefix("not ready: ")
            samples = parse(await told.text()) if told.status == 200 else {}
        if ("voice_app_taking_calls", frozenset()) in samples:
            return Reading(url, time.monotonic(), state, samples)
        reason = f"no voice-app: /metrics answers {told.status}"
    except TimeoutError:
        reason = f"not reachable: no answer within {TIMEOUT_SECONDS:g} s"
    except aiohttp.ClientConnectorError as error:
        reason = (
            f"not reachable: {os.strerror(error.errno) if error.errno else type(error.os_error).__name__}"
        )
    except aiohttp.ClientError as error:
        reason = f"not reachable: {type(error).__name__}"
    except ValueError:
        reason = "no voice-app: /metrics is not in the Prometheus text format"
    return Reading(url, time.monotonic(), reason, reachable=False)


# --- showing ------------------------------------------------------------------------------------


def table(rows: list[Figures], total: Figures | None) -> Table:
    """A row for each server."""
    from rich import box
    from rich.table import Table

    from voice_app.cli.output import plain

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    shown.add_column("server", no_wrap=True)
    for name in COLUMNS:
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("state", overflow="fold")
    for row in [*rows, *([total] if total else [])]:
        style = "" if row.state == "ready" or row is total else "yellow" if row.reachable else "red"
        shown.add_row(plain(row.server), *_cells(row), plain(row.state, style), end_section=row is rows[-1])
    return shown


def _cells(row: Figures) -> list[str]:
    if not row.reachable:
        return [NONE] * len(COLUMNS)

    def times(pair: tuple[float, float] | None) -> str:
        return f"{pair[0]:.0f}/{pair[1]:.0f} ms" if pair else NONE

    journal = "up" if row.journal_up else "down"
    if row.journal_waiting:
        journal += f" {row.journal_waiting}/{row.journal_spooled}"
    return [
        str(row.calls),
        str(row.turns),
        NONE if row.turns_per_second is None else f"{row.turns_per_second:.1f}",
        str(row.interruptions),
        times(row.first_token_ms),
        times(row.sound_ms),
        f"{row.lag_ms:.0f} ms",
        journal,
        f"{row.agent_errors}/{row.model_errors}/{row.tool_errors}",
        str(row.findings),
    ]


async def _watch(urls: list[str], interval: float, *, once: bool, as_json: bool) -> None:
    """Read and show until cancelled, or once. Raises `typer.Exit` if that one found no server."""
    import aiohttp
    from rich.console import Console
    from rich.live import Live

    from voice_app.cli.output import console, fail, print_json

    fleet = Fleet(urls)
    screen = Console(highlight=False)
    live = Live(console=screen, screen=True, auto_refresh=False) if screen.is_terminal else None
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as http:
        with live if live and not (once or as_json) else nullcontext():
            while True:
                fleet.add(await asyncio.gather(*(read(http, url) for url in urls)))
                rows, total = fleet.figures()
                if once and not any(row.reachable for row in rows):
                    raise fail("; ".join(f"{row.server}: {row.state}" for row in rows), 1)
                if as_json:
                    print_json({"at": time.time(), "servers": rows, "total": total})
                elif live and not once:
                    live.update(table(rows, total), refresh=True)
                else:
                    console().print(table(rows, total))
                if once:
                    return
                await asyncio.sleep(interval)


def top(
    urls: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="URL", help="Servers: http://127.0.0.1:8000.  [this machine's VOICE_APP_PORT]"
        ),
    ] = None,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two readings.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="One reading, as a plain table, for pipes.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print each reading as a line of JSON.")] = False,
) -> None:
    """Watch running servers: calls, latencies, lag and alarms. Ctrl-C ends it.

    Turns, cut in (interruptions) and errors (agent/model/tools) are those of the last minute; in the first
    reading, all since the start.

    First token and sound are p50/p95 from what the caller said, of the same time. Lag is the longest stall of
    the event loop. Behind journal are the entries that wait/are on the disk.

    Exit code: 0, with --once 1 if no server is reachable, 2 usage or settings.

    Example: voice-app top http://10.0.0.1:8000 http://10.0.0.2:8000
    """
    from voice_app.cli.output import run

    if not urls:
        from voice_app.settings import load

        urls = [f"http://127.0.0.1:{load().port}"]
    bases = list(dict.fromkeys(map(base_of, urls)))
    with suppress(KeyboardInterrupt):
        run(_watch(bases, interval, once=once, as_json=as_json))
