"""How commands ask a journal: which one, and about which calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import typer

from voice_app.cli.options import moment
from voice_app.cli.output import complain, run
from voice_app.journal import Journal, JournalError, Selection

_T = TypeVar("_T")


def ask(database_url: str | None, question: Callable[[Journal], Coroutine[Any, Any, _T]]) -> _T:
    """What a journal that exists answers; exit code 2 if it cannot."""

    async def asked() -> _T:
        async with Journal(database_url or _configured(), create=False) as journal:
            return await question(journal)

    try:
        return run(asked())
    except JournalError as error:
        complain(str(error))
        raise typer.Exit(2) from None


def _configured() -> str:
    """Where the settings keep the journal. Raises `SettingsError`."""
    from voice_app.settings import load  # only where no option and no variable tells it already

    return load().database_url


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
    from voice_app.twilio.addresses import e164

    try:
        return e164(bare, region)
    except ValueError as error:
        # What Twilio shows for a withheld number looks like one, and can be none.
        if re.fullmatch(r"\+\d{6,15}", bare):
            return bare
        raise typer.BadParameter(f"{error}.") from None
