"""``voice-app calls``: what the journal knows of past and present calls."""

from __future__ import annotations

from typing import Annotated

import typer

from voice_app.cli import caller_erasure, calls_export, calls_report, purge
from voice_app.cli.call_tables import document, sheet, table
from voice_app.cli.confirmation import AsJson
from voice_app.cli.journal import DatabaseUrl, Number, Region, Since, Until, ask, selection
from voice_app.cli.output import console, print_json, printable
from voice_app.journal import CallRecord, Entry, Journal, Selection

app = typer.Typer(help="Look at past and present calls, and erase them.", no_args_is_help=True)


@app.command("list")
def list_calls(
    number: Number = None,
    region: Region = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, help="How many calls to show.")] = 20,
    as_json: AsJson = False,
    database_url: DatabaseUrl = None,
) -> None:
    """List the calls, newest first. Dates are those of this machine's time zone.

    Example: voice-app calls list --number "+1 555 010 0001" --since 2026-11-22
    """
    wanted = selection(number, region, since, until)

    async def read(journal: Journal) -> list[CallRecord]:
        return [call async for call in journal.select(wanted, limit=limit)]

    calls = ask(database_url, read)
    if as_json:
        print_json({"calls": calls})
    elif calls:
        console().print(table(calls))
    else:
        typer.echo("No calls yet." if wanted == Selection() else "There are no such calls.")


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

    call, entries = ask(database_url, read)
    if call is None:
        typer.echo(
            f"There is no call {printable(call_sid)} in this journal: see `voice-app calls list`.", err=True
        )
        raise typer.Exit(2)
    if as_json:
        print_json(document(call, entries))
    else:
        console(60).print(sheet(call, entries))


app.command("export")(calls_export.export)
app.command("forget")(caller_erasure.forget)
app.command("purge")(purge.purge)
app.command("report")(calls_report.report)
