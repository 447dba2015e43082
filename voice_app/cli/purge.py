"""``voice-app calls purge``"""

from __future__ import annotations

import time
from typing import Annotated

import typer

from voice_app.cli.confirmation import AsJson, Confirmation, DryRun, Yes
from voice_app.cli.journal import DatabaseUrl, ask
from voice_app.cli.output import counted, print_json
from voice_app.journal import Journal, Selection
from voice_app.journal.retention import DAY_SECONDS


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
