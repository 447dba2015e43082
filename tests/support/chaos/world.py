"""Everything that takes part in a chaos run: PostgreSQL, two servers, nginx, Twilio, the model, callers."""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Final

import aiohttp
import psutil

from support.chaos.caller import ChaosCaller
from support.chaos.model import ChaosModel
from support.chaos.story import ChaosRun, Sample, Span
from support.counting import FOLDERS
from support.postgres import Postgres
from voice_app.cli.child_processes import Child, ChildError
from voice_app.cli.fleet_servers import FleetServers, behind_nginx
from voice_app.sandbox.network import Network

SITE: Final = Path(__file__).parents[3] / "scripts/deploy/nginx.conf"
CLOCK: Final = Path(__file__).with_name("clock.c")
SETTINGS: Final = {
    "PYTHONPATH": FOLDERS,
    "OPENAI_API_KEY": "none",
    "VOICE_APP_AGENT": "support.chaos.agent:agent",
    "VOICE_APP_MODEL": "chaos",
    "VOICE_APP_FIRST_TOKEN_SECONDS": "4",
    "VOICE_APP_BETWEEN_TOKENS_SECONDS": "3",
    "VOICE_APP_FILLER_SECONDS": "1.5",
    "VOICE_APP_CONTINUE_LINE": "",
    "VOICE_APP_SILENCE_SECONDS": "0",
    "VOICE_APP_DRAIN_SECONDS": "3",
    "VOICE_APP_HANDOFF_TO": "+15550100010",
    "VOICE_APP_HANDOFF_THEN": "agent",
    "VOICE_APP_MAX_LAG_MS": "0",  # two cores carry everybody here; who is turned away is tested elsewhere
    "VOICE_APP_MAX_RESUMES": "10",
    "VOICE_APP_GUARD": "lenient",  # a server starts while Twilio's APIs do not answer, too
    "VOICE_APP_SPOOL": "disk/spool",
    "VOICE_APP_LOG_LEVEL": "info",
}
DISK: Final = "2m"
"""The size of the disk that a server's journal waits on."""
PACE: Final = 6.0
"""Words per second: twice the pace of people."""
ATTEMPTS: Final = 20
SAMPLE_SECONDS: Final = 1.0
LATE_SECONDS: Final = 0.1
"""Our own loop is late by so much: then the servers may be, too."""


@dataclass(slots=True)
class World:
    """All of it while it runs."""

    run: ChaosRun
    fleet: FleetServers
    postgres: Postgres
    model: ChaosModel
    database_url: str
    base_url: str
    """nginx's."""
    network: Network
    http: aiohttp.ClientSession
    dice: random.Random
    disks: list[Path]
    clock: Path
    """How many seconds the servers' clocks are ahead: a double."""
    callers: list[ChaosCaller] = field(default_factory=list)

    def a_server(self) -> Child:
        return self.dice.choice(self.fleet.servers)

    @property
    def folder(self) -> Path:
        """Where each of them has a folder."""
        return self.fleet.double.folder.parent

    def set_clock(self, ahead: float) -> None:
        """Have the clock of all servers be so many seconds ahead of this machine's, or behind it."""
        with self.clock.open("r+b") as file:  # the same file: they have it in their memory
            file.write(struct.pack("d", ahead))

    async def start(self, server: Child) -> None:
        """Start it again, and return when it takes calls. As with systemd, there is another attempt.

        Raises `ChildError` if it does not start at all.
        """
        for attempt in range(ATTEMPTS):
            try:
                await server.start()
                break
            except ChildError:
                if attempt + 1 == ATTEMPTS:
                    raise
                await asyncio.sleep(1)
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with self.http.get(f"{server.base_url}/readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)

    async def metric(self, server: Child, name: str) -> float:
        """One of a server's metrics without labels. Raises `aiohttp.ClientError` and `TimeoutError`."""
        return (await self._metrics(server)).get(name, 0.0)

    async def _metrics(self, server: Child) -> dict[str, float]:
        async with asyncio.timeout(2), self.http.get(f"{server.base_url}/metrics") as answer:
            text = await answer.text()
        return {name: float(value) for name, value in re.findall(r"(?m)^(\w+) (\S+)$", text)}

    async def sample(self) -> None:
        """Look at each server that answers."""
        for server in self.fleet.servers:
            with suppress(aiohttp.ClientError, TimeoutError, psutil.Error):
                metrics = await self._metrics(server)
                process = psutil.Process(server.pid)
                self.run.samples.append(
                    Sample(
                        server=server.folder.name,
                        pid=server.pid,
                        at=monotonic(),
                        descriptors=process.num_fds(),
                        tasks=int(metrics["voice_app_tasks"]),
                        kib=process.memory_info().rss / 1024,
                        sessions=int(metrics["voice_app_sessions_open"]),
                        lost=int(metrics["voice_app_journal_lost_total"]),
                    )
                )

    async def keep_sampling(self) -> None:
        while True:
            await self.sample()
            await asyncio.sleep(SAMPLE_SECONDS)

    async def measure_ourselves(self) -> None:
        """Note when this process, or the machine, is late."""
        while True:
            before = monotonic()
            await asyncio.sleep(0.05)
            after = monotonic()
            if after - before - 0.05 > LATE_SECONDS:
                self.run.late.append(Span(before, after))


@asynccontextmanager
async def world(run: ChaosRun) -> AsyncIterator[World]:
    """Everything, while the block runs. Raises `ChildError`."""
    async with AsyncExitStack() as stack:
        model = ChaosModel(run)
        await stack.enter_async_context(model.serve())
        postgres = stack.enter_context(_postgres())
        url = postgres.create()
        clock = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "ahead"
        settings = SETTINGS | {"OPENAI_BASE_URL": model.base_url} | _own_clock(clock, run)
        fleet, base_url = await stack.enter_async_context(behind_nginx(SITE, url, 0, 2, settings))
        disks = [stack.enter_context(_small_disk(server.folder / "disk", run)) for server in fleet.servers]
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        dice = random.Random(f"world {run.seed}")
        found = [disk for disk in disks if disk is not None]
        yield World(
            run, fleet, postgres, model, url, base_url, fleet.network(base_url), http, dice, found, clock
        )


@contextmanager
def _postgres() -> Iterator[Postgres]:
    server = Postgres(Path(tempfile.mkdtemp(prefix=f"voice-app-pg-{os.getpid()}-")))
    try:
        yield server
    finally:
        server.start()
        server.remove()


@contextmanager
def _small_disk(folder: Path, run: ChaosRun) -> Iterator[Path | None]:
    """A disk that is soon full; none where nobody may mount one."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        run.skipped["disks full"] = "only root can mount a small disk"
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def _own_clock(clock: Path, run: ChaosRun) -> dict[str, str]:
    """Settings with which a process has a clock that this file moves; none where there is no compiler."""
    clock.write_bytes(struct.pack("d", 0.0))
    library, compiler = clock.with_name("clock.so"), shutil.which("cc")
    made = compiler and subprocess.run(
        [compiler, "-shared", "-fPIC", "-O2", "-o", library, CLOCK, "-ldl"],
        check=False,
        capture_output=True,
    )
    if not made or made.returncode:
        run.skipped["clocks jump"] = "there is no C compiler (cc) to make clocks with"
        return {}
    return {"LD_PRELOAD": str(library), "CHAOS_CLOCK": str(clock)}
