"""What calls are found by: labels, the words that were said, and which calls are open."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from alembic import op

revision = "1.0003"
down_revision = "1.0002"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "labels",
        sa.Column("call_id", _NUMBER, sa.ForeignKey("calls.id"), primary_key=True),
        sa.Column("label", _ID, primary_key=True),
        sa.Column("opened_at", sa.Double(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_labels_newest", "labels", ["label", "opened_at"])
    op.create_index(
        "ix_calls_open",
        "calls",
        ["opened_at"],
        postgresql_where=sa.column("closed_at").is_(None),
        sqlite_where=sa.column("closed_at").is_(None),
    )
    if op.get_bind().dialect.name == "sqlite":
        op.execute("CREATE VIRTUAL TABLE said USING fts5(text, tokenize = 'unicode61 remove_diacritics 2')")
        _label(lambda key: f"json_extract(data, '$.{key}')")
        op.execute(
            "INSERT INTO said (rowid, text) SELECT call_id * 65536 + min("
            "row_number() OVER (PARTITION BY call_id ORDER BY id) - 1, 65535), "
            f"json_extract(data, '$.text') FROM events WHERE {_SAID} "
            "AND (kind != 'reply' OR json_extract(data, '$.done')) "
            "AND (kind != 'transcript' OR coalesce(json_extract(data, '$.final'), 1)) "
            "AND trim(coalesce(json_extract(data, '$.text'), '')) != ''"
        )
        return
    op.execute(
        "CREATE TABLE said (event_id varchar(36) PRIMARY KEY, "
        "call_id bigint NOT NULL REFERENCES calls (id), words tsvector NOT NULL)"
    )
    _label(lambda key: f"(data::json->>'{key}')")
    op.execute(
        "INSERT INTO said (event_id, call_id, words) "
        f"SELECT id, call_id, to_tsvector('simple', data::json->>'text') FROM events WHERE {_SAID} "
        "AND (kind != 'reply' OR data::json->>'done' = 'true') "
        "AND (kind != 'transcript' OR coalesce(data::json->>'final', 'true') = 'true') "
        "AND trim(coalesce(data::json->>'text', '')) != ''"
    )
    op.execute("CREATE INDEX ix_said_words ON said USING gin (words)")
    op.execute("CREATE INDEX ix_said_call_id ON said (call_id)")


_WHOLE = r"data NOT LIKE '%\u0000%'"
"""A NUL that somebody said is in no index: PostgreSQL takes none out of JSON."""
_SAID = f"kind IN ('prompt', 'reply', 'transcript', 'voicemail') AND {_WHOLE}"


def _label(value: Callable[[str], str]) -> None:
    """Label the calls that there are. ``value`` gives a value of an event, in SQL."""
    for column in ("from_address", "to_address"):
        _insert(f"SELECT id AS call_id, 'address:' || {column} AS label FROM calls WHERE {column} != ''")
    agent, action, reason = value("agent"), value("action"), value("reason")
    detail, what = value("detail"), value("what")
    for label, condition in {
        f"'agent:' || {agent}": f"kind = 'answer-decided' AND {agent} != ''",
        f"'agent:' || {detail}": f"kind = 'action' AND {action} = 'become'",
        "'flag:silence'": f"kind = 'action' AND {action} = 'end-call' AND {detail} = 'silence'",
        "'flag:handoff'": f"kind = 'handoff' AND {value('step')} = 'requested'",
        f"'reason:' || coalesce({reason}, '')": f"kind = 'handoff' AND {value('step')} = 'requested'",
        "'flag:interrupted'": f"kind = 'heard' AND {value('played_ms')} IS NOT NULL",
        "'flag:agent-failed'": f"kind = 'failure' AND {what} = 'agent'",
        "'flag:failure'": f"kind = 'failure' AND {what} != 'agent'",
        "'flag:voicemail'": "kind = 'voicemail'",
        "'flag:turned-away'": "kind = 'turned-away'",
        "'flag:callback'": "kind = 'callback-wanted'",
        "'flag:alert'": "kind = 'alert'",
    }.items():
        _insert(f"SELECT call_id, {label} AS label FROM events WHERE {_WHOLE} AND {condition}")


def _insert(labelled: str) -> None:
    op.execute(
        "INSERT INTO labels (call_id, label, opened_at) SELECT DISTINCT calls.id, substr(label, 1, 200), "
        f"opened_at FROM ({labelled}) AS found JOIN calls ON calls.id = found.call_id WHERE true "
        "ON CONFLICT DO NOTHING"
    )
