"""What is measured of a call beside what is expected of it, and compared with a baseline.

Times are those of the phone: from the caller's last word to what arrives there, in seconds of the call.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Final, TypeAlias

from voice_app.journal.events import Event, Failed
from voice_app.sandbox.phone import PhoneEvent

LONG_SILENCE_SECONDS: Final = 2.0
"""A silence that a caller takes for a line that is dead."""
LEAST_SECONDS: Final = 0.25
"""What a busy machine adds to a time: that much is never worse."""
Silences: TypeAlias = Sequence[tuple[float, float]]
"""Beginning and end of each, in seconds of the call."""


@dataclass(slots=True, frozen=True, kw_only=True)
class CallMeasures:
    """The measures of one call. What there was nothing of is `None`."""

    turns: int = 0
    """What the caller has said or keyed in until the goal, or the end of the test."""
    first_token_s: float | None = None
    """From the caller's last word to the first of the answer on the wire; the median."""
    ear_to_ear_s: float | None = None
    """From the caller's last word to the sound of the voice; the median."""
    words_per_answer: float | None = None
    interruptions: int = 0
    interruptions_missed: int = 0
    """After which more of the old answer came, or nothing at all: the agent neither spoke nor left."""
    silences: int = 0
    """Of more than two seconds, while the caller waited for the agent."""
    stale_words: int = 0
    """Of an answer that the caller has cut off, and that came too late to be under way then."""
    double_questions: int = 0
    """Answers that ask more than one thing, of which callers answer one."""
    failure_lines: int = 0
    """How often the agent could not answer, and its line for that was said instead."""


@dataclass(slots=True, frozen=True)
class _Measure:
    """One measure. Less of it is better."""

    title: str
    least: float = 0.0
    """A difference up to this is none."""


Figures: TypeAlias = dict[str, float]
"""The measures of all runs of a scenario, by name."""
MEASURES: Final[Mapping[str, _Measure]] = {
    "turns": _Measure("turns to the goal"),
    "first_token_s": _Measure("the first token, seconds", least=LEAST_SECONDS),
    "ear_to_ear_s": _Measure("ear to ear, seconds", least=LEAST_SECONDS),
    "words_per_answer": _Measure("words per answer"),
    "interruptions_missed": _Measure("interruptions that were not handled"),
    "silences": _Measure("silences over 2 s"),
    "stale_words": _Measure("stale words"),
    "double_questions": _Measure("answers that ask two things"),
    "failure_lines": _Measure("failure lines"),
}


def measure(
    happenings: Sequence[tuple[float, PhoneEvent]], events: Iterable[Event], own: Silences
) -> CallMeasures:
    """The measures of a call from what happened on its line and in its journal.

    ``own`` are the silences that the caller has meant.
    """
    answers = _answers(happenings)
    replies = [(at, event.reply) for at, event in happenings if event.reply is not None]
    asked = [reply for _, reply in replies if reply.first_token_ms is not None]
    tokens = [reply.first_token_ms / 1000 for reply in asked if reply.first_token_ms is not None]
    sounds = [reply.silence_ms / 1000 for reply in asked if reply.silence_ms is not None]
    words = [sum(len(text.split()) for text in answer) for answer in answers]
    handled = _interruptions(happenings)
    return CallMeasures(
        turns=_turns(happenings),
        first_token_s=round(median(tokens), 3) if tokens else None,
        ear_to_ear_s=round(median(sounds), 3) if sounds else None,
        words_per_answer=round(mean(words), 1) if words else None,
        interruptions=len(handled),
        interruptions_missed=handled.count(False),
        silences=_silences(happenings, own),
        stale_words=sum(len(event.text.split()) for _, event in happenings if event.kind == "stale"),
        double_questions=sum(_questions(answer) > 1 for answer in answers),
        failure_lines=sum(isinstance(event, Failed) and event.what == "agent" for event in events),
    )


