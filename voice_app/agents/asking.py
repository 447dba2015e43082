"""`ask`: a question in the middle of an agent's turn, asked until its answer is valid and confirmed.

    email = await ask(call, Email())

The caller hears the question, and the agent goes on when they have answered: it is suspended at the ``await``
meanwhile, in an agent's generator or in a tool. What was said is in the history like any other words.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal, TypeVar

from voice_app.agents.kinds import AnswerKind, AskContext, YesNo
from voice_app.agents.protocol import AskEndedError, Call, Expected, Floor, Keys, Turn

__all__ = ["AskEndedError", "NoAnswerError", "ask"]

TRIES: Final = 3
WAY_OUT: Final = "*"
"""The key of a caller who would rather not answer."""

T = TypeVar("T")


class NoAnswerError(Exception):
    """The caller did not give a valid answer.

    ``reason`` is ``declined`` where they pressed star, ``not-understood`` where the tries were used up.
    """

    def __init__(self, kind: str, reason: Literal["declined", "not-understood"]) -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind = kind
        self.reason = reason


async def ask(call: Call, kind: AnswerKind[T], question: str = "", *, tries: int = TRIES) -> T:
    """Ask the caller, and return their answer once it is valid and they have confirmed it.

    Args:
        call: the call that the agent is on.
        kind: what is asked for, e.g. ``Email()`` or ``Digits(4, secret=True)``.
        question: what is said first; empty: the usual question of this kind.
        tries: how often it is asked, the first time included.

    Raises:
        NoAnswerError: the caller declined, or was not understood in all these tries.
        AskEndedError: the call, its session or the turn was over before.
        RuntimeError: no server runs the agent.
    """
    if call.floor is None:
        raise RuntimeError("ask needs a call that a server runs: try it with `voice-app call`")
    asking = _Asking(call, call.floor, kind)
    before = call.keys
    try:
        value: T = await asking.run(question, tries)
        return value
    finally:
        call.keys = before


class _Asking:
    """One question with its tries."""

    def __init__(self, call: Call, floor: Floor, kind: AnswerKind[Any]) -> None:
        self._call = call
        self._floor = floor
        self._kind = kind
        self._language = floor.language
        self._said_before = ""

    @property
    def _line(self) -> AskContext:
        return AskContext(
            self._language, self._call.caller, self._call.number, datetime.now().astimezone().date()
        )

    async def run(self, question: str, tries: int) -> Any:
        kind, line = self._kind, self._line
        words = question or line.words.questions[kind.name].format(**kind.values(line))
        for number in range(1, tries + 1):
            value = self._value(await self._listen(words, kind))
            if value is not None:
                value, sorry = await self._confirmed(value, spelt=number > 1)
                if value is not None:
                    return value
            else:
                sorry = self._line.words.phrases["sorry"]
            words = f"{sorry} {self._again(last=number + 1 >= tries)}"
        raise NoAnswerError(kind.name, "not-understood")

    async def _confirmed(self, value: Any, *, spelt: bool) -> tuple[Any, str]:
        """The value that the caller confirms, or None and what is said next.

        A caller who says another value instead of yes or no has corrected it.
        """
        kind, line = self._kind, self._line
        if not kind.read_back or kind.secret:
            return value, ""
        for _ in range(2):
            said = kind.said(value, line, spelt=spelt)
            turn = await self._listen(line.words.phrases["confirm"].format(value=said), YesNo())
            if turn.kind == "speech" and (other := kind.heard(turn.text, line)) not in (None, value):
                value = other
                continue
            answer = _value(YesNo(), turn, line)
            if answer is None and turn.kind == "keys":
                answer = kind.typed(turn.text, line) == value
            if answer is not None:
                return (value, "") if answer else (None, line.words.phrases["corrected"])
        return None, line.words.phrases["sorry"]

    def _again(self, *, last: bool) -> str:
        kind, line = self._kind, self._line
        parts = [line.words.again[kind.name].format(**kind.values(line)), kind.typing_hint(line)]
        if last:
            parts.append(line.words.phrases["out"])
        return " ".join(dict.fromkeys(filter(None, parts)))

    async def _listen(self, words: str, kind: AnswerKind[Any]) -> Turn:
        """Ask once. Silence, and a question that was cut off by a noise, have it asked again."""
        call, floor = self._call, self._floor
        call.keys = kind.keys() or Keys(length=1)
        expected = Expected(secret=self._kind.secret, patience=kind.patience)
        for _ in range(TRIES):
            turn = await floor.exchange(words, expected)
            if turn.kind in ("speech", "keys"):
                break
        self._language = turn.language or self._language
        if turn.kind == "keys" and turn.text == WAY_OUT:
            raise NoAnswerError(self._kind.name, "declined")
        return turn

    def _value(self, turn: Turn) -> Any:
        """The value of an answer, or of the last two together: who spells makes pauses."""
        kind, line = self._kind, self._line
        value = _value(kind, turn, line)
        if value is None and turn.kind == "speech" and self._said_before:
            value = kind.heard(f"{self._said_before} {turn.text}", line)
        self._said_before = turn.text if value is None and turn.kind == "speech" else ""
        return value


def _value(kind: AnswerKind[T], turn: Turn, line: AskContext) -> T | None:
    return kind.typed(turn.text, line) if turn.kind == "keys" else kind.heard(turn.text, line)
