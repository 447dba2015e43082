"""More than one server: idempotency keys, who is there, and what was erased for good."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "1.0002"
down_revision = "1.0001"

_ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("events", sa.Column("key", _ID))
    op.create_index(
        "ix_events_key",
        "events",
        ["key"],
        unique=True,
        postgresql_where=sa.column("key").is_not(None),
        sqlite_where=sa.column("key").is_not(None),
    )
    op.create_table(
        "servers",
        sa.Column(
            "id", sa.String(36).with_variant(sa.String(36, collation="C"), "postgresql"), primary_key=True
        ),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("beat_at", sa.Double(), nullable=False),
    )
    op.create_table(
        "forgotten",
        sa.Column("call_sid", _ID, primary_key=True),
        sa.Column("at", sa.Double(), nullable=False),
    )
