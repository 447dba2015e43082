"""What was said on the call so far, as the agent is told it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from voice_app.agents.protocol import Message, Turn
from voice_app.journal import pressed
from voice_app.relay.playback import Speech


@dataclass(slots=True, eq=False)
class Asked:
    """The caller's side."""

    turn: Turn

    @property
    def text(self) -> str:
        if self.turn.kind != "keys":
            return self.turn.text
        return pressed("" if self.turn.sensitive else self.turn.text)


class Dialogue:
    """The stretches of speech of both sides in order, after what earlier sessions of the call held."""

    __slots__ = ("_log", "_past")

    def __init__(self, past: Iterable[Message]) -> None:
        self._past = list(past)
        self._log: list[Asked | Speech] = []

    def add(self, entry: Asked | Speech) -> None:
        self._log.append(entry)

    def retract(self, asked: Asked) -> bool:
        """Take back a question that nothing was said to. Returns whether it was the last thing said."""
        if self._log and self._log[-1] is asked:
            self._log.pop()
            return True
        return False

    def history(self, without: Asked | None = None) -> list[Message]:
        """The conversation as heard, but for the question that is being answered."""
        said = [
            Message("user" if isinstance(entry, Asked) else "assistant", entry.text)
            for entry in self._log
            if entry is not without
        ]
        return self._past + [message for message in said if message.content]
