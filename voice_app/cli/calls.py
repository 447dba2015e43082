"""``voice-app calls``: what the journal knows of past and present calls."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from voice_app.cli.options import (
    AsJson,
    CallFormat,
    CallSid,
    DatabaseUrl,
    DryRun,
    Number,
    Region,
    Since,
    Until,
    Url,
    Yes,
)

if TYPE_CHECKING:
    from voice_app.followups import CallReport
    from voice_app.journal import CallRecord, Entry, Journal

STDOUT: Final = "-"


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
    from voice_app.cli.journal import ask, selection
    from voice_app.cli.output import console, print_json
    from voice_app.journal import Selection

    wanted = selection(number, region, since, until)

    async def read(journal: Journal) -> list[CallRecord]:
        return [call async for call in journal.select(wanted, limit=limit)]

    calls = ask(database_url, read)
    if as_json:
        print_json({"calls": calls})
    elif calls:
        from voice_app.cli.call_tables import table

        console().print(table(calls))
    else:
        typer.echo("No calls yet." if wanted == Selection() else "There are no such calls.")


def show_call(call_sid: CallSid, as_json: AsJson = False, database_url: DatabaseUrl = None) -> None:
    """Show one call: who said what, what of it was heard, and how quick the replies were.

    Example: voice-app calls show CA0123456789abcdef0123456789abcdef
    """
    from voice_app.calls import call_document, price_list
    from voice_app.cli.call_tables import sheet
    from voice_app.cli.journal import ask, calls_named
    from voice_app.cli.output import console, print_json
    from voice_app.settings import load

    async def read(journal: Journal) -> tuple[CallRecord, list[Entry]]:
        (call,) = await calls_named(journal, [call_sid])
        return call, await journal.events(call.call_sid)

    call, entries = ask(database_url, read)
    if as_json:
        print_json(call_document(call, entries))
    else:
        console(60).print(sheet(call, entries, price_list(load())))


def report(call_sid: CallSid, database_url: DatabaseUrl = None) -> None:
    """Print the report of a call as JSON: the one that is sent to VOICE_APP_REPORT_URL.

    Example: voice-app calls report CA0123456789abcdef0123456789abcdef
    """
    from voice_app.calls import price_list
    from voice_app.cli.journal import ask, calls_named
    from voice_app.cli.output import print_json
    from voice_app.followups import report_of
    from voice_app.settings import load

    prices = price_list(load())

    async def read(journal: Journal) -> CallReport | None:
        (call,) = await calls_named(journal, [call_sid])
        return await report_of(journal, call.call_sid, prices)

    print_json(ask(database_url, read))


def export(
    call_sids: Annotated[
        list[str] | None, typer.Argument(metavar="CALL_SID", help="Only these calls, CA….")
    ] = None,
    number: Number = None,
    region: Region = None,
    since: Since = None,
    until: Until = None,
    format_: Annotated[
        CallFormat,
        typer.Option("--format", help="One JSON document a line, all in one JSON list, or a table."),
    ] = CallFormat.JSONL,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where to; - is standard output.")
    ] = STDOUT,
    force: Annotated[
        bool, typer.Option("--force", help="Also through a link that leads out of the file's folder.")
    ] = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Export calls, oldest first: what is known of each, who said what, what of it was heard, every event.

    A file gets its name once it is complete, and only its owner can read it.

    csv is a row for each call. A cell that begins with = + - @ gets an apostrophe, and is no formula then.

    Phone numbers begin with + too and stay as they are: they can do no harm.

    Example: voice-app calls export --since 2026-11-01 --format csv --output november.csv
    """
    from voice_app.cli.calls_export import export_calls
    from voice_app.cli.journal import ask, selection
    from voice_app.findings import counted
    from voice_app.journal import Selection

    wanted = selection(number, region, since, until)
    if call_sids and wanted != Selection():
        raise typer.BadParameter("Give the ids of calls, or say which with --number, --since and --until.")

    async def write(journal: Journal) -> int:
        file = None if output == STDOUT else output
        return await export_calls(journal, call_sids or wanted, format_, file, force=force)

    done = ask(database_url, write)
    typer.echo(f"{counted(done, 'call')} exported.", err=True)


def forget(
    number: Annotated[
        str,
        typer.Argument(metavar="NUMBER", help="Whom: a number, however it is written, or client:…, sip:…."),
    ],
    at_twilio: Annotated[
        bool, typer.Option("--at-twilio", help="Erase what Twilio keeps of these calls as well.")
    ] = False,
    region: Region = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    database_url: DatabaseUrl = None,
    url: Url = None,
) -> None:
    """Erase one caller everywhere: all calls from or to a number, with everything that happened on them.

    It shows what would be erased, asks, erases, and looks whether anything is left.

    What other servers still have to write of these calls is dropped. New calls of the number are kept again.

    --at-twilio: conversations, operator results, the profile in Memory, recordings, records of the calls.

    Twilio goes first: if something fails there, the journal keeps the ids, and you can try again.

    Exit code: 0 done, 1 refused or something is left, 2 usage or settings, 3 Twilio could not be asked.

    Example: voice-app calls forget "+1 (555) 010-0001" --at-twilio
    """
    from voice_app.cli.caller_erasure import erase_caller
    from voice_app.cli.journal import address, ask
    from voice_app.cli.output import Confirmation

    if url is not None and not at_twilio:
        raise typer.BadParameter("--url needs --at-twilio.")
    who, confirmation = address(number, region), Confirmation(yes, dry_run, as_json)

    async def erase(journal: Journal) -> int:
        return await erase_caller(journal, who, confirmation, at_twilio=at_twilio, url=url)

    raise typer.Exit(ask(database_url, erase))


def purge(
    older_than: Annotated[
        int, typer.Option("--older-than", min=1, metavar="DAYS", help="Calls whose last event is older.")
    ],
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Erase old calls from the journal, as a server does by itself with VOICE_APP_RETENTION_DAYS.

    Example: voice-app calls purge --older-than 90
    """
    from voice_app.cli.journal import ask
    from voice_app.cli.output import Confirmation, print_json
    from voice_app.findings import counted
    from voice_app.journal import Selection
    from voice_app.journal.upkeep import DAY_SECONDS

    confirmation = Confirmation(yes, dry_run, as_json)
    before = time.time() - older_than * DAY_SECONDS

    async def erase(journal: Journal) -> tuple[int, int]:
        """How many are old, and how many were erased."""
        old = 0
        async for call in journal.select(Selection(until=before)):
            old += call.last_at < before
        if not old:
            confirmation.say(f"No call is older than {counted(older_than, 'day')}.")
        elif confirmation.given(f"Erase {counted(old, 'call')}? It cannot be undone."):
            return old, await journal.purge(before)
        return old, 0

    found, erased = ask(database_url, erase)
    if as_json:
        print_json({"found": found, "erased": erased})
    elif erased:
        typer.echo(f"Erased {counted(erased, 'call')}.")
