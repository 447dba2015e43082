"""Decides when words that are not final are good enough to begin on.

Partial prompts repeat everything said so far. One that ends a sentence, or comes twice, or is followed by
nothing for a moment, is most likely what the final prompt will say.
"""

from __future__ import annotations

import re
from typing import Final

SECONDS_UNTIL_STABLE: Final = 0.15
MAX_GUESSES: Final = 3
"""Guesses on one prompt; each may cost a request to a model."""
MAX_ENDING: Final = 20
"""Characters at the end of a partial among which a sentence may end."""

_WORD: Final = re.compile(r"\w+(?:['’]\w+)*")
_SENTENCE_END: Final = re.compile(r"[.!?。？！]\W*$")


def normalised(text: str) -> str:
    """What counts when a final prompt is compared with a guess: its words."""
    return " ".join(word.casefold() for word in _WORD.findall(text))


class Guesses:
    """The partials of one prompt."""

    __slots__ = ("_last", "_left", "guess", "text")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """The next prompt begins."""
        self.text = ""
        """The latest partial."""
        self.guess = ""
        """The words that the agent was asked about, normalised; empty: it was not."""
        self._last = ""
        self._left = MAX_GUESSES

    def partial(self, text: str) -> bool:
        """A partial arrived. Returns whether to begin on it now; if not, it may become stable."""
        words = normalised(text)
        self.text = text
        stable = words == self._last
        self._last = words
        return self._worth(words) and (stable or _SENTENCE_END.search(text[-MAX_ENDING:]) is not None)

    def quiet(self) -> bool:
        """Nothing followed the latest partial for a moment. Returns whether to begin on it."""
        return self._worth(self._last)

    def outdated(self) -> bool:
        """Whether the agent was asked about words that the caller has gone beyond."""
        return self.guess not in ("", self._last)

    def begin(self) -> None:
        """The agent is asked about the latest partial."""
        self.guess = self._last
        self._left -= 1

    def right(self, final: str) -> bool:
        """Whether the guess was what the caller said in the end."""
        return bool(self.guess) and normalised(final) == self.guess

    def _worth(self, words: str) -> bool:
        return bool(words) and words != self.guess and self._left > 0
