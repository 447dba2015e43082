"""What Twilio has still to speak: the stretches of speech that we sent, until they are known to be over.

Three sources tell how far the voice is, each optional and each better than the next: the words in
``tokensPlayed``, the moment of ``agentSpeaking off``, and an estimate from the length of the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from voice_app.calls.sessions import SECONDS_PER_CHARACTER, SECONDS_TO_FIRST_SOUND
from voice_app.relay.alignment import cut, heard_prefix

SECONDS_ON_THE_WAY: Final = 0.5
"""Silence says nothing about words that left less than this ago: Twilio may not have had them yet."""


@dataclass(slots=True, eq=False)
class Speech:
    """A stretch of speech: what goes out between two ``last``, heard and remembered as one."""

    number: int
    session_id: str
    parts: list[str] = field(default_factory=list)
    closed: bool = False
    """Its ``last`` is on the way."""
    sent_at: float = 0.0
    """When its latest words left, in seconds on the session's clock."""
    heard: str | None = None
    """What the caller heard, once an interruption has told; `None` while all of it counts."""
    over: bool = False
    """It was played or cut off: nothing changes it any more."""

    @property
    def sent(self) -> str:
        if len(self.parts) > 1:
            self.parts[:] = ["".join(self.parts)]
        return self.parts[0] if self.parts else ""

    @property
    def text(self) -> str:
        """What belongs into the history: as far as we know, this was heard."""
        return self.sent if self.heard is None else self.heard


class Playback:
    """The queue of speech at Twilio's side."""

    def __init__(self) -> None:
        self._queue: list[Speech] = []
        self._played: list[str] = []
        self._measured = False  # the session tells what was played
        self._speaking: bool | None = None  # None: the session has no speaker events
        self._quiet_at = 0.0

    def add(self, speech: Speech) -> None:
        """A stretch of speech begins."""
        self._queue.append(speech)

    def sent(self, characters: int, now: float) -> None:
        """So much text of the latest stretch went out; moves the estimate of when the voice will be done."""
        if self._queue:
            self._queue[-1].sent_at = now
        begin = max(self._quiet_at, now + SECONDS_TO_FIRST_SOUND)
        self._quiet_at = begin + characters * SECONDS_PER_CHARACTER

    @property
    def quiet_at(self) -> float:
        """When everything sent will have been spoken, by estimate (seconds on the session's clock)."""
        return self._quiet_at

    @property
    def unfinished(self) -> bool:
        """Whether something sent is not known to have been played."""
        return bool(self._queue)

    def speaking(self, now: float) -> bool:
        """Whether the voice is speaking now, as far as we can know."""
        if self._speaking is not None:
            return self._speaking
        return bool(self._queue) and now < self._quiet_at

    def agent_speaking(self, on: bool, now: float) -> Speech | None:
        """``agentSpeaking on`` or ``off`` arrived. Silence means that what is closed has been played.

        Returns the last stretch that is over by that.
        """
        self._speaking = on
        if on or not all(speech.closed for speech in self._queue):
            return None
        latest = now - SECONDS_ON_THE_WAY
        return self._finish(sum(speech.sent_at <= latest for speech in self._queue))

    def tokens_played(self, text: str) -> Speech | None:
        """``tokensPlayed`` arrived: these words came out of the phone.

        Returns the last stretch that is over by that.
        """
        self._measured = True
        last = self._finish(skipped) if (skipped := self._skipped(text)) else None
        self._played.append(text)
        while self._queue and self._queue[0].closed:
            sent, played = self._queue[0].sent, " ".join(self._played)
            count = len(sent) if played.strip() == sent.strip() else heard_prefix(sent, played)
            if count is None or sent[count:].strip():
                break
            last = self._finish(1)
        return last

    def _skipped(self, text: str) -> int:
        """How many stretches are over because words of a later one are spoken.

        Not every stretch is told: nobody knows whether the greeting is.
        """
        words = text.split(maxsplit=1)
        if self._played or not words or len(self._queue) < 2:
            return 0
        for index, speech in enumerate(self._queue):
            if heard_prefix(speech.sent, words[0]):
                return index
        return 0

    def progress(self) -> tuple[Speech, int] | None:
        """The stretch that is being played, and how many of its characters are known to have been."""
        if not self._queue or not self._played:
            return None
        count = heard_prefix(self._queue[0].sent, " ".join(self._played))
        return (self._queue[0], count) if count else None

    def interrupted(self, utterance: str) -> list[Speech]:
        """Everything queued is gone at Twilio: note what was heard of it and return what was cut."""
        queue, self._queue = self._queue, []
        counts = cut([speech.sent for speech in queue], utterance)
        if counts is None:
            counts = cut([speech.sent for speech in queue], " ".join(self._played)) or [0] * len(queue)
        self._played.clear()
        self._quiet_at = 0.0
        if self._speaking:
            self._speaking = False
        _cut(queue, counts)
        return queue

    def lost(self, now: float) -> list[Speech]:
        """The socket is gone: note what was heard, as far as is known, and return what was cut."""
        queue, self._queue = self._queue, []
        texts = [speech.sent for speech in queue]
        if self._measured and not self._played:
            counts = [0] * len(texts)
        else:
            counts = cut(texts, " ".join(self._played)) or self._by_time(texts, now)
        _cut(queue, counts)
        return [speech for speech in queue if speech.text != speech.sent]

    def _by_time(self, texts: Sequence[str], now: float) -> list[int]:
        """How many characters of each can have been spoken, from the end of the estimate backwards."""
        unheard = max(0, int((self._quiet_at - now) / SECONDS_PER_CHARACTER))
        counts: list[int] = []
        for text in reversed(texts):
            counts.insert(0, _start_of_word(text, len(text) - unheard))
            unheard = max(0, unheard - len(text))
        return counts

    def _finish(self, count: int) -> Speech | None:
        last = self._queue[count - 1] if count else None
        for speech in self._queue[:count]:
            speech.over = True
        del self._queue[:count]
        self._played.clear()
        return last


def _cut(queue: Sequence[Speech], counts: Sequence[int]) -> None:
    for speech, count in zip(queue, counts, strict=True):
        speech.heard = speech.sent[:count]
        speech.over = True


def _start_of_word(text: str, at: int) -> int:
    """An index after a whole word, ``at`` or before it."""
    if at >= len(text):
        return len(text)
    while at > 0 and not text[at].isspace():
        at -= 1
    return max(0, at)
