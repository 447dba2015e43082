"""What Twilio has still to speak: the stretches of speech that we sent, until they are known to be over.

Three sources tell how far the voice is, each optional and each better than the next: the words in
``tokensPlayed``, the moments of ``agentSpeaking``, and an estimate from the text. The estimate never
contradicts what was told: it fills in where a session tells nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from voice_app.calls.scripts import (
    SECONDS_PER_LETTER,
    SECONDS_TO_FIRST_SOUND,
    characters_spoken,
    seconds_to_speak,
    whole_words,
)
from voice_app.relay.alignment import cut, heard_prefix

SECONDS_ON_THE_WAY: Final = 0.5
"""Silence says nothing about words that left less than this ago: Twilio may not have had them yet."""

SECONDS_TO_BELIEVE: Final = 10.0
"""How long ``agentSpeaking on`` is believed, beside the time that what is queued can take."""
SLOWEST_VOICE: Final = 3.0
"""How many times as long as estimated a voice may take."""


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
    interruptible: bool = True

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
        self._known = 0  # characters of the first stretch that are known to have been played
        self._characters = 0  # of all that is in the queue
        self._measured = False  # the session tells what was played
        self.ran_dry = False
        """The voice fell silent within the stretch that is open: it had said all that had been sent."""
        self._speaking: bool | None = None  # None: the session has no speaker events
        self._speaking_since = 0.0
        self._told_at = 0.0
        self._quiet_at = 0.0

    def add(self, speech: Speech) -> None:
        """A stretch of speech begins."""
        self._queue.append(speech)
        self.ran_dry = False

    def sent(self, text: str, now: float) -> None:
        """Text of the latest stretch went out; moves the estimate of when the voice will be done."""
        if self._queue:
            self._queue[-1].sent_at = now
            self._characters += len(text)
        begin = max(self._quiet_at, now + SECONDS_TO_FIRST_SOUND)
        self._quiet_at = begin + seconds_to_speak(text)

    @property
    def unfinished(self) -> bool:
        """Whether something sent is not known to have been played."""
        return bool(self._queue)

    @property
    def uninterruptible(self) -> bool:
        """Whether something that may not be interrupted is not known to have been played."""
        return any(not speech.interruptible for speech in self._queue)

    def speaking(self, now: float) -> bool:
        """Whether the voice is speaking now, as far as we can know.

        A voice of which Twilio never tells the end is believed for a bounded time.
        """
        if self._speaking:
            believed = SECONDS_TO_BELIEVE + SLOWEST_VOICE * seconds_to_speak(self._unplayed())
            return now < self._told_at + believed
        if self._speaking is not None:
            return False
        return bool(self._queue) and now < self.quiet_at(now)

    def quiet_at(self, now: float) -> float:
        """From when on the voice is silent (seconds on the session's clock), ``now`` at the earliest.

        While Twilio tells that it is speaking, that is not known: then the answer is ``now``, and to be asked
        again. A session that tells what was played has the rest of it before it, from the last sign of life.
        """
        if self._speaking or not self._queue:
            return now
        return max(now, self.expected_end)

    @property
    def expected_end(self) -> float:
        """When the voice should have said everything (perhaps long ago); not before its last sign of life."""
        if self._measured and self._played:
            return self._told_at + SECONDS_TO_FIRST_SOUND + seconds_to_speak(self._unplayed())
        return max(self._told_at, self._quiet_at)

    def agent_speaking(self, on: bool, now: float) -> Speech | None:
        """``agentSpeaking on`` or ``off`` arrived. Silence means that what is closed has been played.

        Returns the last stretch that is over by that.
        """
        self._told_at = now
        if on and not self._speaking:
            self._speaking_since = now
        self._speaking = on
        if on:
            return None
        if not all(speech.closed for speech in self._queue):
            self.ran_dry = True
            return None
        latest = now - SECONDS_ON_THE_WAY
        return self._finish(sum(speech.sent_at <= latest for speech in self._queue), now)

    def tokens_played(self, text: str, now: float) -> Speech | None:
        """``tokensPlayed`` arrived: these words came out of the phone.

        Returns the last stretch that is over by that.
        """
        self._measured = True
        self._told_at = now
        last = self._finish(skipped, now) if (skipped := self._skipped(text)) else None
        self._played.append(text)
        if self._queue:
            self._known = self._reached(self._queue[0].sent, text)
        while self._queue and self._queue[0].closed and not self._queue[0].sent[self._known :].strip():
            last = self._finish(1, now)
        return last

    def _reached(self, sent: str, text: str) -> int:
        """How far the voice has come in a stretch with these words. As a rule they are what was sent."""
        begin = self._known
        while begin < len(sent) and sent[begin].isspace():
            begin += 1
        words = text.strip()
        end = begin + len(words)
        if sent.startswith(words, begin) and (end == len(sent) or sent[end].isspace()):
            return end
        return max(self._known, heard_prefix(sent, " ".join(self._played)) or 0)

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

    def is_ahead(self, seconds: float, characters: int, now: float) -> bool:
        """Whether what was sent is further ahead of the voice than this.

        Characters count where the session tells what was played: elsewhere the seconds are made of them.
        """
        if self._measured and self._characters - self._known > characters:
            return not self._is_done(seconds, now)
        if self._quiet_at - now <= seconds or self._is_done(seconds, now):
            return False
        if not self._measured or (self._characters - self._known) * SECONDS_PER_LETTER > seconds:
            return True  # no character takes less
        return seconds_to_speak(self._unplayed()) > seconds

    def _is_done(self, seconds: float, now: float) -> bool:
        """Whether the voice has no more to say: it is silent, or has given no sign for ``seconds``."""
        sent_at = self._queue[-1].sent_at if self._queue else 0.0
        if self._speaking is False and now - sent_at > SECONDS_TO_FIRST_SOUND + SECONDS_ON_THE_WAY:
            return True
        return self._measured and now - max(sent_at, self._told_at) > seconds

    def _unplayed(self) -> str:
        """What is queued and not known to have been played."""
        if not self._queue:
            return ""
        return "".join([self._queue[0].sent[self._known :], *(speech.sent for speech in self._queue[1:])])

    def progress(self) -> tuple[Speech, int] | None:
        """The stretch that is being played, and how many of its characters are known to have been."""
        return (self._queue[0], self._known) if self._queue and self._known else None

    def interrupted(self, utterance: str) -> list[Speech]:
        """Everything queued is gone at Twilio: note what was heard of it and return what was cut.

        At least what is known to have been played was heard, whatever the interruption tells.
        """
        queue, played = self._queue, " ".join(self._played)
        self._queue, self._characters = [], 0
        texts = [speech.sent for speech in queue]
        counts = [0] * len(texts)
        for told in (cut(texts, utterance), cut(texts, played)):
            counts = list(map(max, counts, told or counts))
        if counts:
            counts[0] = max(counts[0], self._known)
        self._forget_progress()
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
        """How many characters of each can have been spoken.

        From the moment on at which Twilio told that the voice speaks; without such a moment, from the end of
        the estimate backwards.
        """
        if self._speaking:
            spoken = characters_spoken("".join(texts), now - self._speaking_since)
        else:
            reversed_rest = "".join(texts)[::-1]
            spoken = len(reversed_rest) - characters_spoken(reversed_rest, max(0.0, self._quiet_at - now))
        counts: list[int] = []
        for text in texts:
            counts.append(whole_words(text, spoken))
            spoken -= len(text)
        return counts

    def _finish(self, count: int, now: float) -> Speech | None:
        last = self._queue[count - 1] if count else None
        for speech in self._queue[:count]:
            speech.over = True
            self._characters -= len(speech.sent)
        del self._queue[:count]
        self._forget_progress()
        self._speaking_since = now
        return last

    def _forget_progress(self) -> None:
        self._played.clear()
        self._known = 0


def _cut(queue: Sequence[Speech], counts: Sequence[int]) -> None:
    for speech, count in zip(queue, counts, strict=True):
        speech.heard = speech.sent[:count]
        speech.over = True
