"""The conversation of a call: who said what, and what of it was heard."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from voice_app.calls.handoff import MISSES, HandoffStep
from voice_app.calls.sessions import Sessions
from voice_app.journal import Entry
from voice_app.journal.events import (
    HandedOff,
    Heard,
    Pressed,
    Prompted,
    Replied,
    Served,
    Transcribed,
    Transcription,
)

Role: TypeAlias = Literal["user", "assistant"]
Speaker: TypeAlias = Literal["user", "assistant", "person"]
"""``person``: the one that the caller was handed to."""


class HistoryLine(msgspec.Struct, frozen=True):
    """One line of the conversation, as a model is told it."""

    role: Role
    content: str
    """For the assistant: what the caller heard of it."""


class SpokenLine(msgspec.Struct):
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
    interruptible: bool = True
    """False for a disclosure and its like."""
    transcribed: bool = False
    """Said after the agent had left the call, as ``<Transcription>`` heard it."""

    @property
    def content(self) -> str:
        return self.text if self.heard is None else self.heard

    @property
    def heard_whole(self) -> bool:
        return self.content.rstrip() == self.text.rstrip()


HIDDEN_WORDS: Final = "(said something, hidden)"
"""How a secret that was said, not typed, stands in a conversation."""


_AFTER_THE_WORDS: Final = MISSES | {HandoffStep.ACCEPTED, HandoffStep.FINISHED, HandoffStep.RECORDED}
"""Steps of a handoff that are taken after the document that rings somebody has said what it says first."""


def pressed(digits: str) -> str:
    """How keys stand in a conversation, so that nobody takes them for something said."""
    return f"(pressed {digits or 'keys, hidden'})"


class CallTranscript:
    """Every line of a call, in the order in which they first appeared.

    Of the entries of one reply the last one counts, and what was heard counts above what was sent, whichever
    was written first. Where a session broke off without telling, `SessionRecord.heard` tells what was heard.
    """

    KINDS: Final[frozenset[type]] = frozenset(
        {Prompted, Pressed, Replied, Heard, Transcribed, Served, HandedOff, Transcription}
    )
    """The kinds of events that change anything here."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._lines: list[SpokenLine] = []
        self._replies: dict[str, dict[int, int]] = {}
        """By session and number of the reply: its place among the lines."""
        self._transcribed: dict[str, dict[int, int]] = {}
        """By transcription and number of the utterance: its place among the lines."""
        self._disclosed: SpokenLine | None = None
        """What a document says first, while it is not known to be over."""
        self._rings_meanwhile = False
        """A person is called into a conference while the document speaks: a miss may cut it short."""
        self.with_the_agent = 0
        """How many lines were said between the caller and the agent."""

    def take(self, entry: Entry) -> None:
        """Add what happened next on the call. The sessions have taken it already."""
        match entry.event:
            case Replied() as event:
                line = self._reply(entry, event)
                line.text, line.interruptible = event.after(line.text), event.interruptible
                if event.first_token_ms is not None:
                    line.first_token_ms = event.first_token_ms
                if event.total_ms is not None:
                    line.total_ms = event.total_ms
            case Prompted(text=text):
                self._add(entry, "user", text or HIDDEN_WORDS)
            case Pressed(digits=digits):
                self._add(entry, "user", pressed(digits))
            case Heard() as event:
                self._reply(entry, event).heard = event.text
            case Transcribed(final=True) as event:
                self._transcribe(entry, event)
            case Served(disclosure=text) if text:
                self._disclosed = line = self._add(entry, "assistant", text)
                line.interruptible, line.heard = False, ""
            case HandedOff(step=HandoffStep.RANG, target=target):
                self._rings_meanwhile = target.startswith("conference:")
            case HandedOff(step=step) if step in _AFTER_THE_WORDS:
                if step not in MISSES or not self._rings_meanwhile:
                    self._disclosure_is_over()
            case Transcription(state="started"):
                self._disclosure_is_over()
            case _:
                pass

    def lines(self) -> list[SpokenLine]:
        """The whole conversation as far as it is known now."""
        lines = self._lines[:]
        for places in self._transcribed.values():  # callbacks may arrive late: numbers tell the order
            in_order = [self._lines[places[number]] for number in sorted(places)]
            for place, line in zip(places.values(), in_order, strict=True):
                lines[place] = line
        for session_id, replies in self._replies.items():
            session = self._sessions.get(session_id)
            if session is None or not session.broken:
                continue
            uncut = {number: at for number, at in replies.items() if lines[at].heard is None}
            heard = session.heard([(number, lines[at].text) for number, at in uncut.items()])
            for at, text in zip(uncut.values(), heard, strict=True):
                if text is not None:
                    lines[at] = msgspec.structs.replace(lines[at], heard=text)
        return lines

    def statements(self) -> list[SpokenLine]:
        """What was said that may not be interrupted."""
        return [line for line in self.lines() if not line.interruptible]

    def as_heard(self) -> list[HistoryLine]:
        """The conversation with the agent as heard. What nobody heard is left out."""
        return [
            HistoryLine(line.role, line.content)
            for line in self.lines()
            if line.role != "person" and not line.transcribed and line.content.strip()
        ]

    def _disclosure_is_over(self) -> None:
        if self._disclosed is not None:
            self._disclosed.heard = None
            self._disclosed = None

    def _add(self, entry: Entry, role: Speaker, text: str, *, transcribed: bool = False) -> SpokenLine:
        line = SpokenLine(entry.id, entry.at, role, text, transcribed=transcribed)
        self._lines.append(line)
        self.with_the_agent += not transcribed
        return line

    def _reply(self, entry: Entry, event: Replied | Heard) -> SpokenLine:
        replies = self._replies.setdefault(event.session_id, {})
        at = replies.get(event.reply)
        if at is not None:
            return self._lines[at]
        replies[event.reply] = len(self._lines)
        return self._add(entry, "assistant", "")

    def _transcribe(self, entry: Entry, event: Transcribed) -> None:
        places = self._transcribed.setdefault(event.transcription_sid, {})
        if event.sequence not in places:
            places[event.sequence] = len(self._lines)
            self._add(entry, "person" if event.speaker == "person" else "user", event.text, transcribed=True)
