"""What calls are found by: labels, and the words that were said. Both are derived from the events.

A label is a short text such as ``address:+15550100001``, ``agent:billing`` or ``flag:voicemail``; a call has
each once. The index of labels has the time of the call's opening in it, so that the newest calls with a label
are found at once among a million others.

Words are indexed when a call is over, all of them at once: a full-text index is dear, and nothing of the kind
is done for a turn that a caller waits for. What comes later, such as the text of a voicemail, is as it comes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, delete, exists, func, select, update
from sqlalchemy.sql.elements import ColumnElement

from voice_app.journal.database import Database
from voice_app.journal.entries import decode
from voice_app.journal.events import (
    Acted,
    AgentAssigned,
    Alerted,
    AnswerDecided,
    CallbackWanted,
    Concluded,
    Event,
    Failed,
    HandedOff,
    Heard,
    Opened,
    Prompted,
    Replied,
    Transcribed,
    TurnedAway,
    UnknownEvent,
    VariantChosen,
    Voicemail,
)
from voice_app.journal.tables import FEW, calls, events, labels

_PLAIN_VALUE: Final = re.compile(r'true|false|-?\d{1,9}|"[\w -]{1,40}"')
"""What of an outcome calls are found by: yes and no, numbers, and words of a choice, in JSON."""
MAX_LABEL: Final = 200
"""Characters."""
FLAGS: Final[dict[str, str]] = {
    "agent-failed": "the agent failed in a turn",
    "alert": "Twilio's Debugger reported something",
    "callback": "the caller wants to be called back",
    "failure": "something else failed",
    "handoff": "a person was asked for",
    "interrupted": "the caller cut in",
    "silence": "the call was ended because nobody spoke",
    "turned-away": "this server did not take the call",
    "unanswered": "a question of the caller's got no answer, as the outcome tells",
    "voicemail": "the caller left a message",
}


LABELLED: Final[frozenset[type]] = frozenset(
    {
        *(Acted, AgentAssigned, Alerted, AnswerDecided, CallbackWanted, Concluded, Failed, HandedOff),
        *(Heard, Opened, TurnedAway, VariantChosen, Voicemail),
    }
)
"""The kinds of events that may have labels: most events have none, and `labels_of` would look for each."""


def labels_of(event: Event | UnknownEvent) -> Iterator[str]:
    """What this event tells of its call, as labels."""
    match event:
        case Opened(from_=from_, to=to):
            yield from (f"address:{address}" for address in dict.fromkeys((from_, to)) if address)
        case AnswerDecided(agent=agent) | AgentAssigned(agent=agent) if agent:
            yield f"agent:{agent}"
        case VariantChosen(variant=variant):
            yield f"variant:{variant}"
        case Acted(action="become", detail=agent):
            yield f"agent:{agent}"
        case Acted(action="end-call", detail="silence"):
            yield "flag:silence"
        case HandedOff(step="requested", reason=reason):
            yield "flag:handoff"
            yield f"reason:{reason}"
        case Voicemail():
            yield "flag:voicemail"
        case Heard(played_ms=played) if played is not None:
            yield "flag:interrupted"
        case TurnedAway():
            yield "flag:turned-away"
        case CallbackWanted():
            yield "flag:callback"
        case Concluded(fields=fields):
            plain = (field for field in fields if _PLAIN_VALUE.fullmatch(field.value))
            yield from (f"outcome:{field.name}={field.value.strip(chr(34))}" for field in plain)
            if any(field.name == "unanswered_question" and field.value != '""' for field in fields):
                yield "flag:unanswered"
        case Alerted():
            yield "flag:alert"
        case Failed(what="agent"):
            yield "flag:agent-failed"
        case Failed():
            yield "flag:failure"
        case _:
            pass


def words_of(event: Event | UnknownEvent) -> str:
    """What was said with this event, once it is complete."""
    match event:
        case Prompted(text=text) | Replied(text=text, done=True) | Transcribed(text=text, final=True):
            return text
        case Voicemail(text=text):
            return text
        case _:
            return ""


def add_labels(
    database: Database, connection: Connection, found: Iterable[tuple[int, Event | UnknownEvent]]
) -> None:
    """Label calls: each event with the number of its call."""
    wanted = {
        (call_id, storable(label)[:MAX_LABEL])
        for call_id, item in found
        if type(item) in LABELLED
        for label in labels_of(item)
    }
    if wanted:
        database.add_labels(connection, sorted(wanted))


def add_words(database: Database, connection: Connection, call_ids: Collection[int]) -> int:
    """Index all that was said on these calls, which are over; on how many of them anything was. To do so
    again is harmless.

    It is for a transaction after the one that wrote the end. Who writes words to a call that is not over yet
    has a lock on it (see `Database.numbers`), and is waited for: the last words may be another server's.
    """
    locked = connection.scalars(
        select(calls.c.id).where(calls.c.id.in_(call_ids)).order_by(calls.c.id).with_for_update()
    )
    ended = list(locked)
    query = select(events.c.call_id, events.c.id, events.c.kind, events.c.data).order_by(events.c.id)
    found = connection.execute(query.where(events.c.call_id.in_(ended), events.c.kind.in_(_SPOKEN)))
    said = [
        (row.call_id, row.id, storable(words))
        for row in found
        if (words := words_of(decode(row.kind, row.data)).strip())
    ]
    if said:
        database.add_said(connection, said)
    return len({call_id for call_id, _, _ in said})


def without_words(database: Database, connection: Connection, since: float) -> list[int]:
    """Calls that are over, were spoken on, and have no word in the index: their server has died in between.

    ``since``: when they were opened at the earliest, in seconds since the epoch.
    """
    spoken = exists().where(events.c.call_id == calls.c.id, events.c.kind.in_(_SPOKEN))
    query = select(calls.c.id).where(
        calls.c.opened_at >= since,
        calls.c.closed_at.is_not(None),
        database.lacks_words(),
        spoken,
    )
    return list(connection.scalars(query.order_by(calls.c.opened_at).limit(_MOST_MISSED)))


_MOST_MISSED: Final = 10_000
"""Calls that are indexed at one time; there is a next."""
_SPOKEN: Final = [str(item.__struct_config__.tag) for item in (Prompted, Replied, Transcribed, Voicemail)]


def reopened(connection: Connection, call_ids: Sequence[int]) -> None:
    """These calls may have been opened earlier than it was known: events may come in any order."""
    opened_at = select(calls.c.opened_at).where(calls.c.id == labels.c.call_id).scalar_subquery()
    connection.execute(
        update(labels)
        .where(labels.c.call_id.in_(call_ids), labels.c.opened_at > opened_at)
        .values(opened_at=opened_at)
    )


def remove(database: Database, connection: Connection, call_ids: Sequence[int]) -> None:
    """Take calls out of the index."""
    connection.execute(delete(labels).where(labels.c.call_id.in_(call_ids)))
    database.remove_said(connection, call_ids)


def has_label(label: str) -> ColumnElement[bool]:
    """Whether a call has a label."""
    one = labels.alias()
    return exists().where(one.c.call_id == calls.c.id, one.c.label == label)


def rarest_first(connection: Connection, wanted: Iterable[str]) -> list[str]:
    """The labels, those first that few calls have: so few are looked at."""
    query = select(func.count()).select_from(
        select(labels.c.call_id).where(labels.c.label == bindparam("label")).limit(FEW).subquery()
    )
    return sorted(wanted, key=lambda label: connection.scalar(query, {"label": label}) or 0)


def storable(text: str) -> str:
    """The text as any database takes it: PostgreSQL has no NUL, and neither has half a surrogate pair."""
    if text.isascii() and "\0" not in text:
        return text  # as nearly all are
    return text.replace("\0", "").encode(errors="replace").decode()
