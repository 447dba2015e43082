"""Checks what `serve` checks, prints the report, and repairs capture rules if that is wanted."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from voice_app import server
from voice_app.app import build_services
from voice_app.cli.output import console, plain, print_json
from voice_app.guard import Report, Verdict, exit_code, verdict
from voice_app.guard.rendering import Fact, facts, overview
from voice_app.guard.repair import Repair, RulesChangedError, proven, repairs
from voice_app.settings import Settings
from voice_app.twilio import Configurations, TwilioApi
from voice_app.twilio.configurations import Update
from voice_app.twilio.models import Operation


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What the flags of the command say."""

    as_json: bool
    strict: bool
    fix: bool
    yes: bool


async def check_and_report(settings: Settings, options: CheckOptions) -> int:
    """Check, repair if asked to, and print what was found. Gives the exit code.

    Raises:
        ApiError: a repair did not succeed.
    """
    async with server.environment(settings) as (ready, api):
        documents = build_services(ready, api).documents
        report = await server.preflight(ready, api, documents)
        changed: list[Update] = []
        if options.fix:
            changed = await _fix(api, report, options)
            if changed:
                report = await server.preflight(ready, api, documents)
        found = verdict(report.findings, strict=options.strict)
        where = "the sandbox" if ready.in_sandbox else f"account {ready.account_sid}"
        told = [("checked", where), *facts(report.snapshot), ("templates", str(documents.folder))]
        if options.as_json:
            print_json(_document(found, told, report, changed))
        else:
            _screen().print(overview(found, told, report.findings), soft_wrap=True)
            if not report.findings:
                typer.echo("\nNothing to complain about.")
        raced = any(update.raced for update in changed)
        return exit_code(report.findings, strict=options.strict) or int(raced)


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
                "raced": update.raced,
            }
            for update in changed
        ]
    return document


async def _fix(api: TwilioApi, report: Report, options: CheckOptions) -> list[Update]:
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
    made = [await _make(repair, configurations, screen, options) for repair in wanted]
    return [update for update in made if update is not None]


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


def _agreed(options: CheckOptions) -> bool:
    if options.as_json or not sys.stdin.isatty():
        return False
    return typer.confirm("Make this change?")


async def _make(
    repair: Repair, configurations: Configurations, screen: Console, options: CheckOptions
) -> Update | None:
    """Make one change. None if the rules changed meanwhile and nobody agreed to the new ones."""

    def progress(operation: Operation) -> None:
        screen.print(plain(f"  {operation.operation_id or 'the change'}: {operation.status.lower()}"))

    try:
        update = await repair.make(configurations, progress)
    except RulesChangedError as changed:
        screen.print(Text("  Somebody else has changed the rules meanwhile. Now these go:", "bold yellow"))
        _show(changed.now, screen)
        if options.yes or _agreed(options):
            return await _make(changed.now, configurations, screen, options)
        screen.print(Text("Nothing was changed.\n"))
        return None
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
