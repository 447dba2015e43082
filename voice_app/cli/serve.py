"""``voice-app serve``"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated

import typer

from voice_app import server
from voice_app.agents.loader import AgentError
from voice_app.app import build_services
from voice_app.cli.output import print_findings, run
from voice_app.findings import Severity
from voice_app.guard import Verdict
from voice_app.journal import JournalError, place
from voice_app.settings import Settings, SettingsError, load
from voice_app.telemetry import configure_logging


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [VOICE_APP_HOST]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.  [VOICE_APP_PORT]")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes on the port.  [VOICE_APP_WORKERS]")] = None,
    check_only: Annotated[
        bool, typer.Option("--check-only", help="Make every check of the start, then stop.")
    ] = False,
) -> None:
    """Answer calls. Without Twilio credentials: in the sandbox, for voice-app call.

    Example: voice-app serve --port 8000
    """
    settings = load(host=host, port=port, workers=workers)
    server.check_workers(settings)
    configure_logging(settings.log_level)
    try:
        with nullcontext() if check_only else server.exclusive(settings):
            found = run(_serve(settings, check_only=check_only))
    except (AgentError, JournalError) as error:
        raise SettingsError([str(error)]) from None
    except server.WorkerError as error:
        typer.echo(f"Not started: {error}.", err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(found)


async def _serve(settings: Settings, *, check_only: bool) -> int:
    async with server.environment(settings) as (ready, api):
        report = await server.preflight(ready, api)
        grave = [item for item in report.findings if item.severity is not Severity.NOTE]
        print_findings(grave, as_json=False, error=True)
        if report.exit_code:
            typer.echo(f"\nNot started: {_why_not(report.verdict)}", err=True)
            return report.exit_code
        if check_only:
            build_services(ready, api)
            doubtful = report.verdict is Verdict.UNKNOWN
            typer.echo("Not verified: see above. All else passed." if doubtful else "Every check passed.")
            return 0
        if ready.workers > 1:
            build_services(ready, api)  # what is wrong with it is better said once than by every worker
            await server.supervise(ready, lambda base_url: _announce(ready, base_url))
        else:
            await server.serve(ready, api, lambda base_url: _announce(ready, base_url))
        return 0


def _why_not(found: Verdict) -> str:
    if found is Verdict.UNKNOWN:
        return "it could not be found out whether speech-to-text would be billed twice."
    return "the findings above have to be put right first."


def _announce(settings: Settings, base_url: str) -> None:
    if settings.in_sandbox:
        typer.echo(
            "voice-app runs in the sandbox: TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN are not set, so there\n"
            "is no Twilio behind it; a phone and an Orchestrator on this machine take its place.\n\n"
            f"  Listening on   {base_url}\n"
            f"  Agent          {settings.agent}\n"
            f"  Journal        {place(settings.database_url)}\n\n"
            f"Next: in another terminal, `voice-app call --url {base_url}/voice`, and type what you want\n"
            'to say. For a real number, see "A real number" in README.md. Stop with Ctrl-C.'
        )
    else:
        typer.echo(
            f"voice-app answers {settings.phone_number or 'calls'} at {settings.origin}/voice\n\n"
            f"  Listening on   {base_url}\n"
            f"  Agent          {settings.agent}\n"
            f"  Configuration  {settings.conversation_configuration or 'none: no conversation is kept'}\n"
            f"  Journal        {place(settings.database_url)}"
        )
