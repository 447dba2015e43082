"""``voice-app check``"""

from __future__ import annotations

from typing import Annotated

import typer

from voice_app import server
from voice_app.agents.loader import AgentError
from voice_app.app import desk
from voice_app.cli.output import print_findings, run
from voice_app.findings import Finding
from voice_app.guard.check import verdict
from voice_app.journal import JournalError
from voice_app.settings import Settings, SettingsError, load
from voice_app.telemetry import configure_logging


def check(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check what `serve` checks before it starts, without serving.

    Exit code: 0 fine, 1 refused, 2 settings, 3 could not find out.

    Example: voice-app check --json
    """
    settings = load()
    configure_logging("error")
    try:
        findings, place = run(_check(settings))
    except (AgentError, JournalError) as error:
        raise SettingsError([str(error)]) from None
    print_findings(findings, as_json=as_json)
    if not findings and not as_json:
        typer.echo(f"Nothing to complain about: {place}.")
    raise typer.Exit(verdict(findings))


async def _check(settings: Settings) -> tuple[list[Finding], str]:
    async with server.environment(settings) as (ready, api):
        parts = desk(ready, api)
        findings = await server.preflight(ready, api)
        where = "in the sandbox" if ready.in_sandbox else f"account {ready.account_sid}"
        named = ready.conversation_configuration or "no configuration is named"
        return findings, f"templates in {parts.templates.folder}, {where}, {named}"
