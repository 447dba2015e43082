"""The conversation of a call, folded from its events: who said what, and what of it was heard."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec

from voice_app.journal.breaks import Breaks
from voice_app.journal.entries import Entry
from voice_app.journal.events import Heard, Pressed, Prompted, Replied, Transcribed

Role: TypeAlias = Literal["user", "assistant"]
Speaker: TypeAlias = Literal["user", "assistant", "person"]
"""``person``: the one that the caller was handed to."""


class Line(msgspec.Struct, frozen=True):
    """One line of the conversation, as a model is told it."""

    role: Role
    content: str
    """For the assistant: what the caller heard of it."""


class Utterance(msgspec.Struct):
    """One line of the conversation with what is known about it."""

    entry_id: str
    """The entry in which it first appeared: where it stands among the other events."""
    at: float
    """When it first appeared, in seconds since the epoch."""
    role: Speaker
    text: str
    """What was said, or what was sent to be spoken."""
    heard: str | None = None
    """What the caller heard of a reply that was cut off; ``None`` if it was not."""
    first_token_ms: float | None = None
    """Milliseconds from the prompt to the first token on the wire."""
    total_ms: float | None = None
    """Milliseconds from the prompt to the last token on the wire."""
    transcribed: bool = False
    """Said after the agent had left the call, as ``<Transcription>`` heard it."""

    @property
    def content(self) -> str:
        return self.text if self.heard is None else self.heard


def pressed(digits: str) -> str:
    """How keys stand in a conversation, so that nobody takes them for something said."""
    return f"(pressed {digits or 'keys, hidden'})"


def dialogue(entries: Iterable[Entry]) -> list[Utterance]:
    """Every utterance, in the order in which they first appeared.

    Of the entries of one reply the last one counts, and what was heard counts above what was sent, whichever
    was written first. Where a session broke off without telling, it is what `Breaks` makes of it.
    """
    utterances: list[Utterance] = []
    heard: dict[str, dict[int, Utterance]] = {}
    replies: dict[tuple[str, int], Utterance] = {}
    breaks = Breaks()
    for entry in entries:
        breaks.note(entry)
        match entry.event:
            case Prompted(text=text):
                utterances.append(Utterance(entry.id, entry.at, "user", text))
            case Pressed(digits=digits):
                utterances.append(Utterance(entry.id, entry.at, "user", pressed(digits)))
            case Replied(session_id=session_id, reply=reply) | Heard(session_id=session_id, reply=reply):
                utterance = replies.get((session_id, reply))
                if utterance is None:
                    utterance = Utterance(entry.id, entry.at, "assistant", "")
                    replies[session_id, reply] = utterance
                    utterances.append(utterance)
                _update(utterance, entry.event)
            case Transcribed(final=True) as said if said.sequence not in heard.get(
                said.transcription_sid, {}
            ):
                role: Speaker = "person" if said.speaker == "person" else "user"
                utterance = Utterance(entry.id, entry.at, role, said.text, transcribed=True)
                heard.setdefault(said.transcription_sid, {})[said.sequence] = utterance
                utterances.append(utterance)
            case _:
                pass
    for lines in heard.values():
        _put_in_order(utterances, lines)
    for (session_id, reply), utterance in replies.items():
        if utterance.heard is None:
            utterance.heard = breaks.heard(session_id, reply, utterance.text)
    return utterances


def as_heard(entries: Iterable[Entry]) -> list[Line]:
    """The conversation as heard. What nobody heard is left out."""
    return [
        Line(utterance.role, utterance.content)
        for utterance in dialogue(entries)
        if utterance.role != "person" and not utterance.transcribed and utterance.content.strip()
    ]


def _put_in_order(utterances: list[Utterance], lines: dict[int, Utterance]) -> None:
    """Callbacks may arrive late: give the lines of one transcription their places by their numbers."""
    ours = {id(line) for line in lines.values()}
    places = [place for place, utterance in enumerate(utterances) if id(utterance) in ours]
    for place, number in zip(places, sorted(lines), strict=True):
        utterances[place] = lines[number]


def _update(utterance: Utterance, event: Replied | Heard) -> None:
    if isinstance(event, Heard):
        utterance.heard = event.text
        return
    utterance.text = event.text
    if event.first_token_ms is not None:
        utterance.first_token_ms = event.first_token_ms
    if event.total_ms is not None:
        utterance.total_ms = event.total_ms
