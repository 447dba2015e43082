"""How fast time goes on a simulated call."""

from __future__ import annotations

from dataclasses import dataclass

from voice_app.sandbox.phone.voice import WORDS_PER_SECOND


@dataclass(slots=True, frozen=True)
class Pace:
    """Voices that speak so many words per second; everything else that Twilio times goes as much faster."""

    words_per_second: float = WORDS_PER_SECOND

    def speech(self, text: str) -> float:
        """Seconds on our clock that a text takes to be said."""
        return len(text.split()) / self.words_per_second

    def real(self, seconds: float) -> float:
        """Seconds on our clock that so many seconds of the call take."""
        return seconds * WORDS_PER_SECOND / self.words_per_second

    def simulated(self, seconds: float) -> float:
        """Seconds of the call that so many seconds on our clock were."""
        return seconds * self.words_per_second / WORDS_PER_SECOND
