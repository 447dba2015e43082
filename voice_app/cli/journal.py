"""How commands ask a journal: which one, and about which calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar

import typer

from voice_app.cli.options import moment
from voice_app.cli.output import fail, run
from voice_app.journal import CallRecord, Journal, JournalError, Selection

_T = TypeVar("_T")

MAX_SHOWN: Final = 5
"""Calls that are listed where an id is the beginning of several."""


def ask(database_url: str | None, question: Callable[[Journal], Coroutine[Any, Any, _T]]) -> _T:
    """What a journal that exists answers; exit code 2 if it cannot."""

    async def asked() -> _T:
        async with Journal(database_url or _configured(), create=False) as journal:
            return await question(journal)

    try:
        return run(asked())
    except JournalError as error:
        raise fail(str(error), 2) from None


async def calls_named(journal: Journal, names: Iterable[str]) -> list[CallRecord]:
    """The calls of these ids, in this order; the beginning of an id is enough where it is one call's.

    Raises:
        typer.Exit: 2 for a name that is no call's, or that of several; it was said which.
    """
    return [await _call_named(journal, name) for name in dict.fromkeys(names)]


async def _call_named(journal: Journal, name: str) -> CallRecord:
    if (call := await journal.call(name)) is not None:
        return call
    found = [call async for call in journal.select(Selection(sid_prefix=name), limit=MAX_SHOWN + 1)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise fail(f"There is no call {name} in this journal: see `voice-app calls list`.", 2)
    shown = "".join(f"\n  {call.call_sid}" for call in found[:MAX_SHOWN])
    more = "\n  and others" if len(found) > MAX_SHOWN else ""
    raise fail(f"{name} is the beginning of several ids:{shown}{more}", 2)


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
    from voice_app.twilio.identifiers import e164

    try:
        return e164(bare, region)
    except ValueError as error:
        # What Twilio shows for a withheld number looks like one, and can be none.
        if re.fullmatch(r"\+\d{6,15}", bare):
            return bare
        raise typer.BadParameter(f"{error}.") from None
