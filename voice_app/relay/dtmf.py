"""Collects key presses into entries: what the caller types becomes one turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from voice_app.agents.protocol import Call, Keys, Turn
from voice_app.journal import events
from voice_app.relay.timers import Timers

MAX_KEYS: Final = 100
"""Nobody types more than this in one go."""


class KeyEntry:
    """The entry that is being typed on a call, as ``call.keys`` wants it collected.

    ``taken`` gets the turn that a complete entry is. ``before`` is how an earlier session of the call
    collected keys, and ``digits`` what was typed in it.
    """

    __slots__ = ("_call", "_digits", "_keys", "_record", "_taken", "_timers")

    def __init__(
        self,
        call: Call,
        timers: Timers,
        *,
        before: events.KeysAwaited | None,
        digits: str,
        record: Callable[[events.Event], None],
        taken: Callable[[Turn, float], None],
    ) -> None:
        if before is not None:
            call.keys = Keys(before.length, before.terminator, before.seconds, sensitive=before.sensitive)
        self._call = call
        self._timers = timers
        self._digits = digits
        self._keys = call.keys
        self._record = record
        self._taken = taken

    def resume(self, now: float) -> None:
        """Keys were pressed before the socket was lost: the caller may be pressing on."""
        if self._digits:
            self._timers.set(self._is_over, now + self._call.keys.seconds)

    def note_change(self) -> None:
        """Tell the journal if the agent has changed how keys are collected: they may be secrets now."""
        before, self._keys = self._keys, self._call.keys
        if (keys := self._keys) is not before and keys != before:
            self._record(events.KeysAwaited(keys.length, keys.terminator, keys.seconds, keys.sensitive))

    def press(self, key: str, now: float) -> None:
        """A key was pressed. A terminator alone is an entry of its own."""
        self.note_change()
        keys = self._keys
        ends = key == keys.terminator
        if not ends:
            self._digits += key
        if ends or len(self._digits) >= (keys.length or MAX_KEYS):
            self._take(self._digits or key, now)
            return
        self._timers.set(self._is_over, now + keys.seconds)
        if not keys.sensitive:
            self._record(events.Typing(self._digits))

    def _is_over(self, now: float) -> None:
        """No key has followed for so long that the entry is complete."""
        self._take(self._digits, now)

    def _take(self, digits: str, now: float) -> None:
        self._digits = ""
        self._timers.cancel(self._is_over)
        sensitive = self._call.keys.sensitive
        self._record(events.Pressed("" if sensitive else digits))
        self._taken(Turn(digits, "keys", sensitive=sensitive), now)
