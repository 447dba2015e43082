"""The tables of the journal: events, which are only ever added, and the calls they belong to.

A change here is a change of a database that is in use: it comes with a migration, see ``migrations``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    ColumnElement,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    and_,
    event,
    exists,
    or_,
    tuple_,
)

from voice_app.journal.entries import CallRecord

metadata: Final = MetaData()

_Number: Final = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only where the column is called INTEGER."""
_Id: Final = Text().with_variant(Text(collation="C"), "postgresql")
"""Compared byte by byte, as SQLite does anyway: a language would put ids in an order of its own."""
_UUID: Final = String(36).with_variant(String(36, collation="C"), "postgresql")

calls: Final = Table(
    "calls",
    metadata,
    Column("id", _Number, primary_key=True),
    Column("call_sid", _Id, nullable=False, unique=True),
    Column("from_address", Text, nullable=False),
    Column("to_address", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("opened_at", Double, nullable=False, index=True),
    Column("closed_at", Double),
)
"""One row per CallSid, derived from the events. Times are seconds since the epoch."""

events: Final = Table(
    "events",
    metadata,
    # A UUIDv7: unique across machines, and in the order of time when sorted as text.
    Column("id", _UUID, primary_key=True),
    # A number and not the CallSid: live calls then share pages of the index, and a write costs half.
    Column("call_id", _Number, ForeignKey(calls.c.id), nullable=False, index=True),
    Column("at", Double, nullable=False),
    Column("kind", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("key", _Id),
)
"""Everything that happened. ``data`` is the event as JSON, ``kind`` included: it can be read alone. Of events
with the same ``key`` there is one: Twilio may tell two machines the same thing."""

has_key: Final = events.c.key.is_not(None)
key_index: Final = Index("ix_events_key", events.c.key, unique=True, sqlite_where=has_key)
"""Hardly any event has a key, and those without must not cost anything. PostgreSQL's module adds its own
``WHERE``: here it would load that dialect for every journal in SQLite.
"""

servers: Final = Table(
    "servers",
    metadata,
    Column("id", _UUID, primary_key=True),
    Column("state", Text, nullable=False),
    Column("beat_at", Double, nullable=False),
    Column("load", Text),
)
"""The servers that share this journal. Times are of the database's clock, since theirs may differ. ``load``
is a `ServerLoad` as JSON.
"""

forgotten: Final = Table(
    "forgotten",
    metadata,
    Column("call_sid", _Id, primary_key=True),
    Column("at", Double, nullable=False),
)
"""What was erased at somebody's wish: an event that comes late must not bring it back."""


labels: Final = Table(
    "labels",
    metadata,
    Column("call_id", _Number, ForeignKey(calls.c.id), primary_key=True),
    Column("label", _Id, primary_key=True),
    Column("opened_at", Double, nullable=False),
    Index("ix_labels_newest", "label", "opened_at"),
    sqlite_with_rowid=False,
)
"""What calls are found by: see ``search``. The time of their opening is in the index: the newest calls with a
label are found at once among a million others."""

is_open: Final = calls.c.closed_at.is_(None)
open_index: Final = Index("ix_calls_open", calls.c.opened_at, sqlite_where=is_open)

SAID: Final = {
    "sqlite": ("CREATE VIRTUAL TABLE said USING fts5(text, tokenize = 'unicode61 remove_diacritics 2')",),
    "postgresql": (
        "CREATE TABLE said (event_id varchar(36) PRIMARY KEY, "
        "call_id bigint NOT NULL REFERENCES calls (id), words tsvector NOT NULL)",
        "CREATE INDEX ix_said_words ON said USING gin (words)",
        "CREATE INDEX ix_said_call_id ON said (call_id)",
    ),
}
"""The words that were said, as each database searches them. SQLite's has no column for the call: its rows
begin at the number of the call times 65,536."""
for _dialect, _statements in SAID.items():
    for _statement in _statements:
        _made = DDL(_statement)  # type: ignore[no-untyped-call]
        event.listen(metadata, "after_create", _made.execute_if(dialect=_dialect))


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Calls of the journal. What is left out does not matter."""

    address: str | None = None
    """From or to this address, written as Twilio does: E.164, ``client:…``, ``sip:…``."""
    since: float | None = None
    """Opened then or later, in seconds since the epoch."""
    until: float | None = None
    """Opened before, in seconds since the epoch."""
    closed: bool | None = None
    """Whether the call is over, as far as it is known."""
    silent_since: float | None = None
    """Without any event since then, in seconds since the epoch."""
    having: frozenset[str] = frozenset()
    """With an event of one of these kinds."""
    without: str | None = None
    """With no event of this kind."""

    sid_prefix: str = ""
    """How their CallSid begins."""
    labels: frozenset[str] = frozenset()
    """With each of these labels; see ``search.labels_of``."""
    said: str = ""
    """Somebody said all of these words on it, at once, and it is over."""

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """The same in SQL."""
        if self.address is not None:
            yield or_(calls.c.from_address == self.address, calls.c.to_address == self.address)
        if self.sid_prefix:
            yield calls.c.call_sid.startswith(self.sid_prefix, autoescape=True)
        yield from self.within(calls.c.opened_at)
        if self.closed is not None:
            yield calls.c.closed_at.is_not(None) if self.closed else calls.c.closed_at.is_(None)
        if self.silent_since is not None:
            yield ~_has_event(events.c.at >= self.silent_since)
        if self.having:
            yield _has_event(events.c.kind.in_(sorted(self.having)))
        if self.without is not None:
            yield ~_has_event(events.c.kind == self.without)

    def within(self, opened_at: ColumnElement[float]) -> Iterator[ColumnElement[bool]]:
        """That a call was opened when it should be. ``opened_at``: where that is kept."""
        if self.since is not None:
            yield opened_at >= self.since
        if self.until is not None:
            yield opened_at < self.until


EVERY: Final = Selection()
FEW: Final = 2_000
"""Rows that are counted to find out whether there are many."""


def _has_event(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(events.c.call_id == calls.c.id, condition)


def beyond(call: CallRecord, opened_at: ColumnElement[float], *, newest_first: bool) -> ColumnElement[bool]:
    """What comes after this call when calls are read in the order of their opening, page by page.

    The SID decides between two that were opened at once: a page may end between them.
    """
    place, last = tuple_(opened_at, calls.c.call_sid), (call.opened_at, call.call_sid)
    if newest_first:  # the first half says nothing new, but every database finds it in its index
        return and_(opened_at <= call.opened_at, place < last)
    return and_(opened_at >= call.opened_at, place > last)
