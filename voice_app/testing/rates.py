"""How often runs passed, and what that says of the next one: rates with their intervals, not one verdict."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Final

from voice_app.testing.judge import CriterionVerdict
from voice_app.testing.rehearsal import Rehearsed

CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class SuccessRate:
    """So many of so many."""

    passed: int
    of: int

    @property
    def share(self) -> float:
        """From 0 to 1; 0 of nothing."""
        return self.passed / self.of if self.of else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Where the true share lies with 95 % confidence (Wilson's score interval); of nothing, anywhere."""
        if not self.of:
            return 0.0, 1.0
        z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
        middle = self.share + z * z / (2 * self.of)
        reach = z * math.sqrt(self.share * (1 - self.share) / self.of + z * z / (4 * self.of**2))
        scale = 1 + z * z / self.of
        return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)

    def __str__(self) -> str:
        return f"{self.passed}/{self.of}"


@dataclass(frozen=True, slots=True)
class ScenarioRate:
    """What came of all runs of a scenario. Those that were broken off because of their cost do not count."""

    name: str
    runs: list[Rehearsed]
    criteria: dict[str, SuccessRate] = field(default_factory=dict)

    @property
    def rate(self) -> SuccessRate:
        counted = [run for run in self.runs if not run.stopped]
        return SuccessRate(sum(run.passed for run in counted), len(counted))

    @property
    def at_least(self) -> float:
        """The share that has to pass."""
        return self.runs[0].at_least

    @property
    def passed(self) -> bool:
        return self.rate.of > 0 and self.rate.share >= self.at_least


def rates_of(results: Sequence[Rehearsed]) -> list[ScenarioRate]:
    """By scenario, in the order of the results."""
    found: defaultdict[str, list[Rehearsed]] = defaultdict(list)
    for result in results:
        found[result.name].append(result)
    return [ScenarioRate(name, runs, _criteria(runs)) for name, runs in found.items()]


def _criteria(runs: Sequence[Rehearsed]) -> dict[str, SuccessRate]:
    """Of each criterion that was judged."""
    verdicts: defaultdict[str, list[CriterionVerdict]] = defaultdict(list)
    for run in runs:
        for verdict in run.verdicts:
            verdicts[verdict.name].append(verdict)
    rates = {}
    for name, found in verdicts.items():
        judged = [verdict for verdict in found if verdict.by]
        rates[name] = SuccessRate(sum(not verdict.fails for verdict in judged), len(judged))
    return rates
