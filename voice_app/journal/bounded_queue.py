"""The entries that wait in memory to be written: a queue that never grows beyond its capacity."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

from voice_app.journal.entries import Entry
from voice_app.journal.events import Heard, Partial, Pressed, Prompted, Replied, Transcribed


class BoundedQueue:
    """Entries in the order of writing, oldest first. One thread may add while another takes.

    An entry stays until it is safe elsewhere (``drop``): at no moment is it in nobody's hands.

    When the queue is full a tenth is shed at once, so that the price of looking for what can go (some
    milliseconds) is paid once in many entries. What later entries say again goes first, the oldest first: no
    conversation reads differently without it. If that is not enough the oldest entries go, since the calls
    that are on the line need the newest ones. What was handed out (``oldest``) does not count, and stays: it
    may have been written, whoever was to write it has not said so yet.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: deque[Entry] = deque()
        self._handed_out = 0
        """So many of the first ones."""
        self._lock = threading.Lock()
        self.superseded = 0
        """How many entries were dropped because later ones say it all."""
        self.lost = 0
        """How many other entries were dropped."""

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def append(self, entry: Entry) -> None:
        with self._lock:
            self._entries.append(entry)
            if len(self._entries) - self._handed_out > self._capacity:
                self._shed()

    def oldest(self, limit: int) -> Sequence[Entry]:
        """The oldest entries, at most ``limit``. They stay until they are dropped."""
        with self._lock:
            found = list(islice(self._entries, limit))
            self._handed_out = max(self._handed_out, len(found))
            return found

    def drop(self, last: str) -> int:
        """Remove the entries up to this id, those that are still here; how many it were."""
        with self._lock:
            before = len(self._entries)
            while self._entries and self._entries[0].id <= last:
                self._entries.popleft()
            dropped = before - len(self._entries)
            self._handed_out = max(0, self._handed_out - dropped)
            return dropped

    def _shed(self) -> None:
        first = list(islice(self._entries, self._handed_out))
        rest = list(islice(self._entries, self._handed_out, None))
        excess = len(rest) - self._capacity * 9 // 10
        spare = set(superseded(rest)[:excess])
        kept = [entry for entry in rest if entry.id not in spare]
        lost = excess - len(spare)
        self.superseded += len(spare)
        self.lost += lost
        self._entries = deque(first + kept[lost:])


def superseded(entries: Sequence[Entry]) -> list[str]:
    """The ids of the entries that later ones make superfluous, oldest first.

    A growing reply can go if the next thing said on its call is the same reply as a whole, whatever parts of
    it come between: the reply then stays at its place in the conversation. Words that were not final can
    always go: no conversation has them.
    """
    following: dict[str, tuple[str, int] | None] = {}
    found: list[str] = []
    for entry in reversed(entries):
        event = entry.event
        if isinstance(event, Replied):
            reply = (event.session_id, event.reply)
            told_again = following.get(entry.call_sid) == reply
            if told_again and not event.done:
                found.append(entry.id)
            following[entry.call_sid] = reply if told_again or not event.begin else None
        elif isinstance(event, Partial) or (isinstance(event, Transcribed) and not event.final):
            found.append(entry.id)
        elif isinstance(event, Prompted | Pressed | Heard | Transcribed):
            following[entry.call_sid] = None
    found.reverse()
    return found
