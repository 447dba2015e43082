"""The ConversationRelay sessions of a call: how each ended, and what was heard of one that broke off.

A session *broke off* if it is over and nothing says that it ended in order: Twilio did not report
``completed`` or ``ended``, and its socket was not closed with 1000. A session that another one has followed
is over even if nothing was written about its end: its process was killed.

A session that ends in order has told what was heard: an interruption and a lost socket cut replies
(``Heard``), and every other reply was heard in full. Of one that broke off two things are left:

- ``Played``, how far the voice was last known to be. What lies beyond it counts as not heard: to say
  something twice is better than to leave it out.
- Without a single ``Played``: the time from a reply's entry to the end, at a slow pace of speech.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from voice_app.calls.scripts import (
    SECONDS_TO_FIRST_SOUND,
    characters_spoken,
    seconds_to_speak,
    whole_words,
)
from voice_app.journal import Entry
from voice_app.journal.events import (
    Connected,
    Disconnected,
    Played,
    Reconnected,
    Replied,
    SessionEnded,
)

SECONDS_TO_REPORT: Final = 1.2
"""From a socket's loss to Twilio's request of the action URL (``docs/protocol.md`` §3.1)."""
CLOSED_IN_ORDER: Final = 1000
"""The close code of a session that ended because it was over."""
GIVEN_UP: Final = 1012
"""The close code of a socket whose server stops, so that another one takes the call."""


@dataclass(slots=True, kw_only=True)
class SessionRecord:
    """One session, as far as the journal tells."""

    id: str
    at: float
    """When it began, in seconds since the epoch; when it was reported, if its beginning is not known."""
    connected: bool = False
    reports: int = 0
    """How often Twilio has reported its end."""
    status: str = ""
    """Twilio's ``SessionStatus``; empty if it was not reported."""
    error_code: str = ""
    error_message: str = ""
    duration_s: float | None = None
    ended_at: float | None = None
    in_order: bool = False
    given_up: bool = False
    """Our server stopped, and closed it for another one to take the call."""
    told: bool = False
    """Every reply of which no ``Heard`` tells anything else was heard in full."""
    active_at: float = 0.0
    """When it last said or played something."""
    begun: dict[int, float] = field(default_factory=dict)
    """When each reply was begun."""
    played: tuple[int, int] | None = None
    """The reply that was played last, and how many of its characters."""

    @property
    def broken(self) -> bool:
        """Whether it broke off."""
        return self.ended_at is not None and not self.in_order

    def heard(self, replies: Iterable[tuple[int, str]]) -> Iterator[str | None]:
        """What was heard of each of these replies, in order; `None`: all of it, as far as is known."""
        if not self.broken or self.told:
            yield from (None for _ in replies)
            return
        quiet_at = 0.0
        for reply, text in replies:
            known = len(text)
            if self.played is not None:
                last, characters = self.played
                if reply >= last:
                    known = characters if reply == last else 0
            elif (begun := self.begun.get(reply)) is not None:
                speaking_at = max(quiet_at, begun + SECONDS_TO_FIRST_SOUND)
                quiet_at = speaking_at + seconds_to_speak(text)
                ended_at = self.active_at if self.ended_at is None else self.ended_at
                known = characters_spoken(text, ended_at - speaking_at)
            yield None if known >= len(text.rstrip()) else text[: whole_words(text, known)]


class Sessions:
    """The sessions of one call, in the order in which they were first heard of."""

    KINDS: Final[frozenset[type]] = frozenset(
        {Replied, Played, Connected, Reconnected, Disconnected, SessionEnded}
    )
    """The kinds of events that change anything here."""

    def __init__(self) -> None:
        self._sessions: dict[str, SessionRecord] = {}
        self._current = ""
        self._nameless_breaks = 0
        self.resumes = 0
        """How often the call went on after a break: in a new session, or in the same one."""

    def __iter__(self) -> Iterator[SessionRecord]:
        return iter(self._sessions.values())

    def get(self, session_id: str) -> SessionRecord | None:
        return self._sessions.get(session_id)

    @property
    def goes_on(self) -> bool:
        """Whether the one that began last is not over."""
        session = self._sessions.get(self._current)
        return session is not None and session.connected and session.ended_at is None

    @property
    def breaks(self) -> int:
        """How many sessions broke off. One that a server of ours gave up as it stopped is not counted.

        Twilio reports a session twice if our answer was lost; only a report without a session's id, where
        none had begun, counts each time.
        """
        broken = sum(s.broken and not s.given_up for s in self._sessions.values() if s.id)
        return broken + self._nameless_breaks

    def take(self, entry: Entry) -> None:
        """Add what happened next on the call."""
        match entry.event:
            case Replied(session_id=session_id, reply=reply):
                self._active(session_id, entry.at).begun.setdefault(reply, entry.at)
            case Played(session_id=session_id, reply=reply, characters=characters):
                self._active(session_id, entry.at).played = reply, characters
            case Connected(session_id=session_id):
                self._connect(session_id, entry.at)
            case Reconnected(session_id=session_id):
                self._active(session_id, entry.at).ended_at = None
                self.resumes += 1
            case Disconnected() as event:
                self._disconnect(event, entry.at)
            case SessionEnded() as event:
                self._report(event, entry.at)
            case _:
                pass

    def _of(self, session_id: str, at: float) -> SessionRecord:
        session = self._sessions.get(session_id)
        if session is None:
            session = self._sessions[session_id] = SessionRecord(id=session_id, at=at)
        return session

    def _active(self, session_id: str, at: float) -> SessionRecord:
        session = self._of(session_id, at)
        session.active_at = at
        return session

    def _connect(self, session_id: str, at: float) -> None:
        former = self._sessions.get(self._current) if self._current != session_id else None
        if former is not None and former.ended_at is None:
            former.ended_at = former.active_at
        self.resumes += former is not None and former.broken
        self._current = session_id
        session = self._active(session_id, at)
        if not session.connected:
            session.connected, session.at = True, at

    def _disconnect(self, event: Disconnected, at: float) -> None:
        session = self._of(event.session_id, at)
        session.in_order |= event.code == CLOSED_IN_ORDER
        session.given_up |= event.code == GIVEN_UP
        session.told |= event.told
        if session.ended_at is None:
            session.ended_at = at

    def _report(self, event: SessionEnded, at: float) -> None:
        in_order = event.status in ("completed", "ended")
        self._nameless_breaks += not event.session_id and not in_order
        session = self._of(event.session_id, at)
        session.reports += 1
        session.status, session.error_code = event.status, event.error_code
        session.error_message = event.error_message
        session.duration_s = event.duration_s
        session.in_order |= in_order
        if session.ended_at is None:
            session.ended_at = at - SECONDS_TO_REPORT
