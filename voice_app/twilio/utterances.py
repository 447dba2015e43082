"""Communications as people read them: the fragments of one spoken reply become one utterance."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import msgspec

from voice_app.twilio.models import Communication, Participant

PAUSE_SECONDS: Final = 5.0
"""Seconds of silence after which the same speaker begins something new."""


class ConversationUtterance(msgspec.Struct, frozen=True):
    """What one side said without a break. The text is untrusted input."""

    address: str
    channel: str
    text: str
    at: str
    """When it began, as the API writes times."""
    speaker: Participant | None = None
    communications: tuple[str, ...] = ()
    """The ids of the fragments."""


def utterances(
    communications: Iterable[Communication], participants: Iterable[Participant] = ()
) -> list[ConversationUtterance]:
    """Put the communications in order of time and join the fragments of speech.

    Two fragments belong together if the same author speaks them on the same call, through the same engine,
    with nobody in between and no pause. Messages are never joined.
    """
    people = {person.id: person for person in participants}
    groups: list[list[Communication]] = []
    for item in _in_order(communications):
        if groups and _belong_together(groups[-1][-1], item):
            groups[-1].append(item)
        else:
            groups.append([item])
    return [_joined(group, people) for group in groups]


def _in_order(communications: Iterable[Communication]) -> list[Communication]:
    """By time; one without a time stays where it was."""
    last = datetime.min.replace(tzinfo=UTC)
    timed: list[tuple[datetime, Communication]] = []
    for item in communications:
        last = item.at or last
        timed.append((last, item))
    return [item for _, item in sorted(timed, key=lambda pair: pair[0])]


def _belong_together(before: Communication, after: Communication) -> bool:
    if _kind(before) != "TRANSCRIPTION" or _kind(after) != "TRANSCRIPTION":
        return False
    if _source(before) != _source(after):
        return False
    return before.at is None or after.at is None or (after.at - before.at).total_seconds() <= PAUSE_SECONDS


def _kind(item: Communication) -> str:
    return item.content.type if item.content is not None else ""


def _source(item: Communication) -> tuple[object, ...]:
    transcription = item.content.transcription if item.content is not None else None
    engine = transcription.engine if transcription is not None else None
    return item.author.address, item.author.channel, item.channel_id, engine


def _joined(group: list[Communication], people: dict[str, Participant]) -> ConversationUtterance:
    first = group[0]
    return ConversationUtterance(
        address=first.author.address,
        channel=first.author.channel,
        text=" ".join(filter(None, (item.text.strip() for item in group))),
        at=first.occurred_at or first.created_at,
        speaker=people.get(first.author.participant_id or ""),
        communications=tuple(item.id for item in group),
    )
