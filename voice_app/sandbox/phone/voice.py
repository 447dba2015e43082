"""The voice at the end of the line: speaks what it is given, word by word, at a speaking pace.

It knows exactly which words came out, so that an interruption can tell what was heard.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

WORDS_PER_SECOND = 2.8
_WORD = re.compile(r"\s*\S+")
_CLAUSE_END = (".", ",", "!", "?", ";", ":")


@dataclass(slots=True)
class _Stretch:
    """The text between two ``last``."""

    waiting: str = ""
    """Text that has not been spoken."""
    spoken: list[str] = field(default_factory=list)
    closed: bool = False
    interruptible: bool | None = None
    """`None`: as the TwiML says."""

    def next_word(self) -> str | None:
        """The next whole word with the space before it; a word at the end may still be growing."""
        match = _WORD.match(self.waiting)
        if match is None or (match.end() == len(self.waiting) and not self.closed):
            return None
        self.waiting = self.waiting[match.end() :]
        return match.group()

    @property
    def over(self) -> bool:
        return self.closed and not self.waiting.strip()


class Voice:
    """Speaks stretches of text one after another.

    ``on_speaking(on)`` is called when it begins and when it falls silent, ``on_word(word)`` after each word
    (the first of a stretch without a space before it), ``on_played(text)`` after each clause,
    ``on_stretch(text)`` when a stretch is over. ``words_per_second`` is the pace,
    unless ``seconds_to_speak(text)`` tells how long a text takes.
    """

    def __init__(
        self,
        words_per_second: float,
        *,
        on_speaking: Callable[[bool], None],
        on_played: Callable[[str], None],
        on_stretch: Callable[[str], None],
        on_word: Callable[[str], None] = lambda word: None,
        seconds_to_speak: Callable[[str], float] | None = None,
    ) -> None:
        self.seconds_per_word = 1 / words_per_second
        self._seconds_to_speak = seconds_to_speak
        self._on_speaking = on_speaking
        self._on_played = on_played
        self._on_stretch = on_stretch
        self._on_word = on_word
        self._queue: deque[_Stretch] = deque()
        self._changed = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._clause: list[str] = []
        self._limit: tuple[int, asyncio.Event] | None = None
        self._holding = False
        self._held: _Stretch | None = None
        self.speaking = False

    def seconds(self, text: str) -> float:
        """How long it takes for a text."""
        if self._seconds_to_speak is not None:
            return self._seconds_to_speak(text)
        return len(text.split()) * self.seconds_per_word

    @property
    def idle(self) -> bool:
        """Nothing is being spoken and nothing is waiting."""
        return not self._queue

    async def fell_silent(self) -> None:
        """Return when nothing is being spoken and nothing is waiting."""
        await self._idle.wait()

    @property
    def unfinished(self) -> bool:
        """The last stretch has begun and not been closed: more of it may be under way."""
        return bool(self._queue) and not self._queue[-1].closed

    @property
    def interruptible(self) -> bool | None:
        """Whether what is being spoken may be interrupted, where that was said with the words."""
        return self._queue[0].interruptible if self._queue else None

    def add(self, text: str, *, last: bool, interruptible: bool | None = None) -> None:
        """Text to speak; ``last`` closes the stretch."""
        if not self._queue or self._queue[-1].closed:
            self._queue.append(_Stretch())
        stretch = self._queue[-1]
        stretch.waiting += text
        stretch.closed = last
        if interruptible is not None:
            stretch.interruptible = interruptible
        self._idle.clear()
        self._changed.set()

    @property
    def held(self) -> str:
        """What has come of the stretch that `hold_after` stopped in, or behind."""
        return "".join([*self._held.spoken, self._held.waiting]).strip() if self._held is not None else ""

    def hold_after(self, words: int) -> asyncio.Event:
        """Stop after ``words`` words of a stretch, for a caller who cuts in exactly there.

        A second one goes on, and does not count what is left of the stretch that the first stopped in.
        """
        reached = asyncio.Event()
        self._limit, self._holding = (words, reached), False
        self._changed.set()
        return reached

    def release(self) -> None:
        """Go on after `hold_after`."""
        self._limit, self._holding, self._held = None, False, None
        self._changed.set()

    def interrupt(self) -> str:
        """Fall silent and forget everything. Returns what was heard of the current stretch."""
        heard = "".join(self._queue[0].spoken).strip() if self._queue else ""
        self._queue.clear()
        self._clause.clear()
        self._limit, self._holding, self._held = None, False, None
        self._set_speaking(False)
        self._idle.set()
        self._changed.set()
        return heard

    async def run(self) -> None:
        """Speak until cancelled."""
        while True:
            self._changed.clear()
            word = None if self._holding or not self._queue else self._queue[0].next_word()
            if word is not None:
                await self._speak(word)
            elif self._queue and self._queue[0].over and not self._holding:
                self._finish()
            else:
                await self._changed.wait()

    async def _speak(self, word: str) -> None:
        stretch = self._queue[0]
        self._set_speaking(True)
        await asyncio.sleep(self.seconds(word))
        if not self._queue or self._queue[0] is not stretch:
            return  # cut off in the middle of the word
        self._on_word(word if stretch.spoken else word.lstrip())
        stretch.spoken.append(word)
        self._clause.append(word)
        if word.endswith(_CLAUSE_END):
            self._end_clause()
        if self._limit is not None and len(stretch.spoken) >= self._limit[0]:
            self._hold(stretch)

    def _finish(self) -> None:
        stretch = self._queue.popleft()
        self._end_clause()
        if not self._queue:
            self._set_speaking(False)
        if stretch.spoken:
            self._hold(stretch)  # it was shorter than that: the caller cuts in now
        self._on_stretch("".join(stretch.spoken).strip())
        if not self._queue:
            self._idle.set()

    def _hold(self, stretch: _Stretch) -> None:
        if self._limit is not None and stretch is not self._held:
            self._holding, self._held = True, stretch
            self._limit[1].set()

    def _end_clause(self) -> None:
        text = "".join(self._clause).strip()
        self._clause.clear()
        if text:
            self._on_played(text)

    def _set_speaking(self, on: bool) -> None:
        if on != self.speaking:
            self.speaking = on
            self._on_speaking(on)


@dataclass(slots=True, frozen=True)
class Pace:
    """The pace of a call: of its voices, and in proportion of everything else that Twilio times."""

    words_per_second: float = WORDS_PER_SECOND

    def speech(self, text: str) -> float:
        """Seconds on our clock that a text takes to be said."""
        return len(text.split()) / self.words_per_second

    def real(self, seconds: float) -> float:
        """Seconds of the call, as seconds on our clock."""
        return seconds * WORDS_PER_SECOND / self.words_per_second

    def simulated(self, seconds: float) -> float:
        """Seconds on our clock, as seconds of the call."""
        return seconds * self.words_per_second / WORDS_PER_SECOND
