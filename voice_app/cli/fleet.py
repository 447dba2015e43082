"""``voice-app fleet``"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Annotated

import typer

from voice_app.cli.child_processes import ChildError
from voice_app.cli.fleet_demo import SETTINGS, LostError, Rehearsal
from voice_app.cli.output import run
from voice_app.cli.proxy import find, nginx
from voice_app.cli.test_fleet import Machines, free_ports, machines
from voice_app.settings import Settings, SettingsError, load
from voice_app.telemetry import configure_logging


def fleet(
    proxy: Annotated[
        Path, typer.Option("--nginx", help="nginx's site: scripts/deploy/nginx.conf of the repository.")
    ],
    port: Annotated[int, typer.Option(min=0, help="Port of nginx; 0 picks a free one.")] = 8080,
    servers: Annotated[int, typer.Option(min=2, max=8, help="How many servers.")] = 2,
    demo: Annotated[
        bool, typer.Option("--demo", help="Call, kill a server, restart the others one by one; then stop.")
    ] = False,
    calls: Annotated[int, typer.Option(min=2, max=200, help="Calls at once in the demo.")] = 10,
) -> None:
    """Start servers on one PostgreSQL, nginx in front of them, and the double of Twilio's APIs.

    VOICE_APP_DATABASE_URL says where PostgreSQL is. Other settings are passed on to the servers. Exit code
    of the demo: 0 if no call was lost.

    Example: scripts/fleet --demo
    """
    configure_logging("warning")
    settings = load()
    if not settings.database_url.startswith("postgres"):
        raise SettingsError(
            [
                "VOICE_APP_DATABASE_URL: several servers need PostgreSQL; `scripts/fleet` starts one, or "
                "give the URL of yours: postgresql://…"
            ]
        )
    if settings.account_sid is not None:
        raise SettingsError(["TWILIO_ACCOUNT_SID is set: this fleet runs in the sandbox; start it without"])
    try:
        find()
        run(_fleet(settings, proxy.absolute(), port, servers, calls if demo else 0))
    except asyncio.CancelledError:  # SIGTERM
        raise typer.Exit(143) from None
    except (ChildError, LostError) as error:
        typer.echo(f"\n{error}", err=True)
        raise typer.Exit(1 if isinstance(error, LostError) else 2) from None


async def _fleet(settings: Settings, site: Path, port: int, servers: int, calls: int) -> None:
    if (ours := asyncio.current_task()) is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ours.cancel)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="voice-app-fleet-")))
        proxy_port, *ports = ([port] if port else free_ports(1)) + free_ports(servers)
        base_url = f"http://127.0.0.1:{proxy_port}"
        typer.echo(f"Starting {servers} servers …")
        running = await stack.enter_async_context(
            machines(folder, settings.database_url, ports, _settings(demo=bool(calls)), webhooks_to=base_url)
        )
        place = folder / "nginx"
        place.mkdir()
        bases = [server.base_url for server in running.servers]
        listen = f"127.0.0.1:{proxy_port}"
        await stack.enter_async_context(nginx(site, place, listen, bases))
        _introduce(running, base_url, folder)
        if calls:
            async with Rehearsal.begin(running, base_url) as rehearsal:
                await rehearsal.run(calls)
        else:
            await _watch(running, base_url)


def _settings(*, demo: bool) -> dict[str, str]:
    """Ours, for the servers: those of the environment, and the demo's own."""
    given = {name: value for name, value in os.environ.items() if name.startswith(("VOICE_APP_", "OPENAI_"))}
    given.pop("VOICE_APP_DATABASE_URL", None)
    return given | SETTINGS if demo else given


def _introduce(running: Machines, base_url: str, folder: Path) -> None:
    typer.echo("")
    for number, server in enumerate(running.servers, 1):
        typer.echo(f"  Server {number}       {server.base_url} (process {server.pid})")
    typer.echo(
        f"  Twilio         {running.double.base_url} (the double of its APIs)\n"
        f"  nginx          {base_url} in front of them\n"
        f"  What they say  {folder}"
    )


async def _watch(running: Machines, base_url: str) -> None:
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
