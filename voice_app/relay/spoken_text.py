"""Text on its way to the voice, in which a mark counts only once its closing mark has come.

What opens something is written down as if it were text, and remembered. If it is closed in time, it is taken
back; if not, it was text. Until then everything from it on waits: nothing is read twice.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

HOLD: Final = 256
"""Characters that are held back at most, and looked ahead at most."""


@dataclass(slots=True)
class _Opener:
    part: int  # which of all parts it is
    at: int  # where it stood in the reply


class SpokenText:
    """The parts of one reply that can be spoken, in order."""

    __slots__ = ("_given", "_open", "_parts")

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._given = 0  # parts that were given out
        self._open: dict[str, deque[_Opener]] = {}

    @property
    def waits(self) -> bool:
        """A mark is open, or text was not given out."""
        return bool(self._open or self._parts)

    def write(self, text: str) -> None:
        """Text that is certain."""
        self._parts.append(text)

    def open(self, mark: str, text: str, at: int) -> None:
        """A mark opens at a place of the reply. Unless it is closed it is ``text``."""
        self._open.setdefault(mark, deque()).append(_Opener(self._given + len(self._parts), at))
        self._parts.append(text)

    def close(self, mark: str, at: int) -> bool:
        """Close what such a mark has opened last. Returns whether it did so, not too long ago."""
        openers = self._open.get(mark)
        if openers is None:
            return False
        opener = openers.pop()
        in_time = at - opener.at <= HOLD
        if not in_time or not openers:
            del self._open[mark]  # those before it are older still
        if in_time:
            self._parts[opener.part - self._given] = ""
        return in_time

    def forget(self, characters: str = "") -> None:
        """What these characters have opened stays text: the paragraph is over. Without any: all of it."""
        for mark in [mark for mark in self._open if not characters or mark[0] in characters]:
            del self._open[mark]

    def take(self, at: int) -> str:
        """What can be spoken, once the reply was read up to a place: it is given out."""
        parts = self._parts
        if self._open:
            ready = self._first_open(at - HOLD) - self._given
            self._parts = parts[ready:]
            del parts[ready:]
        else:
            self._parts = []
        self._given += len(parts)
        return "".join(parts)

    def _first_open(self, oldest: int) -> int:
        """The first part that may still be taken back. Forgets what is older than it may be."""
        first = self._given + len(self._parts)
        for mark, openers in list(self._open.items()):
            while openers and openers[0].at < oldest:
                openers.popleft()
            if openers:
                first = min(first, openers[0].part)
            else:
                del self._open[mark]
        return first
