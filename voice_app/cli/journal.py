"""How commands ask a journal: which one, and about which calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

import typer

from voice_app.cli.dates import moment
from voice_app.cli.output import complain, run
from voice_app.journal import Journal, JournalError, Selection
from voice_app.settings import load
from voice_app.twilio.addresses import e164

_T = TypeVar("_T")

DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        envvar="VOICE_APP_DATABASE_URL",
        help="Where the journal is kept; if not given, where the server keeps it.",
        show_default=False,
    ),
]
Number = Annotated[
    str | None,
    typer.Option(
        "--number", help="Only calls from or to this number, however it is written; or client:…, sip:…."
    ),
]
Region = Annotated[
    str | None, typer.Option(help="Country of a number that is written without its code, e.g. US.")
]
Since = Annotated[
    str | None,
    typer.Option("--since", help="Opened then or later: 2026-11-22, or with a time of the day."),
]
Until = Annotated[
    str | None, typer.Option("--until", help="Opened then or earlier; a day counts to its end.")
]


def ask(database_url: str | None, question: Callable[[Journal], Coroutine[Any, Any, _T]]) -> _T:
    """What a journal that exists answers; exit code 2 if it cannot."""

    async def asked() -> _T:
        async with Journal(database_url or load().database_url, create=False) as journal:
            return await question(journal)

    try:
        return run(asked())
    except JournalError as error:
        complain(str(error))
        raise typer.Exit(2) from None


def selection(number: str | None, region: str | None, since: str | None, until: str | None) -> Selection:
    """The calls that options name."""
    begin, end = moment(since, "--since"), moment(until, "--until", end=True)
    return Selection(
        address=None if number is None else address(number, region),
        since=None if begin is None else begin.timestamp(),
        until=None if end is None else end.timestamp(),
    )


def address(text: str, region: str | None) -> str:
    """A caller as the journal knows them. Raises `typer.BadParameter` for what nobody calls from."""
    bare = text.strip()
    if re.match(r"(client|sips?):\S", bare):
        return bare
    try:
        return e164(bare, region)
    except ValueError as error:
        # What Twilio shows for a withheld number looks like one, and can be none.
        if re.fullmatch(r"\+\d{6,15}", bare):
            return bare
        raise typer.BadParameter(f"{error}.") from None
