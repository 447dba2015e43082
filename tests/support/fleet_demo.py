"""A fleet behind nginx that loses machines while people talk: one server is killed, all are restarted.

    VOICE_APP_DATABASE_URL=postgresql://… python -m support.fleet_demo --calls 10

`scripts/fleet --demo` brings a PostgreSQL and runs this. Exit code 0 if no call was lost.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

import typer
import uvloop

from support.call_fleet import CallFleet, CheckingCaller, CounterScript
from support.counting import FOLDERS
from voice_app.cli.child_processes import Child, ChildError
from voice_app.cli.fleet_servers import FleetServers, behind_nginx, inherited_settings, stop_on_sigterm
from voice_app.settings import load

SITE: Final = Path(__file__).parents[2] / "scripts/deploy/nginx.conf"
SETTINGS: Final = {
    "PYTHONPATH": FOLDERS,
    "VOICE_APP_AGENT": "support.counting:counting",
    "VOICE_APP_DRAIN_SECONDS": "3",  # short, so that calls are taken over and not only waited for
    "VOICE_APP_LOG_LEVEL": "warning",
    "VOICE_APP_SILENCE_SECONDS": "0",
}
"""What the servers have to be started with."""
PACE: Final = 20.0
"""Words per second: seven times the pace of people."""
SCRIPT: Final = CounterScript(turns=1000, pause=0.5, crashes=True)
WAIT_SECONDS: Final = 60.0


class LostError(Exception):
    """A call was lost, or something that is to be shown did not happen. The text says which."""


@dataclass(slots=True)
class Rehearsal:
    """A fleet, and the callers who talk with it while it loses machines."""

    running: FleetServers
    crowd: CallFleet

    @classmethod
    @asynccontextmanager
    async def begin(cls, running: FleetServers, base_url: str) -> AsyncIterator[Rehearsal]:
        network = running.network(base_url)
        origin = running.account.origin
        async with running.phone(network, words_per_second=PACE) as phone:
            crowd = CallFleet(phone, f"{origin}/voice", f"{origin}/voice/status")
            try:
                yield cls(running, crowd)
            finally:
                await crowd.cancel()

    async def run(self, calls: int) -> None:
        """Every act, and what came of it. Raises `LostError` if a call was lost."""
        crowd = self.crowd
        _headline(f"{calls} callers ask one question after another, through nginx")
        callers = crowd.call(SCRIPT, calls)
        await _until("all calls to be answered", lambda: all(caller.turns >= 2 for caller in callers))
        self._check()
        typer.echo(f"  {crowd.turns} answers so far, and each knew everything that was said before it.")
        await self._kill(self.running.servers[0])
        await self._restart_all()
        await crowd.finish()
        self._conclude()

    async def _kill(self, server: Child) -> None:
        _headline(f"kill -9 {server.pid}: a server is gone in mid-call")
        killed_at, before = monotonic(), {id(caller): caller.turns for caller in self.crowd.callers}
        await server.kill()
        broken = await self._went_on(killed_at, before)
        self._check()
        pauses = [min(at for at in caller.sessions if at > killed_at) - killed_at for caller in broken]
        typer.echo(
            f"  {len(broken)} calls were on it. Each was taken up by another server, the last one after "
            f"{max(pauses, default=0):.2f} s,\n  and their agents went on with everything that was said."
        )
        await server.start()

    async def _went_on(self, since: float, before: dict[int, int]) -> list[CheckingCaller]:
        """Who had to be taken up, once each of them has had two more answers."""

        def went_on() -> bool:
            broken = [caller for caller in self.crowd.callers if caller.breaks and caller.breaks[-1] > since]
            return bool(broken) and all(
                caller.over or (caller.sessions[-1] > since and caller.turns >= before[id(caller)] + 2)
                for caller in broken
            )

        await _until("the broken calls to go on", went_on)
        return [caller for caller in self.crowd.callers if caller.breaks and caller.breaks[-1] > since]

    async def _restart_all(self) -> None:
        _headline("A rolling restart, while they talk")
        for number, server in enumerate(self.running.servers, 1):
            resumes, began = self.crowd.resumes, monotonic()
            code = await server.stop(seconds=WAIT_SECONDS)
            drained = monotonic() - began
            await server.start()
            typer.echo(
                f"  Server {number} stopped {drained:.1f} s after SIGTERM with exit code {code}, "
                f"{self.crowd.resumes - resumes} calls were taken over; it is back."
            )
            turns = self.crowd.turns
            await _until("answers to go on", lambda: self.crowd.turns > turns + len(self.crowd.talking))  # noqa: B023

    def _conclude(self) -> None:
        crowd = self.crowd
        _headline("What came of it")
        typer.echo(
            f"  calls                {len(crowd.callers)}\n"
            f"  answers              {crowd.turns}\n"
            f"  taken up elsewhere   {crowd.resumes}, after {max(crowd.pauses(), default=0):.2f} s at most\n"
            f"  calls lost           {len(crowd.lost)}"
        )
        self._check()

    def _check(self) -> None:
        if self.crowd.lost:
            raise LostError("\n".join(["Calls were lost:", *self.crowd.lost]))


def _headline(text: str) -> None:
    typer.echo(f"\n{text}\n{'─' * len(text)}")


async def _until(what: str, happened: Callable[[], bool]) -> None:
    """Wait for something. Raises `LostError` if it does not happen within a minute."""
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                if happened():
                    return
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise LostError(f"Waited {WAIT_SECONDS:g} s for {what}.") from None


def main() -> int:
    """Run the demo; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, prog="scripts/fleet --demo")
    parser.add_argument("--nginx", type=Path, default=SITE, help="nginx's site")
    parser.add_argument("--port", type=int, default=8080, help="port of nginx; 0 picks a free one")
    parser.add_argument("--servers", type=int, default=2, help="how many servers")
    parser.add_argument("--calls", type=int, default=10, help="calls at once")
    asked = parser.parse_args()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(asked.nginx.absolute(), asked.port, asked.servers, asked.calls))
    except (ChildError, LostError) as error:
        typer.echo(f"\n{error}", err=True)
        return 1 if isinstance(error, LostError) else 2
    except (asyncio.CancelledError, KeyboardInterrupt):
        return 130
    return 0


async def _run(site: Path, port: int, servers: int, calls: int) -> None:
    stop_on_sigterm()
    settings = inherited_settings() | SETTINGS
    database_url = load().database_url
    async with (
        behind_nginx(site, database_url, port, servers, settings) as (running, base_url),
        Rehearsal.begin(running, base_url) as rehearsal,
    ):
        await rehearsal.run(calls)


if __name__ == "__main__":
    sys.exit(main())
