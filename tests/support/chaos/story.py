"""What is known of a chaos run when it is over: calls as their callers know them, and the rest.

Times are of the monotonic clock. A word of an answer names who it is for: ``c12q7w3`` is the third word of
the answer to caller 12's seventh question, ``c12q7end`` the last. So nobody has to guess whose they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal

MARK: Final = re.compile(r"\bc(\d+)q(\d+)(?:w(\d+)|end)\b")
"""A word of an answer: caller, question, number of the word."""
_QUESTION: Final = re.compile(r"Caller (\d+), question (\d+)")

Ending = Literal["", "goodbye", "person", "message", "apology", "gave up", "cut off"]
"""How a call ended: the agent's goodbye, with a person, a message left, an apology of ours; the caller lost
patience, or nobody said anything.
"""


def question(caller: int, number: int, attempt: int = 1) -> str:
    """What a caller asks; what is asked again is told apart."""
    return f"Caller {caller}, question {number}{f', try {attempt}' if attempt > 1 else ''}."


def asked_about(text: str) -> list[tuple[int, int]]:
    """The caller and the number of each question in it: what was said one after another may be one text."""
    return [(int(caller), int(number)) for caller, number in _QUESTION.findall(text)]


@dataclass(slots=True, frozen=True)
class Span:
    """A stretch of time."""

    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass(slots=True, frozen=True)
class FaultWindow:
    """A fault that was in force."""

    fault: str
    began: float
    ended: float
    """Everything was as before again."""
    explains: float
    """The longest silence that it explains, in seconds; 0: none."""
    excuses: str = ""
    """A regular expression for what the phone may complain of meanwhile."""
    deaf: float = 0.0
    """So many seconds a server may read nothing: what is said then may be lost with the line."""
    blind: bool = False
    """Nobody can be asked what was said before: a server that takes a call up does not know it."""
    kills: bool = False
    """A server dies of it, with what it had in memory alone."""

    def meets(self, began: float, ended: float) -> bool:
        return self.began <= ended and began <= self.ended


@dataclass(slots=True)
class CallStory:
    """A call, as its caller knows it."""

    caller: int
    call_sid: str = ""
    said: list[tuple[float, str]] = field(default_factory=list)
    """Everything that the caller said to the agent, and when."""
    answers: list[tuple[float, int]] = field(default_factory=list)
    """Each question whose answer was heard to its end, and when that was."""
    strange: list[str] = field(default_factory=list)
    """What was heard and may not be: other callers' words, garbage, answers to other questions."""
    stale: list[str] = field(default_factory=list)
    """Words of an answer that were sent although the server knew that the caller had cut in."""
    interrupts: int = 0
    silences: list[Span] = field(default_factory=list)
    """Every stretch of more than `proofs.LONGEST_SILENCE` in which the caller waited and heard nothing."""
    sessions: list[float] = field(default_factory=list)
    breaks: list[float] = field(default_factory=list)
    problems: list[tuple[float, str]] = field(default_factory=list)
    """What the phone has to complain about."""
    overlaps: list[str] = field(default_factory=list)
    """Two engines that listened at once."""
    timeline: list[tuple[float, str, str]] = field(default_factory=list)
    """What the phone told of, words aside: when, the kind of event, and its text."""
    ending: Ending = ""
    began: float = 0.0
    ended: float = 0.0


@dataclass(slots=True, frozen=True)
class JournalRow:
    """One entry of the journal, as much of it as the proofs need."""

    id: str
    kind: str
    text: str = ""
    """Of a prompt: what the caller said."""
    once: str = ""
    """What can happen but once on a call, as a session's beginning does; empty: it may happen again."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Sample:
    """A server at one moment."""

    server: str
    pid: int
    at: float
    descriptors: int
    tasks: int
    kib: float
    sessions: int
    lost: int = 0
    """Entries that its journal has lost."""


@dataclass(slots=True)
class ChaosRun:
    """A whole run."""

    seed: int
    seconds: float = 0.0
    calls: list[CallStory] = field(default_factory=list)
    faults: list[FaultWindow] = field(default_factory=list)
    late: list[Span] = field(default_factory=list)
    """Stretches in which the machine had no time for us, who measure."""
    journal: dict[str, list[JournalRow]] = field(default_factory=dict)
    """By CallSid."""
    samples: list[Sample] = field(default_factory=list)
    forgotten: list[tuple[float, int, int]] = field(default_factory=list)
    """When the model was asked without being told of an earlier question, whose, and which."""
    mixed: list[str] = field(default_factory=list)
    """When the model was told of another caller's question."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Faults that this machine cannot have, and why."""
