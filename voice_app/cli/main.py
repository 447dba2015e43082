"""``voice-app``: puts the commands together, and turns what went wrong into an exit code.

0 fine · 1 findings refuse · 2 usage or settings · 3 could not find out.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from voice_app.settings import SettingsError

COMMANDS = (
    "serve",
    "check",
    "lint",
    "call",
    "demo",
    "sandbox",
    "fleet",
    "bench",
    "calls",
    "config",
    "conversations",
)
"""Each is a module of this package, with a function of that name or, for a group, an ``app``."""


class _Commands(TyperGroup):
    """Imports a command when it is asked for: none has to wait for what only the others need."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"voice_app.cli.{cmd_name}")
        group = getattr(module, "app", None)
        if group is None:
            group = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            group.command()(getattr(module, cmd_name))
        command = typer.main.get_command(group)
        command.name = cmd_name
        return command


app = typer.Typer(
    name="voice-app",
    cls=_Commands,
    help="A server between a Twilio phone number and an AI voice agent.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _voice_app() -> None:
    """A server between a Twilio phone number and an AI voice agent."""


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
