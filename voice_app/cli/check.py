"""``voice-app check`` and ``voice-app lint``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from voice_app.findings import Finding


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
    from voice_app.agents.loader import AgentError
    from voice_app.cli.check_report import CheckOptions, check_and_report
    from voice_app.cli.output import fail, run
    from voice_app.journal import JournalError
    from voice_app.settings import SettingsError, load
    from voice_app.telemetry import configure_logging
    from voice_app.twilio import ApiError

    settings = load(guard="strict" if strict else None)
    configure_logging("error")
    try:
        found = run(check_and_report(settings, CheckOptions(as_json, strict, fix, yes)))
    except (AgentError, JournalError) as error:
        raise SettingsError([str(error)]) from None
    except ApiError as error:
        raise fail(f"It could not be fixed: {error}", 3) from None
    raise typer.Exit(found)


def lint(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="TwiML files, or folders of templates; - is standard input.", metavar="[PATH]..."
        ),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="Accept this attribute too, e.g. ConversationRelay.newThing. May be repeated."),
    ] = None,
    allow_element: Annotated[
        list[str] | None,
        typer.Option(help="Accept this verb or noun too, e.g. Start.NewNoun. May be repeated."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Find what Twilio would ignore or refuse in TwiML, with file, line and what to write instead.

    Without a path: twiml_templates/ in this folder, or the templates that ship. Templates are rendered
    for every branch first.

    Examples: voice-app lint twiml_templates · voice-app lint answer.xml --json · curl … | voice-app lint -
    """
    from voice_app.cli.output import fail, print_findings
    from voice_app.findings import refuses
    from voice_app.twiml import VOCABULARY, default_folder, lint_bytes, lint_path

    findings: list[Finding] = []
    try:
        vocabulary = VOCABULARY.allowing(allow or (), allow_element or ())
    except ValueError as error:
        raise fail(f"--allow or --allow-element: {error}", 2) from None
    for path in paths or [default_folder()]:
        if str(path) == "-":
            findings += lint_bytes(sys.stdin.buffer.read(), "(standard input)", vocabulary=vocabulary)
        elif not path.exists():
            raise fail(
                f"{path}: there is no such file or folder. Name TwiML, a folder of it, or - to pipe it in.", 2
            )
        else:
            findings += lint_path(path, vocabulary=vocabulary)
    print_findings(findings, as_json=as_json)
    if not findings and not as_json:
        typer.echo("Clean.")
    raise typer.Exit(1 if refuses(findings) else 0)
