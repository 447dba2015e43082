"""`ask`: a question in the middle of an agent's turn, asked until its answer is valid and confirmed.

    email = await ask(call, Email())

The caller hears the question, and the agent goes on when they have answered: it is suspended at the ``await``
meanwhile, in an agent's generator or in a tool. What was said is in the history like any other words.
"""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import datetime
from typing import Any, Final, Literal, TypeVar

from voice_app.agents.kinds import AnswerKind, AskContext, YesNo
from voice_app.agents.protocol import AskEndedError, Call, Expected, Floor, Keys, Turn

__all__ = ["AskEndedError", "NoAnswerError", "ask", "ask_in_thread"]

TRIES: Final = 3
WAY_OUT: Final = "*"
"""The key of a caller who would rather not answer."""

_GIVEN: Final = "voice_app.answers"
_BEFORE: Final = "voice_app.answers before the break"
"""Where answers are kept in a call's notes until its turn is over, and after a break. No secrets."""

T = TypeVar("T")


class NoAnswerError(Exception):
    """The caller did not give a valid answer.

    ``reason`` is ``declined`` where they pressed star, ``not-understood`` where the tries were used up.
    """

    def __init__(self, kind: str, reason: Literal["declined", "not-understood"]) -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind = kind
        self.reason = reason


def ask(call: Call, kind: AnswerKind[T], question: str = "", *, tries: int = TRIES) -> Coroutine[Any, Any, T]:
    """Ask the caller, and return their answer once it is valid and they have confirmed it.

    Args:
        call: the call that the agent is on.
        kind: what is asked for, e.g. ``Email()`` or ``Digits(4, secret=True)``.
        question: what is said first; empty: the usual question of this kind.
        tries: how often it is asked, the first time included.

    Raises:
        NoAnswerError: the caller declined, or was not understood in all these tries.
        AskEndedError: the call, its session or the turn was over before.
        RuntimeError: no server runs the agent, or it is a plain generator, which cannot await.
    """
    from voice_app.agents.runner import is_in_agent_thread  # it brings asyncio

    if is_in_agent_thread():
        raise RuntimeError(
            "a plain generator cannot await: write ask_in_thread(call, …) instead of ask(call, …)"
        )
    return _ask(call, kind, question, tries)


def ask_in_thread(call: Call, kind: AnswerKind[T], question: str = "", *, tries: int = TRIES) -> T:
    """`ask` for plain generators (``VOICE_APP_AGENT_THREAD=true``): their thread waits for the answer.

    Raises:
        NoAnswerError: the caller declined, or was not understood in all these tries.
        AskEndedError: the call, its session or the turn was over before.
        RuntimeError: no server runs the agent, or not in a thread.
    """
    from voice_app.agents.runner import wait_in_thread  # it brings asyncio

    return wait_in_thread(lambda: _ask(call, kind, question, tries))


async def _ask(call: Call, kind: AnswerKind[T], question: str, tries: int) -> T:
    if call.floor is None:
        raise RuntimeError("ask needs a call that a server runs: try it with `voice-app call`")
    what = f"{kind!r} {question}"
    is_known_again = type(kind).__repr__ is not object.__repr__ and not kind.secret
    value: T
    if before_the_break := call.state.get(_BEFORE, {}).get(what):
        value = before_the_break.pop(0)
    else:
        value = await _asked(call, call.floor, kind, question, tries)
    if is_known_again:
        call.state.setdefault(_GIVEN, {}).setdefault(what, []).append(value)
    return value


async def _asked(call: Call, floor: Floor, kind: AnswerKind[Any], question: str, tries: int) -> Any:
    before = call.keys
    try:
        return await _Asking(call, floor, kind).run(question, tries)
    finally:
        call.keys = before


def forget_answers(call: Call) -> None:
    """A turn begins: what was answered in the one before is of no use any more."""
    if _GIVEN in call.state or _BEFORE in call.state:
        call.state.pop(_GIVEN, None)
        call.state.pop(_BEFORE, None)


def recall_answers(call: Call) -> None:
    """A turn begins again after a break: what was answered in it is not asked again."""
    call.state[_BEFORE] = call.state.pop(_GIVEN, {})


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
        expected = Expected(
            secret=self._kind.secret,
            patience=kind.patience,
            hints=",".join(kind.hints()),
            pause_ms=kind.pause_ms,
        )
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
