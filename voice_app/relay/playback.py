"""What Twilio has still to speak: the stretches of speech that we sent, until they are known to be over.

Three sources tell how far the voice is, each optional and each better than the next: the words in
``tokensPlayed``, the moment of ``agentSpeaking off``, and an estimate from the length of the text.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from voice_app.relay.heard import cut, heard_prefix

SECONDS_PER_CHARACTER = 0.065
"""A little slower than speech at 150 words a minute: waiting too long is better than cutting off."""
SECONDS_TO_FIRST_SOUND = 1.0


@dataclass(slots=True, eq=False)
class Speech:
    """A stretch of speech: what goes out between two ``last``, heard and remembered as one."""

    number: int
    parts: list[str] = field(default_factory=list)
    closed: bool = False
    """Its ``last`` is on the way."""
    heard: str | None = None
    """What the caller heard, once an interruption has told; `None` while all of it counts."""

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
        self._speaking: bool | None = None  # None: the session has no speaker events
        self._quiet_at = 0.0

    def add(self, speech: Speech) -> None:
        """A stretch of speech begins."""
        self._queue.append(speech)

    def sent(self, characters: int, now: float) -> None:
        """So much text went out; moves the estimate of when the voice will be done."""
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

    def agent_speaking(self, on: bool) -> None:
        """``agentSpeaking on`` or ``off`` arrived. Silence means that what is closed has been played."""
        self._speaking = on
        if not on and all(speech.closed for speech in self._queue):
            self._finish(len(self._queue))

    def tokens_played(self, text: str) -> None:
        """``tokensPlayed`` arrived: these words came out of the phone."""
        self._played.append(text)
        while self._queue and self._queue[0].closed:
            sent = self._queue[0].sent
            count = heard_prefix(sent, " ".join(self._played))
            if count is None or sent[count:].strip():
                return
            self._finish(1)

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
        for speech, count in zip(queue, counts, strict=True):
            speech.heard = speech.sent[:count]
        return queue

    def _finish(self, count: int) -> None:
        del self._queue[:count]
        self._played.clear()
