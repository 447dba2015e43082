"""The entries that wait to be written: a queue that never grows beyond its capacity."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from voice_app.journal.entries import Entry
from voice_app.journal.events import Heard, Pressed, Prompted, Replied, Transcribed


class Backlog:
    """Entries in the order of writing, oldest first.

    When it is full a tenth is shed at once, so that the price of looking for what can go (some milliseconds)
    is paid once in many entries. Growing replies that a later one repeats go first, the oldest first: no
    conversation reads differently without them. If that is not enough the oldest entries go, since the calls
    that are on the line need the newest ones.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: deque[Entry] = deque()
        self.superseded = 0
        """How many growing replies were dropped because a later one says it all."""
        self.lost = 0
        """How many other entries were dropped."""

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def append(self, entry: Entry) -> None:
        self._entries.append(entry)
        if len(self._entries) > self._capacity:
            self._shed(len(self._entries) - self._capacity * 9 // 10)

    def take(self, limit: int) -> list[Entry]:
        """Remove and return the oldest entries, at most ``limit``."""
        if limit >= len(self._entries):
            taken = list(self._entries)
            self._entries.clear()
            return taken
        return [self._entries.popleft() for _ in range(limit)]

    def _shed(self, excess: int) -> None:
        superseded = set(_superseded(self._entries)[:excess])
        kept = [entry for entry in self._entries if entry.id not in superseded]
        lost = excess - len(superseded)
        self.superseded += len(superseded)
        self.lost += lost
        self._entries = deque(kept[lost:])


def _superseded(entries: deque[Entry]) -> list[str]:
    """The ids of the growing replies that can go, oldest first.

    A growing reply can go if the next thing said on its call is more of the same reply: the reply then stays
    at its place in the conversation.
    """
    following: dict[str, tuple[str, int] | None] = {}
    found: list[str] = []
    for entry in reversed(entries):
        event = entry.event
        if isinstance(event, Replied):
            reply = (event.session_id, event.reply)
            if not event.done and following.get(entry.call_sid) == reply:
                found.append(entry.id)
            following[entry.call_sid] = reply
        elif isinstance(event, Prompted | Pressed | Heard | Transcribed):
            following[entry.call_sid] = None
    found.reverse()
    return found
