"""``voice-app``: the table of commands, and what turns a failure into an exit code.

0 fine · 1 findings refuse · 2 usage or settings · 3 could not find out.

A command's module is imported when the command is asked for; the line that stands for it in a list of
commands is in the table. So that ``--help`` is quick, a module of commands imports Typer and `options`, and
each of its functions imports what it works with.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any, Final, NamedTuple, TypeAlias

import typer
from typer.core import TyperGroup

HELP: Final = "A server between a Twilio phone number and an AI voice agent."


class Command(NamedTuple):
    """One command."""

    function: str
    """``module:function`` in this package."""
    summary: str
    """One line, for lists of commands."""


class Group(NamedTuple):
    """Commands that share their first word."""

    summary: str
    commands: Mapping[str, Command]


Commands: TypeAlias = Mapping[str, Command | Group]

COMMANDS: Final[Commands] = {
    "init": Command("init:init", "Write an agent, its test, and what else is yours to change."),
    "serve": Command("serve:serve", "Answer calls."),
    "check": Command("check:check", "Check what `serve` checks before it starts, without serving."),
    "lint": Command("check:lint", "Find what Twilio would ignore or refuse in TwiML."),
    "explain": Command("manual:explain", "Tell what a rule finds, and what to do about it."),
    "docs": Command("manual:docs", "Read the manual."),
    "call": Command("call:call", "Phone a server as Twilio would, from this terminal."),
    "conformance": Command("conformance:conformance", "Play Twilio against any ConversationRelay backend."),
    "demo": Command("call:demo", "A whole phone call in the sandbox, and the guard at work."),
    "rehearse": Command("rehearse:rehearse", "Run scenarios: calls to your agent, as tests."),
    "sandbox": Command("serve:sandbox", "Serve the double of Twilio's APIs, for several servers."),
    "fleet": Command("fleet:fleet", "Start servers on one PostgreSQL, nginx in front of them."),
    "bench": Command("bench:bench", "Measure a server under load."),
    "top": Command("top:top", "Watch running servers: calls, latencies, lag, alarms."),
    "stats": Command("stats:stats", "Count calls in groups: what became of them, and how quick."),
    "user": Group(
        "Say who may use the console and the API.",
        {
            "add": Command("user:add", "Add somebody who signs in, or change a password or role."),
            "key": Command("user:key", "Make an API key."),
            "list": Command("user:list_users", "List users and API keys."),
            "remove": Command("user:remove", "Remove a user or an API key."),
        },
    ),
    "calls": Group(
        "Look at past and present calls, and erase them.",
        {
            "list": Command("calls:list_calls", "List the calls, newest first."),
            "show": Command("calls:show_call", "Show one call: who said what, and what was heard."),
            "export": Command("calls:export", "Export calls with everything that happened on them."),
            "forget": Command("calls:forget", "Erase one caller everywhere."),
            "purge": Command("calls:purge", "Erase old calls from the journal."),
            "report": Command("calls:report", "Print the report of a call as JSON."),
        },
    ),
    "config": Group(
        "Make, read and change Conversation Orchestrator's configurations.",
        {
            "list": Command("config:list_configurations", "List the configurations of the account."),
            "show": Command("config:show", "Show a configuration."),
            "diff": Command("config:diff", "Compare two configurations."),
            "create": Command("config:create", "Make one, from flags, a file, or one that exists."),
            "set": Command("config:set_fields", "Change fields of a configuration."),
            "link-intelligence": Command("config_rules:link_intelligence", "Have Intelligence analyse it."),
            "unlink-intelligence": Command("config_rules:unlink_intelligence", "Stop the analysis."),
            "add-rule": Command("config_rules:add_rule", "Capture traffic by a rule."),
            "remove-rule": Command("config_rules:remove_rule", "Remove capture rules, and nothing else."),
            "delete": Command("config:delete", "Delete a configuration."),
            "plan": Command("config_plan:plan", "Spread many numbers over configurations."),
        },
    ),
    "conversations": Group(
        "Read, close and export conversations.",
        {
            "list": Command("conversations:list_conversations", "List conversations, newest first."),
            "show": Command("conversations:show", "Show a conversation as a dialogue."),
            "close": Command("conversations:close", "Close conversations."),
            "export": Command("conversations:export", "Export a conversation as JSON or as a vCon."),
        },
    ),
}
"""Every command, in the order of ``--help``."""


class _LazyGroup(TyperGroup):
    """A group that knows its commands by the table, and imports the one that is asked for."""

    table: Commands = COMMANDS

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = dict.fromkeys(self.table)  # type: ignore[assignment]  # the names that a typo is compared with

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        match self.table.get(cmd_name):
            case Group(summary, commands):
                return _group(cmd_name, summary, commands)
            case Command(function):
                module, _, attribute = function.partition(":")
                made = _typer()
                made.command(cmd_name)(getattr(import_module(f"voice_app.cli.{module}"), attribute))
                return typer.main.get_command(made)
        return None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self.table.items()])


class _Root(_LazyGroup):
    def invoke(self, ctx: Any) -> Any:
        """Run a command. Settings that cannot be used are told line by line."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            # What nobody has imported cannot have been raised: most commands end without the settings.
            settings = sys.modules.get("voice_app.settings")
            if settings is None or not isinstance(error, settings.SettingsError):
                raise
            from voice_app.cli.output import fail

            raise fail("\n  ".join(["The settings cannot be used:", *error.problems]), 2) from None


def _typer(**options: Any) -> typer.Typer:
    """Without Rich, which would take longer to import than anything here takes to run."""
    return typer.Typer(
        **{"add_completion": False, "pretty_exceptions_enable": False, "rich_markup_mode": None} | options
    )


def _group(name: str, summary: str, commands: Commands) -> Any:
    cls = type("_Group", (_LazyGroup,), {"table": commands})
    made = _typer(name=name, cls=cls, help=summary, no_args_is_help=True)
    made.callback()(lambda: None)
    return typer.main.get_command(made)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"voice-app {version('voice-app')}")
        raise typer.Exit


app = _typer(name="voice-app", cls=_Root, help=HELP, no_args_is_help=True, add_completion=True)


@app.callback()
def _voice_app(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """A server between a Twilio phone number and an AI voice agent."""


def main() -> None:
    """Run the command line, in a process that ends with it.

    What is imported stays to the end: to look through it for garbage, while it comes and once more at the
    end, would take a quarter of a short command's time. `output.run` collects garbage as usual.
    """
    gc.disable()
    try:
        app()
    finally:
        gc.freeze()
