"""``voice-app calls``: what the journal knows of past and present calls."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from voice_app.cli.output import console, plain, print_json, printable, run
from voice_app.journal import CallRecord, Entry, Journal, JournalError, Utterance, as_heard, dialogue
from voice_app.journal.events import Event, Heard, Notified, Prompted, Replied, Unknown
from voice_app.settings import load

_T = TypeVar("_T")

_WHO: Final = {
    "user": Text("caller", "cyan"),
    "assistant": Text("agent", "green"),
    "person": Text("person", "magenta"),
}

DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        envvar="VOICE_APP_DATABASE_URL",
        help="Where the journal is kept; if not given, where the server keeps it.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

app = typer.Typer(help="Look at past and present calls.", no_args_is_help=True)


@app.command("list")
def list_calls(
    limit: Annotated[int, typer.Option(min=1, help="How many calls to show.")] = 20,
    as_json: AsJson = False,
    database_url: DatabaseUrl = None,
) -> None:
    """List the calls, newest first.

    Example: voice-app calls list --limit 5
    """
    calls = _ask(database_url, lambda journal: journal.calls(limit))
    if as_json:
        print_json({"calls": calls})
    elif calls:
        console().print(_calls_table(calls))
    else:
        typer.echo("No calls yet.")


@app.command("show")
def show_call(
    call_sid: Annotated[str, typer.Argument(help="The call's id, CA….", metavar="CALL_SID")],
    as_json: AsJson = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Show one call: who said what, what of it was heard, and how quick the replies were.

    Example: voice-app calls show CA0123456789abcdef0123456789abcdef
    """

    async def read(journal: Journal) -> tuple[CallRecord | None, list[Entry]]:
        return await journal.call(call_sid), await journal.events(call_sid)

    call, entries = _ask(database_url, read)
    if call is None:
        typer.echo(
            f"There is no call {printable(call_sid)} in this journal: see `voice-app calls list`.", err=True
        )
        raise typer.Exit(2)
    if as_json:
        print_json({"call": call, "history": as_heard(entries), "events": entries})
        return
    screen = console(60)
    screen.print(_summary(call))
    screen.print()
    screen.print(_dialogue_table(call, entries))


def _ask(database_url: str | None, question: Callable[[Journal], Coroutine[Any, Any, _T]]) -> _T:
    """What a journal that exists answers; exit code 2 if it cannot."""

    async def ask() -> _T:
        async with Journal(database_url or load().database_url, create=False) as journal:
            return await question(journal)

    try:
        return run(ask())
    except JournalError as error:
        typer.echo(printable(str(error)), err=True)
        raise typer.Exit(2) from None


def _calls_table(calls: list[CallRecord]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Call", no_wrap=True)
    for title in ("Opened", "From", "To", "Direction", "Status"):
        table.add_column(title, overflow="fold")
    table.add_column("Length", justify="right")
    for call in calls:
        table.add_row(
            plain(call.call_sid),
            _time(call.opened_at),
            plain(call.from_),
            plain(call.to),
            plain(call.direction),
            plain(call.status),
            _length(call.duration_s),
        )
    return table


def _summary(call: CallRecord) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in (
        ("call", call.call_sid),
        ("from", call.from_),
        ("to", call.to),
        ("direction", call.direction),
        ("status", call.status),
        ("opened", _time(call.opened_at)),
        ("length", _length(call.duration_s)),
    ):
        grid.add_row(name, plain(value))
    return grid


def _dialogue_table(call: CallRecord, entries: list[Entry]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", style="dim", no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_column(justify="right", style="dim", no_wrap=True)
    utterances = {utterance.entry_id: utterance for utterance in dialogue(entries)}
    for entry in entries:
        at = _length(max(0.0, entry.at - call.opened_at))
        if utterance := utterances.get(entry.id):
            who = _WHO[utterance.role]
            quickness = utterance.first_token_ms
            grid.add_row(at, who, _said(utterance), "" if quickness is None else f"{quickness:.0f} ms")
        elif not isinstance(entry.event, Prompted | Replied | Heard) and not _is_echo(entry.event):
            grid.add_row(at, Text("·", "dim"), _note(entry), "")
    return grid


def _is_echo(event: Event | Unknown) -> bool:
    """Whether Twilio only told that somebody spoke: one event for each clause of what stands here already."""
    return isinstance(event, Notified) and event.event_type.startswith("COMMUNICATION_")


def _said(utterance: Utterance) -> Text:
    """What was said; of an interrupted reply also what the caller didn't hear of it."""
    text, heard = plain(utterance.text), utterance.heard
    if heard is None or heard == utterance.text:
        return text
    if utterance.text.startswith(heard):
        unheard = Text(f"[not heard: {printable(utterance.text[len(heard) :]).strip()}]", "dim")
        return Text(" ").join([plain(heard.rstrip()), unheard]) if heard.strip() else unheard
    return Text(" ").join([plain(heard), Text(f"[was to be: {text.plain}]", "dim")])


def _note(entry: Entry) -> Text:
    """An event beside the dialogue, with what it holds."""
    if isinstance(entry.event, Unknown):
        return Text(printable(f"{entry.event.kind} {entry.event.data}"), "dim")
    fields = msgspec.to_builtins(entry.event)
    kind = fields.pop("kind")
    details = ", ".join(f"{name} {value}" for name, value in fields.items() if value != "")
    return Text(printable(f"{kind}: {details}" if details else kind), "dim")


def _time(at: float) -> str:
    """A time of the day where this runs."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _length(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f}:{rest:04.1f}"
