"""From measurements to the rows of a table: medians, their spread, and what stands beside what."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from support.rivals.measuring import Measurement

LOAD_LIMIT_PERCENT: Final = 90.0
"""From here on the load is taken to have been the limit."""


@dataclass(slots=True, frozen=True)
class Measure:
    """What a value means."""

    key: str
    title: str
    unit: str
    digits: int
    is_time: bool = False
    """Whether it is read from a clock on the wall, so that a load at its limit spoils it."""
    compared: bool = True
    """Whether a ratio says something."""


MEASURES: Final = (
    Measure("cpu_ms_per_turn", "CPU per turn", "ms", 3),
    Measure("first_token_p50_ms", "first token, p50", "ms", 2, is_time=True),
    Measure("first_token_p99_ms", "first token, p99", "ms", 2, is_time=True),
    Measure("stop_p50_ms", "stop after a barge-in, p50", "ms", 2, is_time=True, compared=False),
    Measure("stop_p99_ms", "stop after a barge-in, p99", "ms", 2, is_time=True, compared=False),
    Measure("stale_words", "stale words", "", 0, compared=False),
    Measure("words_ahead", "words ahead of the voice", "", 0, compared=False),
    Measure("cpu_ms_per_webhook", "CPU per webhook", "ms", 3),
    Measure("webhooks_per_second", "webhooks per second", "", 0, is_time=True),
    Measure("webhook_p50_ms", "answer, p50", "ms", 2, is_time=True),
    Measure("webhook_p99_ms", "answer, p99", "ms", 2, is_time=True),
    Measure("kib_per_call", "memory per call", "KiB", 1),
    Measure("ready_seconds", "start to ready", "s", 2, is_time=True),
    Measure("ready_cpu_seconds", "CPU until ready", "s", 2),
    Measure("resident_mib", "memory when ready", "MiB", 0),
    Measure("installed_mb", "installed", "MB", 0),
)


@dataclass(slots=True, frozen=True)
class Spread:
    """The median of some runs, and the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread | None:
        """`None` if there are no values."""
        ranked = sorted(values)
        return cls(statistics.median(ranked), ranked[0], ranked[-1]) if ranked else None

    def text(self, digits: int) -> str:
        """``0.41 (0.39–0.44)``, or the one number if all runs said the same."""
        median, low, high = (f"{value:,.{digits}f}" for value in (self.median, self.low, self.high))
        return median if low == high else f"{median} ({low}–{high})"


@dataclass(slots=True, frozen=True)
class Row:
    """One measure of one scenario."""

    scenario: str
    measure: Measure
    values: dict[str, Spread]
    """By server; one that has none was wrong or could not be measured."""
    ratios: dict[str, Spread]
    """Of the first server to each other one, run by run."""
    limited: tuple[str, ...]
    """Servers whose load was at its limit, if that matters here."""


def rows(measurements: Sequence[Measurement], contestants: Sequence[str]) -> list[Row]:
    """The rows of the table, scenario by scenario; the first server is compared with the others."""
    found = []
    for scenario in dict.fromkeys(item.scenario for item in measurements):
        runs = [item for item in measurements if item.scenario == scenario]
        limited = limited_by_load(runs)
        for measure in MEASURES:
            by_run = {key: _by_run(runs, key, measure.key) for key in contestants}
            values = {key: spread for key in contestants if (spread := Spread.of(by_run[key].values()))}
            if values:
                ratios = _ratios(by_run, contestants) if measure.compared else {}
                slow = limited if measure.is_time else ()
                found.append(Row(scenario, measure, values, ratios, slow))
    return found


def limited_by_load(runs: Sequence[Measurement]) -> tuple[str, ...]:
    """The servers of a scenario that the load could not fill: half of the runs or more were at its limit."""
    loads: dict[str, list[float]] = {}
    for item in runs:
        loads.setdefault(item.contestant, []).append(item.load_cpu_percent)
    return tuple(key for key, load in loads.items() if statistics.median(load) >= LOAD_LIMIT_PERCENT)


def wrong(measurements: Sequence[Measurement]) -> dict[tuple[str, str], list[str]]:
    """What servers did wrong: by server and fault, in which scenarios."""
    found: dict[tuple[str, str], list[str]] = {}
    for item in measurements:
        if item.wrong:
            scenarios = found.setdefault((item.contestant, item.wrong), [])
            if item.scenario not in scenarios:
                scenarios.append(item.scenario)
    return found


def _by_run(runs: Sequence[Measurement], contestant: str, key: str) -> dict[int, float]:
    """The values of a measure, if the server did everything right in every run."""
    own = [item for item in runs if item.contestant == contestant]
    if any(item.wrong for item in own):
        return {}
    return {item.run: value for item in own if (value := item.values.get(key)) is not None}


def _ratios(by_run: dict[str, dict[int, float]], contestants: Sequence[str]) -> dict[str, Spread]:
    first, *others = contestants
    paired = {
        other: Spread.of(
            value / by_run[other][run] for run, value in by_run[first].items() if by_run[other].get(run)
        )
        for other in others
    }
    return {other: spread for other, spread in paired.items() if spread}
