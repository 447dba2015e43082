"""The entries that wait in memory to be written: a queue that never grows beyond its capacity."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from voice_app.journal.entries import Entry
from voice_app.journal.events import Heard, Partial, Pressed, Prompted, Replied, Transcribed


class BoundedQueue:
    """Entries in the order of writing, oldest first.

    When it is full a tenth is shed at once, so that the price of looking for what can go (some milliseconds)
    is paid once in many entries. What later entries say again goes first, the oldest first: no conversation
    reads differently without it. If that is not enough the oldest entries go, since the calls that are on the
    line need the newest ones.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: deque[Entry] = deque()
        self.superseded = 0
        """How many entries were dropped because later ones say it all."""
        self.lost = 0
        """How many other entries were dropped."""

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def append(self, entry: Entry) -> None:
        self._entries.append(entry)
        if len(self._entries) > self._capacity:
            self._shed()

    def take(self, limit: int) -> list[Entry]:
        """Remove and return the oldest entries, at most ``limit``."""
        if limit >= len(self._entries):
            taken = list(self._entries)
            self._entries.clear()
            return taken
        return [self._entries.popleft() for _ in range(limit)]

    def put_back(self, entries: Sequence[Entry]) -> None:
        """Return what was taken last to its place."""
        self._entries.extendleft(reversed(entries))
        if len(self._entries) > self._capacity:
            self._shed()

    def _shed(self) -> None:
        excess = len(self._entries) - self._capacity * 9 // 10
        spare = set(superseded(self._entries)[:excess])
        kept = [entry for entry in self._entries if entry.id not in spare]
        lost = excess - len(spare)
        self.superseded += len(spare)
        self.lost += lost
        self._entries = deque(kept[lost:])


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
