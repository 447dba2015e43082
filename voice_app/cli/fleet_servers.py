"""Servers on one database, nginx in front of them, and the double of Twilio's APIs: each a process."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typer

from voice_app.cli.child_processes import Child, ChildError
from voice_app.cli.proxy import nginx
from voice_app.sandbox.network import Network
from voice_app.sandbox.phone import Phone
from voice_app.settings import Settings

_TOLD: Final = re.compile(r"(?m)^\s*((?:VOICE_APP|TWILIO)_\w+)=(\S+)$")
"""What the double says that a server has to be started with."""


@dataclass(slots=True, frozen=True)
class FleetServers:
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
async def fleet_servers(
    folder: Path, database_url: str, ports: list[int], settings: Mapping[str, str], *, webhooks_to: str = ""
) -> AsyncIterator[FleetServers]:
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
        yield FleetServers(servers, double, Settings.model_construct().sandboxed())
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


@asynccontextmanager
async def behind_nginx(
    site: Path, database_url: str, port: int, servers: int, settings: Mapping[str, str]
) -> AsyncIterator[tuple[FleetServers, str]]:
    """Run a fleet behind nginx while the block runs: the fleet, and nginx's base URL.

    Args:
        site: nginx's, see `proxy.nginx`.
        port: nginx's; 0 picks a free one.
        settings: the servers', beside the database.

    Raises:
        ChildError: a process did not start.
    """
    proxy_port, *ports = ([port] if port else free_ports(1)) + free_ports(servers)
    base_url = f"http://127.0.0.1:{proxy_port}"
    typer.echo(f"Starting {servers} servers …")
    with tempfile.TemporaryDirectory(prefix="voice-app-fleet-") as name:
        folder = Path(name)
        async with fleet_servers(folder, database_url, ports, settings, webhooks_to=base_url) as running:
            bases = [server.base_url for server in running.servers]
            async with nginx(site, _folder(folder, "nginx"), f"127.0.0.1:{proxy_port}", bases):
                _introduce(running, base_url, folder)
                yield running, base_url


async def run_fleet(site: Path, database_url: str, port: int, servers: int) -> None:
    """Run a fleet until Ctrl-C. Raises `ChildError`."""
    stop_on_sigterm()
    async with behind_nginx(site, database_url, port, servers, inherited_settings()) as (running, base_url):
        await _watch(running, base_url)


def stop_on_sigterm() -> None:
    """Cancel the task that calls this on SIGTERM: what it has started is then stopped."""
    if (task := asyncio.current_task()) is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def inherited_settings() -> dict[str, str]:
    """The settings in the environment that servers of a fleet get, by their names."""
    given = {name: value for name, value in os.environ.items() if name.startswith(("VOICE_APP_", "OPENAI_"))}
    given.pop("VOICE_APP_DATABASE_URL", None)
    return given


def _introduce(running: FleetServers, base_url: str, folder: Path) -> None:
    typer.echo("")
    for number, server in enumerate(running.servers, 1):
        typer.echo(f"  Server {number}       {server.base_url} (process {server.pid})")
    typer.echo(
        f"  Twilio         {running.double.base_url} (the double of its APIs)\n"
        f"  nginx          {base_url} in front of them\n"
        f"  What they say  {folder}"
    )


async def _watch(running: FleetServers, base_url: str) -> None:
    """Start servers again that end, as systemd would, until Ctrl-C."""
    typer.echo(
        f"\nNext: in another terminal, `voice-app call --url {base_url}/voice`, and kill a server with\n"
        "`kill -9` or `kill` while you talk; it is started again. Stop with Ctrl-C."
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    while not stop.is_set():
        for number, server in enumerate(running.servers, 1):
            if not server.running:
                await server.start()
                typer.echo(f"  Server {number} had ended, and runs again as process {server.pid}.")
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.2)
    typer.echo("\nStopping …")
