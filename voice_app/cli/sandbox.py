"""``voice-app sandbox``"""

from __future__ import annotations

import asyncio
import signal
from typing import Annotated

import typer

from voice_app.cli.output import run
from voice_app.sandbox.network import Network
from voice_app.sandbox.twilio import WebhookSender, double_app
from voice_app.sandbox.twilio.app import serve
from voice_app.server import furnished
from voice_app.settings import Settings, SettingsError, load


def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")] = 0,
    webhooks_to: Annotated[
        list[str] | None,
        typer.Option(
            "--webhooks-to",
            metavar="URL",
            help="Where webhooks go: a balancer, or each of several machines. "
            "[the server that was started last]",
        ),
    ] = None,
) -> None:
    """Serve the double of Twilio's APIs, for several servers. One that runs alone brings its own.

    Example: voice-app sandbox --port 9000 --webhooks-to http://127.0.0.1:8080
    """
    run(_sandbox(load(), port, webhooks_to or []))


async def _sandbox(settings: Settings, port: int, machines: list[str]) -> None:
    if settings.account_sid is not None:
        raise SettingsError(
            ["TWILIO_ACCOUNT_SID is set: the sandbox has an account of its own; start it without credentials"]
        )
    for machine in machines:
        if not machine.startswith(("http://", "https://")):
            raise typer.BadParameter(f"{machine} is no URL; it should look like http://127.0.0.1:8080")
    ours = settings.sandboxed()
    account, configuration_id = furnished(ours)
    if machines:
        first, *others = (machine.rstrip("/") for machine in machines)
        account.network = Network(first, ours.origin, ours.signing_tokens[0], tuple(others))
        account.balanced = True
    try:
        async with WebhookSender(account), serve(double_app(account), port=port) as base_url:
            typer.echo(
                "The double of Twilio's APIs, in memory. Start each server with both of these:\n\n"
                f"  VOICE_APP_TWILIO_BASE_URL={base_url}\n"
                f"  TWILIO_CONVERSATION_CONFIGURATION_ID={configuration_id}\n\n"
                f"  Listening on   {base_url}\n\n"
                "Stop with Ctrl-C."
            )
            await _signalled()
    except OSError as error:
        raise SettingsError(
            [f"cannot listen on port {port} ({error.strerror}): choose another with --port"]
        ) from None


async def _signalled() -> None:
    """Return on SIGINT or SIGTERM."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
