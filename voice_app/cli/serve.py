"""``voice-app serve``, and ``voice-app sandbox`` for what several servers have in common."""

from __future__ import annotations

import asyncio
import signal
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from voice_app.guard import Verdict
    from voice_app.settings import Settings


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [VOICE_APP_HOST]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.  [VOICE_APP_PORT]")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes on the port.  [VOICE_APP_WORKERS]")] = None,
    check_only: Annotated[
        bool, typer.Option("--check-only", help="Make every check of the start, then stop.")
    ] = False,
    reload: Annotated[
        bool, typer.Option("--reload", help="Check and serve the templates again when one is changed.")
    ] = False,
) -> None:
    """Answer calls. Without Twilio credentials: in the sandbox, for voice-app call.

    Example: voice-app serve --port 8000
    """
    from voice_app import server
    from voice_app.agents.loader import AgentError
    from voice_app.cli.output import fail, run
    from voice_app.journal import JournalError
    from voice_app.settings import SettingsError, load
    from voice_app.telemetry import configure_logging

    settings = load(host=host, port=port, workers=workers).tried_out()
    server.check_workers(settings)
    configure_logging(settings.log_level, settings.log_format, details=settings.log_details)
    if not check_only:
        server.hold_hangups()
    try:
        with nullcontext() if check_only else server.exclusive(settings):
            found = run(_serve(settings, check_only=check_only, reload=reload))
    except (AgentError, JournalError) as error:
        raise SettingsError([str(error)]) from None
    except server.WorkerError as error:
        raise fail(f"Not started: {error}.", 2) from None
    raise typer.Exit(found)


async def _serve(settings: Settings, *, check_only: bool, reload: bool) -> int:
    from voice_app import server
    from voice_app.app import build_services, documents_of
    from voice_app.cli.output import complain, print_findings
    from voice_app.findings import Severity, counted
    from voice_app.guard import Verdict
    from voice_app.runtime import BackgroundTasks
    from voice_app.twiml import default_folder

    async with server.environment(settings) as (ready, api):
        documents = documents_of(ready)
        report = await server.preflight(ready, api, documents)
        grave = [item for item in report.findings if item.severity is not Severity.NOTE]
        print_findings(grave, as_json=False, error=True)
        if report.exit_code:
            complain(f"Not started: {_why_not(report.verdict)}")
            return report.exit_code
        # What is wrong with them is better said once than by every worker.
        services = build_services(ready, api, documents)
        if check_only:
            await server.rehearse(ready)
            doubtful = report.verdict is Verdict.UNKNOWN
            warned = f", with {counted(len(grave), 'warning')}: see above" if grave else ""
            typer.echo(
                "Not verified: see above. All else passed." if doubtful else f"Every check passed{warned}."
            )
            return 0
        changes = BackgroundTasks()

        def announce(base_url: str) -> None:
            _announce(ready, base_url)
            if reload:
                changes.spawn(server.signal_changes(ready.templates or default_folder()))

        try:
            if ready.workers > 1:
                await server.supervise(ready, documents, announce)
            else:
                await server.serve(services, announce)
        finally:
            await changes.aclose()
        return 0


def _why_not(found: Verdict) -> str:
    from voice_app.guard import Verdict

    if found is Verdict.UNKNOWN:
        return (
            "it could not be found out whether speech-to-text would be billed twice, for the reasons above."
        )
    return "put the findings above right first."


def _announce(settings: Settings, base_url: str) -> None:
    from voice_app.journal import place

    if settings.in_sandbox:
        typer.echo(
            "voice-app runs in the sandbox: TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN are not set, so there\n"
            "is no Twilio behind it; a phone and an Orchestrator on this machine take its place.\n\n"
            f"  Listening on   {base_url}\n"
            f"  Agent          {settings.agent}\n"
            f"  Journal        {place(settings.database_url)}\n"
            f"  Console        {base_url}/console/ ({_who_may(settings)})\n\n"
            f"Next: in another terminal, `voice-app call --url {base_url}/voice`, and type what you want\n"
            'to say. For a real number, see "A real number" in README.md. Stop with Ctrl-C.'
        )
    else:
        typer.echo(
            f"voice-app answers {settings.phone_number or 'calls'} at {settings.origin}/voice\n\n"
            f"  Listening on   {base_url}\n"
            f"  Agent          {settings.agent}\n"
            f"  Configuration  {settings.conversation_configuration or 'none: no conversation is kept'}\n"
            f"  Journal        {place(settings.database_url)}\n"
            f"  Console        {settings.origin}/console/ ({_who_may(settings)})"
        )


def _who_may(settings: Settings) -> str:
    """Who may use console and API."""
    if settings.console_is_open:
        return "open to everybody on this machine, as this is the sandbox"
    if settings.users is not None:
        return f"for those in {settings.users}"
    return "the API only, with VOICE_APP_API_TOKEN" if settings.api_token else "closed: set VOICE_APP_USERS"


# --- the double of Twilio's APIs ----------------------------------------------------------------


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
    from voice_app.cli.output import run
    from voice_app.settings import load

    run(_sandbox(load(), port, webhooks_to or []))


async def _sandbox(settings: Settings, port: int, machines: list[str]) -> None:
    from voice_app.sandbox.network import Network
    from voice_app.sandbox.twilio import WebhookSender, double_app
    from voice_app.sandbox.twilio.app import serve
    from voice_app.server.sandbox import furnished
    from voice_app.settings import SettingsError

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
