"""``voice-app fleet``"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer


def fleet(
    proxy: Annotated[
        Path, typer.Option("--nginx", help="nginx's site: scripts/deploy/nginx.conf of the repository.")
    ],
    port: Annotated[int, typer.Option(min=0, help="Port of nginx; 0 picks a free one.")] = 8080,
    servers: Annotated[int, typer.Option(min=2, max=8, help="How many servers.")] = 2,
) -> None:
    """Start servers on one PostgreSQL, nginx in front of them, and the double of Twilio's APIs.

    VOICE_APP_DATABASE_URL says where PostgreSQL is. Other settings are passed on to the servers.
    `scripts/fleet` starts a PostgreSQL as well; with --demo it calls, kills a server and restarts the others.

    Example: voice-app fleet --nginx scripts/deploy/nginx.conf
    """
    from voice_app.cli.child_processes import ChildError
    from voice_app.cli.fleet_servers import run_fleet
    from voice_app.cli.output import fail, run
    from voice_app.cli.proxy import find
    from voice_app.settings import SettingsError, load
    from voice_app.telemetry import configure_logging

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
        run(run_fleet(proxy.absolute(), settings.database_url, port, servers))
    except asyncio.CancelledError:  # SIGTERM
        raise typer.Exit(143) from None
    except ChildError as error:
        raise fail(str(error), 2) from None
