"""Several servers on one database, and the double of Twilio's APIs that they share: each a process."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voice_app.cli.child_processes import Child, ChildError
from voice_app.sandbox.network import Network
from voice_app.sandbox.phone import Phone
from voice_app.settings import Settings

_TOLD: Final = re.compile(r"(?m)^\s*((?:VOICE_APP|TWILIO)_\w+)=(\S+)$")
"""What the double says that a server has to be started with."""


@dataclass(slots=True, frozen=True)
class Machines:
    """A fleet that runs."""

    servers: list[Child]
    double: Child
    account: Settings
    """The sandbox's."""

    def network(self, *bases: str) -> Network:
        """Twilio's way to these bases, e.g. a proxy's; without any, to the servers themselves."""
        first, *others = bases or [server.base_url for server in self.servers]
        return Network(first, self.account.origin, self.account.signing_tokens[0], tuple(others))

    def phone(self, network: Network, *, words_per_second: float) -> Phone:
        """A phone that calls through this network."""
        return Phone(
            network,
            account_sid=self.account.account_sid or "",
            words_per_second=words_per_second,
            twilio_base_url=self.double.base_url,
        )


@asynccontextmanager
async def machines(
    folder: Path, database_url: str, ports: list[int], settings: Mapping[str, str], *, webhooks_to: str = ""
) -> AsyncIterator[Machines]:
    """Run a server on each of these ports while the block runs.

    ``settings`` are theirs beside the database; ``webhooks_to`` is the base URL of a balancer that the
    double's webhooks go to, else they go to the servers in turn. Raises `ChildError`.
    """
    bases = [webhooks_to] if webhooks_to else [f"http://127.0.0.1:{port}" for port in ports]
    arguments = [word for base in bases for word in ("--webhooks-to", base)]
    double = Child("voice_app", "sandbox", *arguments, folder=_folder(folder, "twilio"), settings={})
    servers: list[Child] = []
    try:
        await double.start()
        told = dict(_TOLD.findall((double.folder / "output").read_text()))
        ours = {"VOICE_APP_DATABASE_URL": database_url, **told, **settings}
        for number, port in enumerate(ports, 1):
            place = _folder(folder, f"server-{number}")
            servers.append(Child("voice_app", "serve", "--port", str(port), folder=place, settings=ours))
        async with asyncio.TaskGroup() as group:
            for server in servers:
                group.create_task(server.start())
        yield Machines(servers, double, Settings.model_construct().sandboxed())
    except* ChildError as failures:
        raise failures.exceptions[0] from None
    finally:
        # Without a drain: it would wait for calls that nobody makes any more.
        await asyncio.gather(*(server.kill() for server in servers))
        await double.stop()


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(listener.getsockname()[1]) for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder
