"""``voice-app lint``"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from voice_app.cli.output import print_findings
from voice_app.findings import Finding, refuses
from voice_app.twiml import VOCABULARY, default_folder, lint_bytes, lint_path


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
    findings: list[Finding] = []
    vocabulary = VOCABULARY.allowing(allow or (), allow_element or ())
    for path in paths or [default_folder()]:
        if str(path) == "-":
            findings += lint_bytes(sys.stdin.buffer.read(), "(standard input)", vocabulary=vocabulary)
        elif not path.exists():
            typer.echo(f"{path}: there is no such file or folder", err=True)
            raise typer.Exit(2)
        else:
            findings += lint_path(path, vocabulary=vocabulary)
    print_findings(findings, as_json=as_json)
    if not findings and not as_json:
        typer.echo("Clean.")
    raise typer.Exit(1 if refuses(findings) else 0)
