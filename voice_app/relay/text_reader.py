"""Reads a reply from left to right while it streams: the cursor under `voice_app.relay.speech_text`.

A reader returns where it has got to, or `WAIT` for more text. How a reply was cut into chunks changes nothing
of what comes out: every decision looks at most `HOLD` characters ahead, and waits for them if it has to.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

HOLD: Final = 256
"""Characters that are held back at most, and looked ahead at most."""
WAIT: Final = -1
"""What follows decides: read here again when it has come."""
BLANKS: Final = " \t"
MAX_LOOKBACK: Final = 40
"""Characters before the text that are remembered."""


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


class Block(Enum):
    """What kind of line is being read."""

    PLAIN = auto()
    HEADING = auto()
    ITEM = auto()
    QUOTE = auto()
    ROW = auto()


class TextReader:
    """The text that is being read, how far one may look, and what of it is spoken."""

    __slots__ = (
        "_at", "_begun", "_block", "_end", "_fresh", "_last", "_more", "_out", "_prev", "_text",
    )  # fmt: skip

    def __init__(self) -> None:
        self._text = ""  # what is being read; `_end` is how far we look, `_more` whether more may follow
        self._end = 0
        self._more = True
        self._at = 0  # where the text begins in the reply
        self._prev = "\n"  # the last characters before the text
        self._out = SpokenText()
        self._block = Block.PLAIN
        self._fresh = True  # only blanks so far in this line
        self._begun = False  # something visible went out in this line
        self._last = ""  # its last visible character; kept in blocks only

    def _look(self, at: int, *, final: bool) -> None:
        """Stand at a place of the text."""
        size = len(self._text)
        self._end = min(size, at + HOLD)
        self._more = not final and size - at <= HOLD

    def _say(self, begin: int, end: int) -> int:
        """Speak a part of the text as it is."""
        self._write(self._text[begin:end])
        return end

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._note_visible(text)

    def _open(self, mark: str, text: str, at: int) -> None:
        """Something opens: ``text`` is spoken only if it is not closed."""
        self._out.open(mark, text, self._at + at)
        self._note_visible(text)

    def _close(self, mark: str, at: int) -> bool:
        return self._out.close(mark, self._at + at)

    def _note_visible(self, text: str) -> None:
        if visible := text.rstrip():
            self._last = visible[-1]
            self._fresh, self._begun = False, True

    def _before(self, at: int) -> str:
        return self._text[at - 1] if at else self._prev[-1]

    def _behind(self, at: int) -> str:
        """The last characters before a place."""
        return (self._prev + self._text[max(0, at - MAX_LOOKBACK) : at])[-MAX_LOOKBACK:]

    def _after(self, at: int) -> str:
        """The character at ``at``; empty at the end of the reply."""
        return self._text[at] if at < len(self._text) else ""

    def _past(self, at: int, chars: str) -> int:
        """Where a run of ``chars`` at ``at`` ends, as far as we look ahead."""
        ahead = self._text[at : self._end]
        return at + len(ahead) - len(ahead.lstrip(chars))

    def _may_grow(self, end: int) -> bool:
        """Whether what reaches up to ``end`` could go on in the next chunk."""
        return end >= self._end and self._more
