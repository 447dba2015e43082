"""What was said on the call so far, as the agent is told it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, cast

from voice_app.agents.protocol import Message, Turn, TurnKind
from voice_app.calls import HIDDEN_WORDS, HistoryLine, Question, pressed
from voice_app.journal.events import AnswerAwaited, Prompted
from voice_app.relay.playback import Speech

NOTE: Final = "(a note from a colleague, which the caller has not heard: {})"
"""How a note stands in the history."""


@dataclass(slots=True, eq=False)
class Asked:
    """The caller's side."""

    turn: Turn

    @property
    def text(self) -> str:
        if self.turn.kind == "note":
            return NOTE.format(self.turn.text)
        if self.turn.kind != "keys":
            return HIDDEN_WORDS if self.turn.sensitive else self.turn.text
        return pressed("" if self.turn.sensitive else self.turn.text)


class Dialogue:
    """The stretches of speech of both sides in order, after what earlier sessions of the call held.

    What cannot change any more is kept as messages: a turn late in a call costs what the first one did.
    """

    __slots__ = ("_before", "_log", "_past")

    def __init__(self, past: Iterable[HistoryLine]) -> None:
        self._past = [Message(line.role, line.content) for line in past]
        self._before = len(self._past)
        """How many of them earlier sessions held."""
        self._log: list[Asked | Speech] = []

    def came_after(self, past: Iterable[HistoryLine]) -> None:
        """This is what earlier sessions held: more of it has become known."""
        known = [Message(line.role, line.content) for line in past]
        self._past[: self._before] = known
        self._before = len(known)

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
        log, past = self._log, self._past
        while len(log) > 1 and log[0] is not without and _is_settled(log[0]):
            _tell(log.pop(0), past)
        told = past[:]
        for entry in log:
            if entry is not without:
                _tell(entry, told)
        return told


def turn_of(question: Question | AnswerAwaited) -> Turn:
    """What the agent was to answer before the socket was lost, to be asked again."""
    if isinstance(question, AnswerAwaited):
        return Turn(question.text, cast(TurnKind, question.turn), question.language)
    if isinstance(question, Prompted):
        return Turn(question.text, language=question.language)
    return Turn(question.digits, "keys")


def _is_settled(entry: Asked | Speech) -> bool:
    return isinstance(entry, Asked) or entry.over


def _tell(entry: Asked | Speech, messages: list[Message]) -> None:
    if text := entry.text:
        messages.append(Message("user" if isinstance(entry, Asked) else "assistant", text))
