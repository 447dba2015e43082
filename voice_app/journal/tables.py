"""The tables of the journal: events, which are only ever added, and the calls they belong to."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Double, ForeignKey, Integer, MetaData, String, Table, Text

metadata: Final = MetaData()

_Key: Final = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only where the column is called INTEGER."""

calls: Final = Table(
    "calls",
    metadata,
    Column("id", _Key, primary_key=True),
    Column("call_sid", Text, nullable=False, unique=True),
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
    Column("id", String(36), primary_key=True),
    # A number and not the CallSid: live calls then share pages of the index, and a write costs half.
    Column("call_id", _Key, ForeignKey(calls.c.id), nullable=False, index=True),
    Column("at", Double, nullable=False),
    Column("kind", Text, nullable=False),
    Column("data", Text, nullable=False),
)
"""Everything that happened. ``data`` is the event as JSON, ``kind`` included: it can be read alone."""
