"""Collects key presses into entries."""

from __future__ import annotations

from voice_app.agents.protocol import Keys
from voice_app.journal.events import KeysAwaited

MAX_LENGTH = 100
"""Nobody types more than this in one go."""


def keys_of(event: KeysAwaited) -> Keys:
    """How an agent wanted keys to be collected, in an earlier session of the call."""
    return Keys(event.length, event.terminator, event.seconds, sensitive=event.sensitive)


class Keypad:
    """The keys of an entry that is not complete yet."""

    __slots__ = ("digits",)

    def __init__(self, digits: str = "") -> None:
        self.digits = digits

    def press(self, key: str, keys: Keys) -> str | None:
        """Add a key. Returns the entry if it is complete; a terminator alone is an entry of its own."""
        if key == keys.terminator:
            return self.take() or key
        self.digits += key
        if len(self.digits) >= (keys.length or MAX_LENGTH):
            return self.take()
        return None

    def take(self) -> str:
        """The keys so far, as the entry. The next one begins empty."""
        digits, self.digits = self.digits, ""
        return digits
