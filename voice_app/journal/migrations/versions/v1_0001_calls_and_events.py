"""Calls and their events: the journal as it was before it had versions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "1.0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column(
            "call_sid",
            sa.Text().with_variant(sa.Text(collation="C"), "postgresql"),
            nullable=False,
            unique=True,
        ),
        sa.Column("from_address", sa.Text(), nullable=False),
        sa.Column("to_address", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.Double(), nullable=False, index=True),
        sa.Column("closed_at", sa.Double()),
    )
    op.create_table(
        "events",
        sa.Column(
            "id", sa.String(36).with_variant(sa.String(36, collation="C"), "postgresql"), primary_key=True
        ),
        sa.Column("call_id", _NUMBER, sa.ForeignKey("calls.id"), nullable=False, index=True),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
    )
