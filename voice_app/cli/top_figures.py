"""Figures of running servers out of what they told at two times: pure, for ``voice-app top``."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

WINDOW_SECONDS: Final = 60.0
"""Rates and percentiles are those of this time; a server that was just found is told since its start."""

Series: TypeAlias = tuple[str, frozenset[tuple[str, str]]]
"""A sample's name and labels."""
Samples: TypeAlias = Mapping[Series, float]


@dataclass(frozen=True, slots=True)
class Reading:
    """What one server told at one time."""

    url: str
    at: float
    """Seconds of a clock that only goes on."""
    state: str
    samples: Samples = field(default_factory=dict)
    reachable: bool = True


@dataclass(frozen=True, slots=True)
class Figures:
    """One server, or a whole fleet. None is what nobody can know yet."""

    server: str
    state: str
    reachable: bool
    seconds: float | None = None
    """The time of the rates and percentiles; None: all since the start."""
    calls: int | None = None
    turns: int | None = None
    turns_per_second: float | None = None
    interruptions: int | None = None
    first_token_ms: tuple[float, float] | None = None
    """p50 and p95, from what the caller said to the first word on the wire."""
    sound_ms: tuple[float, float] | None = None
    """p50 and p95, from what the caller said to the voice."""
    lag_ms: float | None = None
    """The longest stall of the event loop in the last minute."""
    journal_up: bool | None = None
    journal_waiting: int | None = None
    journal_spooled: int | None = None
    agent_errors: int | None = None
    model_errors: int | None = None
    tool_errors: int | None = None
    findings: int | None = None


def parse(text: str) -> dict[Series, float]:
    """The samples of an exposition in the Prometheus text format. Raises ValueError if it is none."""
    from prometheus_client.parser import text_string_to_metric_families

    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def increase(newer: Samples, older: Samples) -> dict[Series, float]:
    """What was counted between two readings. A counter that is lower began again, in a new process."""
    return {
        series: value - before if (before := older.get(series, 0.0)) <= value else value
        for series, value in newer.items()
    }


def added(readings: Iterable[Samples]) -> dict[Series, float]:
    """The sum of each series over servers."""
    total: dict[Series, float] = {}
    for samples in readings:
        for series, value in samples.items():
            total[series] = total.get(series, 0.0) + value
    return total


def percentile(samples: Samples, stage: str, share: float) -> float | None:
    """Seconds within which this share of a stage was, even within a bucket; None where nothing was measured.

    Beyond the last bucket it is that bucket's upper end, as Prometheus has it.
    """
    buckets = sorted(
        (float(dict(labels)["le"]), count)
        for (name, labels), count in samples.items()
        if name == "voice_app_stage_seconds_bucket" and ("stage", stage) in labels
    )
    if not buckets or not buckets[-1][1]:
        return None
    wanted = share * buckets[-1][1]
    low = below = 0.0
    for high, count in buckets:
        if count >= wanted and count > below:
            return low if high == float("inf") else low + (high - low) * (wanted - below) / (count - below)
        low, below = high, count
    return low


def figures_of(newest: Reading, oldest: Reading | None) -> Figures:
    """A server's figures; rates and percentiles are those since its oldest reading, or since its start."""
    counted = increase(newest.samples, oldest.samples) if oldest else newest.samples
    return _figures(newest, newest.samples, counted, newest.at - oldest.at if oldest else None)


def total_of(windows: Iterable[tuple[Reading, Reading | None]]) -> Figures:
    """The figures of a fleet: sums, the percentiles of all its turns, the worst lag; findings are shared."""
    found = list(windows)
    reached = [(newest, oldest) for newest, oldest in found if newest.reachable]
    each = [figures_of(newest, oldest) for newest, oldest in reached]
    together = Reading("total", 0.0, f"{len(reached)} of {len(found)} reachable", reachable=bool(reached))
    times = [figures.seconds for figures in each if figures.seconds]
    counted = added(increase(new.samples, old.samples) if old else new.samples for new, old in reached)
    now = added(newest.samples for newest, _ in reached)
    for name in ("voice_app_loop_lag_longest_seconds", "voice_app_findings"):
        for series in [series for series in now if series[0] == name]:
            now[series] = max(newest.samples.get(series, 0.0) for newest, _ in reached)
    series = ("voice_app_journal_up", frozenset[tuple[str, str]]())
    now[series] = min((newest.samples.get(series, 1.0) for newest, _ in reached), default=0.0)
    whole = len(times) == len(reached) and bool(times)
    return _figures(together, now, counted, max(times) if whole else None)


def _figures(reading: Reading, now: Samples, counted: Samples, seconds: float | None) -> Figures:
    if not reading.reachable:
        return Figures(reading.url, reading.state, False)

    def total(name: str, samples: Samples = now, **one_of: tuple[str, ...]) -> int:
        wanted = {(label, value) for label, values in one_of.items() for value in values}
        return round(
            sum(
                value
                for (found, labels), value in samples.items()
                if found == name and (not wanted or wanted & labels)
            )
        )

    def milliseconds(stage: str) -> tuple[float, float] | None:
        middle, high = percentile(counted, stage, 0.5), percentile(counted, stage, 0.95)
        return None if middle is None or high is None else (round(middle * 1000, 1), round(high * 1000, 1))

    turns = total("voice_app_turns_total", counted)
    lag = now.get(("voice_app_loop_lag_longest_seconds", frozenset()), 0.0)
    return Figures(
        reading.url,
        reading.state,
        True,
        seconds=seconds and round(seconds, 1),
        calls=total("voice_app_calls_open"),
        turns=turns,
        turns_per_second=round(turns / seconds, 2) if seconds else None,
        interruptions=total("voice_app_interruptions_total", counted),
        first_token_ms=milliseconds("prompt_to_first_token"),
        sound_ms=milliseconds("prompt_to_sound"),
        lag_ms=round(lag * 1000, 1),
        journal_up=bool(total("voice_app_journal_up")),
        journal_waiting=total("voice_app_journal_waiting"),
        journal_spooled=total("voice_app_journal_spooled"),
        agent_errors=total("voice_app_agent_failures_total", counted),
        model_errors=total("voice_app_model_errors_total", counted),
        tool_errors=total("voice_app_tool_seconds_count", counted, outcome=("error", "unknown")),
        findings=total("voice_app_findings"),
    )


class Fleet:
    """The readings of servers within the last `WINDOW_SECONDS`."""

    def __init__(self, urls: Iterable[str]) -> None:
        self._kept: dict[str, deque[Reading]] = {url: deque() for url in urls}

    def add(self, readings: Iterable[Reading]) -> None:
        """Take in a reading of each server. One that could not be reached begins again."""
        for reading in readings:
            kept = self._kept[reading.url]
            if not reading.reachable or (kept and not kept[-1].reachable):
                kept.clear()
            kept.append(reading)
            while len(kept) > 2 and reading.at - kept[1].at >= WINDOW_SECONDS:
                kept.popleft()

    def figures(self) -> tuple[list[Figures], Figures | None]:
        """A row for each server, and the total where there are several."""
        windows = [(kept[-1], kept[0] if len(kept) > 1 else None) for kept in self._kept.values() if kept]
        rows = [figures_of(newest, oldest) for newest, oldest in windows]
        return rows, total_of(windows) if len(rows) > 1 else None
