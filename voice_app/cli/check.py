"""``voice-app check``"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from voice_app import server
from voice_app.agents.loader import AgentError
from voice_app.app import build_services
from voice_app.cli.output import console, plain, print_json, printable, run
from voice_app.guard import Report, Verdict, exit_code, verdict
from voice_app.guard.rendering import Fact, facts, overview
from voice_app.guard.repair import Repair, proven, repairs
from voice_app.journal import JournalError
from voice_app.settings import Settings, SettingsError, load
from voice_app.telemetry import configure_logging
from voice_app.twilio import ApiError, Configurations, TwilioApi
from voice_app.twilio.configurations import Update
from voice_app.twilio.models import Operation


@dataclass(frozen=True, slots=True)
class _Options:
    as_json: bool
    strict: bool
    fix: bool
    yes: bool


def check(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print verdict, facts and findings as JSON.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Warnings refuse too, and VOICE_APP_GUARD=lenient is not heard.")
    ] = False,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix", help="Remove the VOICE capture rules of the named configuration, and nothing else."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --fix: make the change without asking.")] = False,
) -> None:
    """Check what `serve` checks before it starts, without serving: is speech-to-text billed once?

    Reads the named configuration and all others, the account's numbers, the memory store, intelligence and
    callbacks, and lints the templates. Only --fix changes anything, after showing what.

    Exit code: 0 nothing refuses, 1 refused, 2 settings, 3 could not find out.

    Examples: voice-app check · voice-app check --strict --json · voice-app check --fix
    """
    settings = load(guard="strict" if strict else None)
    configure_logging("error")
    try:
        found = run(_check(settings, _Options(as_json, strict, fix, yes)))
    except (AgentError, JournalError) as error:
        raise SettingsError([str(error)]) from None
    except ApiError as error:
        typer.echo(f"It could not be fixed: {printable(str(error))}", err=True)
        raise typer.Exit(3) from None
    raise typer.Exit(found)


async def _check(settings: Settings, options: _Options) -> int:
    async with server.environment(settings) as (ready, api):
        folder = build_services(ready, api).documents.folder
        report = await server.preflight(ready, api)
        changed: list[Update] = []
        if options.fix:
            changed = await _fix(api, report, options)
            if changed:
                report = await server.preflight(ready, api)
        found = verdict(report.findings, strict=options.strict)
        where = "the sandbox" if ready.in_sandbox else f"account {ready.account_sid}"
        told = [("checked", where), *facts(report.snapshot), ("templates", str(folder))]
        if options.as_json:
            print_json(_document(found, told, report, changed))
        else:
            _screen().print(overview(found, told, report.findings), soft_wrap=True)
            if not report.findings:
                typer.echo("\nNothing to complain about.")
        return exit_code(report.findings, strict=options.strict)


def _document(
    found: Verdict, told: Sequence[Fact], report: Report, changed: Sequence[Update]
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "verdict": found,
        "facts": [{"name": name, "value": value} for name, value in told],
        "findings": [msgspec.to_builtins(finding) for finding in report.findings],
    }
    if changed:
        document["fixed"] = [
            {
                "configuration": update.after.id,
                "version": update.after.version,
                "changes": [msgspec.to_builtins(item) for item in update.changed],
                "proven": proven(update),
            }
            for update in changed
        ]
    return document


async def _fix(api: TwilioApi, report: Report, options: _Options) -> list[Update]:
    """Show what would change, ask, and do it. Raises `ApiError`."""
    screen = _screen(stderr=options.as_json)
    wanted = repairs(report.snapshot)
    if not wanted:
        screen.print(Text("No configuration that our TwiML names has VOICE capture rules.\n"))
        return []
    for repair in wanted:
        _show(repair, screen)
    if not (options.yes or _agreed(options)):
        screen.print(Text("Nothing was changed; --yes makes the change without asking.\n"))
        return []
    configurations = Configurations(api)
    return [await _make(repair, configurations, screen) for repair in wanted]


def _show(repair: Repair, screen: Console) -> None:
    configuration = repair.configuration
    screen.print(plain(f"{configuration.id} ({configuration.display_name or 'no name'})", "bold"))
    for change in repair.changes:
        screen.print(Text(f"  {change.path}"))
        for sign, value, style in (("-", change.old, "red"), ("+", change.new, "green")):
            rows = value if isinstance(value, list) and value else [value]
            for row in rows:
                screen.print(plain(f"  {sign} {msgspec.json.encode(row).decode()}", style))
    screen.print()


def _agreed(options: _Options) -> bool:
    if options.as_json or not sys.stdin.isatty():
        return False
    return typer.confirm("Make this change?")


async def _make(repair: Repair, configurations: Configurations, screen: Console) -> Update:
    def progress(operation: Operation) -> None:
        screen.print(plain(f"  {operation.operation_id or 'the change'}: {operation.status.lower()}"))

    update = await repair.make(configurations, progress)
    version = f"version {update.before.version} -> {update.after.version}"
    if proven(update):
        screen.print(plain(f"  Fetched again, {version}: no VOICE capture rules, all else as it was"))
        if update.raced:
            screen.print(Text("  Somebody else changed it at the same time.", "bold yellow"))
    else:
        screen.print(plain(f"  Fetched again, {version}: it is not as it should be:", "bold red"))
        for item in update.unexpected:
            screen.print(plain(f"    {item}"))
    screen.print()
    return update


def _screen(*, stderr: bool = False) -> Console:
    return console(80, stderr=stderr)
