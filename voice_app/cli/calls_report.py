"""``voice-app calls report``: the report of a call, as it is sent to ``VOICE_APP_REPORT_URL``."""

from __future__ import annotations

from typing import Annotated

import typer

from voice_app.cli.journal import DatabaseUrl, ask
from voice_app.cli.output import print_json, printable
from voice_app.followups import CallReport, report_of
from voice_app.journal import Journal


def report(
    call_sid: Annotated[str, typer.Argument(help="The call's id, CA….", metavar="CALL_SID")],
    database_url: DatabaseUrl = None,
) -> None:
    """Print the report of a call as JSON: the one that is sent to VOICE_APP_REPORT_URL.

    Example: voice-app calls report CA0123456789abcdef0123456789abcdef
    """

    async def read(journal: Journal) -> CallReport | None:
        return await report_of(journal, call_sid)

    document = ask(database_url, read)
    if document is None:
        typer.echo(
            f"There is no call {printable(call_sid)} in this journal: see `voice-app calls list`.", err=True
        )
        raise typer.Exit(2)
    print_json(document)
