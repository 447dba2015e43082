"""What this process knows of the calls it serves, kept for as long as the database may fail them."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict, deque
from collections.abc import Iterable
from operator import attrgetter
from typing import Final

from msgspec.structs import replace

from voice_app.journal.entries import Entry
from voice_app.journal.events import Closed, Connected, Disconnected, Opened, Reconnected, Replied, Served

_CAPACITY: Final = 50_000
"""Entries, some 20 MB."""
_OF_ONE_CALL: Final = 5_000
_FRESH: Final = 1_000


class _Call:
    __slots__ = ("closed", "entries", "ours", "served", "whole")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.whole = False
        """Nothing is missing before the entries, as far as anybody knew when they were read."""
        self.ours = False
        """It began here, its session is here, or it was asked for here: it is kept until it is closed."""
        self.served = False
        """Its session is here now: what happens to it, this process writes."""
        self.closed = False

    def forget_text(self, id_: str) -> None:
        """The entry of this id is durable."""
        at = bisect_left(self.entries, id_, key=attrgetter("id"))
        if at < len(self.entries) and self.entries[at].id == id_:
            self.entries[at] = without_text(self.entries[at])


class CallCache:
    """The entries of recent calls. The calls that nobody has touched for longest go first.

    A call that is ours is kept until it is closed and all of it is durable; one that is not, of which we only
    take a transcript perhaps, until what we wrote is durable. Of documents that are durable all is kept but
    their text: no call needs it, and it is as much as everything else.
    """

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._capacity = capacity
        self._calls: OrderedDict[str, _Call] = OrderedDict()
        self._size = 0
        self._fresh: list[Entry] = []
        self._passing: deque[tuple[str, str]] = deque(maxlen=capacity)
        """Entries of which something may go once they are durable: id and CallSid, oldest first."""

    def __len__(self) -> int:
        self._sort_in()
        return self._size

    def add(self, entry: Entry) -> None:
        """Keep what was written. It is sorted in later: while a turn waits, every microsecond counts."""
        self._fresh.append(entry)
        if len(self._fresh) >= _FRESH:
            self._sort_in()

    def learn(self, call_sid: str, entries: list[Entry]) -> None:
        """Keep what is known of a call after a look into the database, if it goes on."""
        if not call_sid.startswith("CA") or not entries:  # events are also kept of conversations
            return
        if any(type(entry.event) is Closed for entry in entries):
            return
        self._sort_in()
        call = self._calls.setdefault(call_sid, _Call())
        self._calls.move_to_end(call_sid)
        self._size += len(entries) - len(call.entries)
        call.entries, call.ours, call.whole = entries, True, True
        if self._size > self._capacity:
            self._shed(call)

    def of(self, call_sid: str, after: str = "") -> list[Entry]:
        """The entries of a call in the order of writing: those with an id ``after`` this one."""
        self._sort_in()
        call = self._calls.get(call_sid)
        if call is None:
            return []
        return [entry for entry in call.entries if entry.id > after] if after else [*call.entries]

    def is_whole(self, call_sid: str) -> bool:
        """Whether all that is known of a call is here."""
        self._sort_in()
        call = self._calls.get(call_sid)
        return call is not None and call.whole

    def is_current(self, call_sid: str) -> bool:
        """Whether all of a call is here, and no other server can have added to it: its session is here."""
        self._sort_in()
        call = self._calls.get(call_sid)
        return call is not None and call.whole and call.served

    def durable(self, last: str) -> None:
        """All entries up to this id are in the database."""
        self._sort_in()
        passing = self._passing
        while passing and passing[0][0] <= last:
            id_, call_sid = passing.popleft()
            call = self._calls.get(call_sid)
            if call is None:
                continue
            if (call.closed or not call.ours) and call.entries[-1].id <= last:
                self._drop(call_sid)
            else:
                call.forget_text(id_)

    def forget(self, call_sids: Iterable[str]) -> None:
        """These calls never were."""
        self._sort_in()
        for call_sid in call_sids:
            if call_sid in self._calls:
                self._drop(call_sid)

    def _sort_in(self) -> None:
        fresh, self._fresh = self._fresh, []
        for entry in fresh:
            self._keep(entry)

    def _keep(self, entry: Entry) -> None:
        call_sid, event = entry.call_sid, entry.event
        call = self._calls.get(call_sid)
        if call is None:
            call = self._calls[call_sid] = _Call()
        else:
            self._calls.move_to_end(call_sid)
        entries = call.entries
        if type(event) is Replied and entries and (whole := _grown(entries[-1], event)) is not None:
            entries[-1] = entry if whole is event else replace(entry, event=whole)
        else:
            entries.append(entry)
            self._size += 1
            if type(event) is Opened and len(entries) == 1:
                call.ours = call.whole = True
            elif type(event) is Connected or type(event) is Reconnected:
                call.ours = call.served = True
            elif type(event) is Disconnected:
                call.served = False
            elif type(event) is Closed:
                call.closed = True
        if call.closed or not call.ours or type(event) is Served:
            self._passing.append((entry.id, call_sid))
        if self._size > self._capacity or len(entries) > _OF_ONE_CALL:
            self._shed(call)

    def _drop(self, call_sid: str) -> None:
        self._size -= len(self._calls.pop(call_sid).entries)

    def _shed(self, newest: _Call) -> None:
        while self._size > self._capacity and len(self._calls) > 1:
            self._drop(next(iter(self._calls)))
        if len(newest.entries) > _OF_ONE_CALL:
            excess = len(newest.entries) - _OF_ONE_CALL * 9 // 10
            del newest.entries[:excess]
            newest.whole = False
            self._size -= excess


def without_text(entry: Entry) -> Entry:
    """The entry of a document without its text; any other as it is."""
    event = entry.event
    if type(event) is not Served or not event.document:
        return entry
    return replace(entry, event=replace(event, document=""))


def _grown(last: Entry, reply: Replied) -> Replied | None:
    """What was written last and this together, if they are the same reply; it was not complete."""
    event = last.event
    if (
        type(event) is not Replied
        or event.done
        or event.reply != reply.reply
        or event.session_id != reply.session_id
    ):
        return None
    if reply.begin <= event.begin:
        return reply
    known = event.text[: reply.begin - event.begin]
    return replace(reply, text=known + reply.text, begin=event.begin)
