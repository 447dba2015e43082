"""Servers that are real processes on a real PostgreSQL, and callers who notice every loss."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from support.call_fleet import CallFleet
from support.counting import FOLDERS
from voice_app.cli.child_processes import Child
from voice_app.cli.fleet_servers import FleetServers, fleet_servers, free_ports
from voice_app.journal import Entry, Journal
from voice_app.journal.events import Closed
from voice_app.sandbox.network import Network
from voice_app.sandbox.phone import Phone

PACE = 40.0
"""Words per second: an answer takes a third of a second."""
SETTINGS = {
    "PYTHONPATH": FOLDERS,
    "VOICE_APP_AGENT": "support.counting:counting",
    "VOICE_APP_LOG_LEVEL": "info",
    "VOICE_APP_MAX_LAG_MS": "0",  # two cores carry everybody here; who is turned away is tested elsewhere
    "VOICE_APP_SILENCE_SECONDS": "0",
}


@dataclass(slots=True)
class Fleet:
    """What a test needs of servers that run."""

    machines: FleetServers
    network: Network
    phone: Phone
    crowd: CallFleet

    @property
    def servers(self) -> list[Child]:
        return self.machines.servers

    def said(self) -> str:
        """What the servers have logged."""
        return "\n".join(
            f"--- {server.folder.name}\n" + (server.folder / "errors").read_text("utf-8", "replace")
            for server in self.servers
        )


@asynccontextmanager
async def fleet(
    folder: Path, database_url: str, *, servers: int = 2, pace: float = PACE, **settings: str
) -> AsyncIterator[Fleet]:
    """Serve while the block runs. ``settings`` are the servers', by their names in the environment."""
    ports = free_ports(servers)
    async with fleet_servers(folder, database_url, ports, SETTINGS | settings) as running:
        network = running.network()
        origin = running.account.origin
        async with running.phone(network, words_per_second=pace) as phone:
            crowd = CallFleet(phone, f"{origin}/voice", f"{origin}/voice/status")
            try:
                yield Fleet(running, network, phone, crowd)
            finally:
                await crowd.cancel()


async def closed(journal: Journal, call_sid: str) -> list[Entry]:
    """The events of a call, once its end is in the database: what came before it then is, too."""
    while True:
        entries = list(await journal.events(call_sid))
        if any(isinstance(entry.event, Closed) for entry in entries):
            return entries
        await asyncio.sleep(0.05)
