"""The tables of the journal: events, which are only ever added, and the calls they belong to.

A change here is a change of a database that is in use: it comes with a migration, see ``migrations``.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Double, ForeignKey, Index, Integer, MetaData, String, Table, Text

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

Index(
    "ix_events_key",
    events.c.key,
    unique=True,
    # Hardly any event has one, and those without must not cost anything.
    postgresql_where=events.c.key.is_not(None),
    sqlite_where=events.c.key.is_not(None),
)

servers: Final = Table(
    "servers",
    metadata,
    Column("id", _UUID, primary_key=True),
    Column("state", Text, nullable=False),
    Column("beat_at", Double, nullable=False),
)
"""The servers that share this journal. Times are of the database's clock, since theirs may differ."""

forgotten: Final = Table(
    "forgotten",
    metadata,
    Column("call_sid", _Id, primary_key=True),
    Column("at", Double, nullable=False),
)
"""What was erased at somebody's wish: an event that comes late must not bring it back."""
