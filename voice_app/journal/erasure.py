"""What leaves the journal: a caller who wants to be forgotten, and what is older than it may be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

from sqlalchemy import Connection, Select, and_, delete, exists, not_, or_, select
from sqlalchemy.sql.elements import ColumnElement

from voice_app.journal import search
from voice_app.journal.database import Database
from voice_app.journal.entries import Forgotten, decode, encode
from voice_app.journal.events import Called, Conversed
from voice_app.journal.tables import calls, events, forgotten

_AT_ONCE: Final = 200
"""Calls in one statement."""
_PROFILE: Final = re.compile(r"mem_profile_[0-9a-z]{26}")
_IS_CALL: Final = calls.c.call_sid.startswith("CA")
"""Events may also be kept under the id of a conversation or of the account."""


def forget(database: Database, address: str) -> Forgotten:
    """Erase every call from and to an address, and the conversations of these calls.

    The SIDs and conversation ids stay in the table ``forgotten``: what other servers still write about them
    is dropped. They are written down before anything is erased, in a transaction of their own, so that a
    server which finds a call gone finds its name there.
    """
    found = database.write(partial(_mark, database, address), unhurried=True)
    # The calls last: as long as they are there, to forget again finds what is left.
    for some in _portions([*found.conversation_ids, *found.call_sids]):
        database.write(partial(_erase_named, database, some), unhurried=True)
    with database.failing("write"):
        database.scrub()
    return found


def purge(database: Database, before: float, limit: int) -> int:
    """Erase at most ``limit`` calls whose last event is older than ``before``; how many it were.

    Of conversations and of the account, which may go on for ever, the events go that are older, and the whole
    when none is left.
    """

    def erase(connection: Connection) -> int:
        old, recent = (exists().where(events.c.call_id == calls.c.id, age) for age in _ages(before))
        over = _locked(connection, and_(_IS_CALL, not_(recent)), before, limit)
        others = _locked(connection, and_(not_(_IS_CALL), or_(old, not_(recent))), before, limit)
        _erase(database, connection, [*over, *others], before)
        return len(over)

    return database.write(erase, unhurried=True)


def _ages(before: float) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return events.c.at < before, events.c.at >= before


def _mark(database: Database, address: str, connection: Connection) -> Forgotten:
    """Find what is to be erased, and write it down."""
    condition = or_(calls.c.from_address == address, calls.c.to_address == address)
    call_sids = set(connection.scalars(select(calls.c.call_sid).where(condition)))
    number, conversation_ids, profile_ids = _within(connection, call_sids)
    conversation_ids |= _about(connection, call_sids)
    more, _, more_profile_ids = _within(connection, conversation_ids)
    for some in _portions(sorted(call_sids | conversation_ids)):
        statement = database.insert(forgotten).on_conflict_do_nothing()
        connection.execute(statement.values([{"call_sid": sid, "at": database.now} for sid in some]))
    return Forgotten(
        tuple(sorted(call_sids)),
        tuple(sorted(conversation_ids)),
        tuple(sorted(profile_ids | more_profile_ids)),
        number + more,
    )


def _within(connection: Connection, subjects: Iterable[str]) -> tuple[int, set[str], set[str]]:
    """How many events stand under these ids, and the conversations and profiles that they name."""
    number, conversation_ids, profile_ids = 0, set[str](), set[str]()
    for some in _portions(sorted(subjects)):
        query = select(events.c.kind, events.c.data).join(calls).where(calls.c.call_sid.in_(some))
        for row in connection.execute(query.execution_options(yield_per=1000)):
            number += 1
            profile_ids.update(_PROFILE.findall(row.data))
            if isinstance(event := decode(row.kind, row.data), Conversed):
                conversation_ids.add(event.conversation_id)
    return number, conversation_ids, profile_ids


def _about(connection: Connection, call_sids: Iterable[str]) -> set[str]:
    """The conversations under which it stands that they are about these calls."""
    found: set[str] = set()
    for some in _portions(sorted(call_sids)):
        query = (
            select(calls.c.call_sid)
            .join(events)
            .where(
                not_(_IS_CALL),
                events.c.kind == "call",
                events.c.data.in_([encode(Called(sid)) for sid in some]),
            )
        )
        found.update(connection.scalars(query))
    return found


def _erase_named(database: Database, subjects: Sequence[str], connection: Connection) -> None:
    # Locked first: who adds an event to one of these calls meanwhile waits, and then finds it gone.
    query = select(calls.c.id).where(calls.c.call_sid.in_(subjects)).order_by(calls.c.id)
    _erase(database, connection, list(connection.scalars(query.with_for_update())), None)


def _locked(connection: Connection, condition: ColumnElement[bool], before: float, limit: int) -> list[int]:
    """The numbers of some old calls. Those that another server writes to or erases are left to it."""
    query: Select[tuple[int]] = select(calls.c.id).where(calls.c.opened_at < before, condition).limit(limit)
    return list(connection.scalars(query.with_for_update(skip_locked=True)))


def _erase(database: Database, connection: Connection, numbers: Sequence[int], before: float | None) -> None:
    if not numbers:
        return
    condition = events.c.call_id.in_(numbers)
    connection.execute(
        delete(events).where(condition if before is None else condition & (events.c.at < before))
    )
    left = exists().where(events.c.call_id == calls.c.id)
    gone = list(connection.scalars(select(calls.c.id).where(calls.c.id.in_(numbers), not_(left))))
    search.remove(database, connection, gone)
    connection.execute(delete(calls).where(calls.c.id.in_(gone)))


def _portions(items: Sequence[str]) -> Iterable[Sequence[str]]:
    return (items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE))
