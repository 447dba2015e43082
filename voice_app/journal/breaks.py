"""What was heard of sessions that broke off without telling: a process was killed, a machine is gone.

A session that ends in order tells what was heard: an interruption and a lost socket cut replies (``Heard``),
and every other reply was heard in full. Of one that breaks off two things are left:

- ``Played``, how far the voice was last known to be. What lies beyond it counts as not heard: to say
  something twice is better than to leave it out.
- Without a single ``Played``: the time from a reply's entry to the end, at a slow pace of speech.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from voice_app.journal.entries import Entry
from voice_app.journal.events import (
    Connected,
    Disconnected,
    Played,
    Reconnected,
    Replied,
    SessionEnded,
)

SECONDS_PER_CHARACTER: Final = 0.065
"""A little slower than speech at 150 words a minute."""
SECONDS_TO_FIRST_SOUND: Final = 1.0
SECONDS_TO_REPORT: Final = 1.2
"""So long after a socket was lost Twilio asks the action URL (reference ``conversationrelay.md`` §3.1)."""
IN_ORDER: Final = 1000
"""The close code of a session that ended because it was over."""


@dataclass(slots=True)
class _Session:
    last_at: float = 0.0
    """When it was last heard of, in seconds since the epoch."""
    reply: int = -1
    characters: int = 0
    measured: bool = False
    begun: dict[int, float] = field(default_factory=dict)
    """When each reply was begun."""
    over: bool = False
    broken: bool = False
    ended_at: float | None = None
    quiet_at: float = 0.0


class Breaks:
    """The sessions of one call. `note` every entry, in order, then ask `heard` for the replies, in order."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}
        self._current = ""

    def note(self, entry: Entry) -> None:
        match entry.event:
            case Replied(session_id=session_id, reply=reply):
                self._of(session_id, entry).begun.setdefault(reply, entry.at)
            case Played(session_id=session_id, reply=reply, characters=characters):
                session = self._of(session_id, entry)
                session.reply, session.characters, session.measured = reply, characters, True
            case Connected(session_id=session_id):
                self._supersede(session_id)
                self._of(session_id, entry)
            case Reconnected(session_id=session_id):
                session = self._of(session_id, entry)
                session.broken, session.ended_at = False, None
            case Disconnected(session_id=session_id, code=code, told=told):
                self._end(session_id, entry, told or code == IN_ORDER, entry.at)
            case SessionEnded(session_id=session_id, status=status):
                in_order = status in ("completed", "ended")
                self._end(session_id, entry, in_order, entry.at - SECONDS_TO_REPORT)
            case _:
                pass

    def heard(self, session_id: str, reply: int, text: str) -> str | None:
        """What was heard of a reply that nothing else is known of; `None`: all of it, as far as we know."""
        session = self._sessions.get(session_id)
        if session is None or not session.broken or session.over:
            return None
        if session.measured:
            if reply < session.reply:
                return None
            known = session.characters if reply == session.reply else 0
        else:
            known = _estimate(session, reply, text)
        return None if known >= len(text.rstrip()) else _whole_words(text, known)

    def _of(self, session_id: str, entry: Entry) -> _Session:
        session = self._sessions.setdefault(session_id, _Session())
        session.last_at = entry.at
        return session

    def _end(self, session_id: str, entry: Entry, in_order: bool, at: float) -> None:
        session = self._sessions.get(session_id)
        if session is None:
            return
        session.over = session.over or in_order
        session.broken = True
        if session.ended_at is None:
            session.ended_at = at

    def _supersede(self, session_id: str) -> None:
        """A session that another one has followed is over, even if nothing says so."""
        if self._current != session_id:
            session = self._sessions.get(self._current)
            if session is not None and not session.broken:
                session.broken, session.ended_at = True, session.last_at
            self._current = session_id


def _estimate(session: _Session, reply: int, text: str) -> int:
    """How many characters can have been spoken in the time that there was."""
    begun = session.begun.get(reply)
    if begun is None:
        return len(text)
    speaking_at = max(session.quiet_at, begun + SECONDS_TO_FIRST_SOUND)
    session.quiet_at = speaking_at + len(text) * SECONDS_PER_CHARACTER
    ended_at = session.last_at if session.ended_at is None else session.ended_at
    return max(0, int((ended_at - speaking_at) / SECONDS_PER_CHARACTER))


def _whole_words(text: str, characters: int) -> str:
    """The beginning of a text, without the word that was not over. Some languages have no spaces."""
    end = max(characters, 0)
    if end < len(text) and len(text.split()) > 1:
        while end and not text[end].isspace():
            end -= 1
    return text[:end].rstrip()
