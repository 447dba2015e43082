"""What load finds out. A null is not a zero: what could not be measured is `None`; ``unknown`` says why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True, frozen=True)
class LatencyFigures:
    """Milliseconds. The percentiles are nearest-rank: values that did occur."""

    samples: int
    p50_ms: float
    p99_ms: float
    max_ms: float


def latency(samples: Sequence[float], *, less_ms: float = 0.0) -> LatencyFigures | None:
    """The percentiles of samples in milliseconds, each less a constant; `None` if there are none."""
    if not samples:
        return None
    ranked = sorted(samples)

    def percentile(share: float) -> float:
        return round(ranked[math.ceil(share * len(ranked)) - 1] - less_ms, 3)

    return LatencyFigures(len(ranked), percentile(0.5), percentile(0.99), percentile(1.0))


@dataclass(slots=True, kw_only=True)
class TalkFigures:
    """What talking cost."""

    calls: int
    turns: int
    seconds: float
    turns_per_second: float
    first_token: LatencyFigures | None
    """From a prompt to the first words of its reply, less the agent's own delay."""
    server_cpu_ms_per_turn: float | None
    cpu_grain_ms_per_turn: float
    """The kernel counts CPU time in ticks: one tick, spread over the turns."""
    server_cpu_percent: float | None
    """Of one core."""
    client_cpu_percent: float
    """Of one core. Near 100 the client was the bottleneck: trust the CPU per turn, not the times."""
    kib_per_call: float | None
    """Resident memory with all calls open and silent, less that without them, for each call."""
    interrupts: int
    under_way_words: int
    """Words of interrupted replies that were under way when the server heard of the interruption."""
    stale_words: int | None
    """Words of interrupted replies that were sent although the server had heard of it."""
    stop: LatencyFigures | None
    """From an interruption to the last word of its reply that still came; 0 where none did."""
    words_ahead: float | None
    """At an interruption: words that had come and no voice would have said by then. The median."""
    wrong_replies: int
    """Complete replies that named another turn, or lacked words."""
    unanswered_turns: int
    unknown: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class IdleFigures:
    """What calls cost that are open and silent."""

    calls: int
    rss_before_kib: float | None
    rss_with_calls_kib: float | None
    kib_per_call: float | None
    unknown: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class WebhookFigures:
    """What answering voice webhooks cost."""

    requests: int
    connections: int
    seconds: float
    per_second: float
    answer: LatencyFigures | None
    """From the request to the whole answer."""
    server_cpu_ms_per_webhook: float | None
    cpu_grain_ms_per_webhook: float
    client_cpu_percent: float
    refused: dict[str, int]
    """How many answers were not 200, by status."""
    unknown: dict[str, str] = field(default_factory=dict)


def each(value: float | None, scale: float, count: float) -> float | None:
    """A figure spread over what it was measured for: calls, turns, seconds. What is unknown stays so."""
    return None if value is None else round(value * scale / count, 3)
