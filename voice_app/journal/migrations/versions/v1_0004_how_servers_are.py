"""How the servers are that share a journal: their load, as each tells it with its heartbeat."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "1.0004"
down_revision = "1.0003"


def upgrade() -> None:
    op.add_column("servers", sa.Column("load", sa.Text()))
