"""Which calls are meant, by who took part and when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, exists, or_, tuple_

from voice_app.journal.entries import CallRecord
from voice_app.journal.tables import calls, events


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Calls of the journal. What is left out does not matter."""

    address: str | None = None
    """From or to this address, written as Twilio does: E.164, ``client:…``, ``sip:…``."""
    since: float | None = None
    """Opened then or later, in seconds since the epoch."""
    until: float | None = None
    """Opened before, in seconds since the epoch."""
    closed: bool | None = None
    """Whether the call is over, as far as it is known."""
    silent_since: float | None = None
    """Without any event since then, in seconds since the epoch."""
    having: frozenset[str] = frozenset()
    """With an event of one of these kinds."""
    without: str | None = None
    """With no event of this kind."""

    sid_prefix: str = ""
    """How their CallSid begins."""

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """The same in SQL."""
        if self.address is not None:
            yield or_(calls.c.from_address == self.address, calls.c.to_address == self.address)
        if self.sid_prefix:
            yield calls.c.call_sid.startswith(self.sid_prefix, autoescape=True)
        if self.since is not None:
            yield calls.c.opened_at >= self.since
        if self.until is not None:
            yield calls.c.opened_at < self.until
        if self.closed is not None:
            yield calls.c.closed_at.is_not(None) if self.closed else calls.c.closed_at.is_(None)
        if self.silent_since is not None:
            yield ~_has_event(events.c.at >= self.silent_since)
        if self.having:
            yield _has_event(events.c.kind.in_(sorted(self.having)))
        if self.without is not None:
            yield ~_has_event(events.c.kind == self.without)


EVERY: Final = Selection()


def _has_event(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(events.c.call_id == calls.c.id, condition)


def beyond(call: CallRecord, *, newest_first: bool) -> ColumnElement[bool]:
    """What comes after this call when calls are read in the order of their opening, page by page.

    The SID decides between two that were opened at once: a page may end between them.
    """
    place, last = tuple_(calls.c.opened_at, calls.c.call_sid), (call.opened_at, call.call_sid)
    return place < last if newest_first else place > last