def _answers(happenings: Sequence[tuple[float, PhoneEvent]]) -> list[list[str]]:
    """What the agent said to each thing that the caller did, stretch by stretch."""
    found: list[list[str]] = []
    asked = False
    for _, event in happenings:
        if event.kind in ("caller", "key"):
            asked = True
        elif event.kind in ("agent", "interrupt"):
            if asked:
                found.append([])
            if found:
                found[-1].append(event.text)
            asked = False
    return found


def _turns(happenings: Sequence[tuple[float, PhoneEvent]]) -> int:
    """Sentences of the caller's, and entries: the keys that are pressed one after another are one."""
    kinds = [event.kind for _, event in happenings if event.kind in ("caller", "key", "agent", "interrupt")]
    return sum(
        kind == "caller" or (kind == "key" and before != "key")
        for before, kind in zip(["agent", *kinds], kinds, strict=False)
    )


def _interruptions(happenings: Sequence[tuple[float, PhoneEvent]]) -> list[bool]:
    """Of each, whether it was handled."""
    handled: list[bool] = []
    stale = False
    for _, event in happenings:
        if event.kind == "hung-up":
            break
        if event.kind == "interrupt":
            handled.append(False)
            stale = False
        elif event.kind == "stale":
            stale = True
        elif event.kind in ("agent", "rings", "left", "bridged", "ended") and handled:
            handled[-1] = handled[-1] or not stale
    return handled


def _silences(happenings: Sequence[tuple[float, PhoneEvent]], own: Silences) -> int:
    """How often the caller waited for the agent in silence for too long."""
    found, before = 0, 0.0
    for at, event in happenings:
        if event.reply is not None:
            meant = any(begin < at and end > before for begin, end in own)
            found += not meant and (event.reply.silence_ms or 0.0) > LONG_SILENCE_SECONDS * 1000
        if event.kind in ("agent", "interrupt", "caller", "key"):
            before = at
    return found


def _questions(answer: Sequence[str]) -> int:
    """How many there are in an answer, in any script."""
    text = " ".join(answer)
    return sum(text.count(mark) for mark in "?？؟")


# --- several runs, and a baseline -----------------------------------------------------------------


def figures(runs: Sequence[CallMeasures]) -> Figures:
    """Those of a scenario: the median of its runs, without what none of them had."""
    found: Figures = {}
    for name in MEASURES:
        values = [value for run in runs if (value := getattr(run, name)) is not None]
        if values:
            found[name] = round(median(values), 3)
    return found


class BaselineError(Exception):
    """A baseline cannot be used; the text says why."""


def read_baseline(file: Path) -> dict[str, Figures]:
    """The figures of each scenario: `written_baseline`, or what ``--json`` prints. Raises `BaselineError`."""
    try:
        told = json.loads(file.read_bytes())
    except OSError as error:
        raise BaselineError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise BaselineError(f"{file} is no JSON: {error}") from None
    scenarios = told.get("measures") if isinstance(told, dict) else None
    if not isinstance(scenarios, dict) or not all(
        isinstance(of, dict) and all(type(value) in (int, float) for value in of.values())
        for of in scenarios.values()
    ):
        raise BaselineError(f"{file} is no baseline: write one with --write-baseline {file}")
    return scenarios


def written_baseline(scenarios: Mapping[str, Figures]) -> str:
    """A baseline as JSON that can be read and reviewed."""
    return json.dumps({"measures": scenarios}, indent=1, ensure_ascii=False) + "\n"


def worse(
    scenarios: Mapping[str, Figures], baseline: Mapping[str, Figures], *, tolerance: float
) -> list[str]:
    """What got worse by more than ``tolerance``, a ratio: a line for each measure of each scenario."""
    told: list[str] = []
    for scenario, now in scenarios.items():
        before = baseline.get(scenario, {})
        for name, how in MEASURES.items():
            if name not in now or name not in before:
                continue
            if now[name] - before[name] > max(abs(before[name]) * tolerance, how.least) + 1e-9:
                told.append(f"{scenario}: {how.title}: {now[name]:g}, in the baseline {before[name]:g}")
    return told
