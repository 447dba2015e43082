"""``voice-app``: puts the commands together, and turns what went wrong into an exit code.

0 fine · 1 findings refuse · 2 usage or settings · 3 could not find out.
"""

from __future__ import annotations

import sys

import typer

from voice_app.cli import bench, call, calls, check, config, conversations, demo, lint, serve
from voice_app.settings import SettingsError

app = typer.Typer(
    name="voice-app",
    help="A server between a Twilio phone number and an AI voice agent.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(serve.serve)
app.command()(check.check)
app.command()(lint.lint)
app.command()(call.call)
app.command()(demo.demo)
app.command()(bench.bench)
app.add_typer(calls.app, name="calls")
app.add_typer(config.app, name="config")
app.add_typer(conversations.app, name="conversations")


def main() -> None:
    """Run the command line."""
    try:
        app()
    except SettingsError as error:
        typer.echo("The settings cannot be used:", err=True)
        for problem in error.problems:
            typer.echo(f"  {problem}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
