"""Families of Prometheus metrics that are declared once and made when they are first used.

A command that counts nothing never imports `prometheus_client`. What was counted is kept in a registry that
`MetricSet.reset` throws away, as tests do. Every family has a bound on its series, so that no label's value
can fill the memory: whatever comes beyond it is counted as ``other``.
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
    from prometheus_client.metrics import MetricWrapperBase

SHARED_METRICS: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The folder in which several workers keep their metrics: each can then tell those of all."""
MAX_SERIES: Final = 64
"""Combinations of labels of one family; those beyond are ``other``."""
OTHER: Final = "other"

Workers: TypeAlias = Literal["livesum", "livemax", "livemin", "max"]
"""What a gauge of several workers is: their sum, or the highest or lowest of those that live."""

T = TypeVar("T", bound="MetricWrapperBase")
F = TypeVar("F", bound="Family[Any]")


class Family(Generic[T]):
    """One metric, with all of its series."""

    kind: str

    def __init__(
        self, of: MetricSet, name: str, text: str, labels: Sequence[str] = (), **options: Any
    ) -> None:
        self.name = name
        self.text = text
        self.label_names = tuple(labels)
        self._of = of
        self._options = options
        self._made: T | None = None
        self._series: dict[tuple[str, ...], T] = {}

    def labels(self, *values: str) -> T:
        """The series with these values of the labels, in their order."""
        found = self._series.get(values)
        if found is None:
            if len(self._series) >= MAX_SERIES:
                values = (OTHER,) * len(values)
            found = self._series[values] = self._metric().labels(*values)
        return found

    def begin(self) -> None:
        """Tell 0 from now on, where the family has no labels: what has not happened yet is known, too."""
        self._metric()

    def forget(self) -> None:
        """Begin again, in an empty registry."""
        self._made = None
        self._series.clear()

    def _metric(self) -> T:
        if self._made is None:
            with self._of.making:
                if self._made is None:  # no other thread has been quicker
                    declared = (self.name, self.text, self.label_names)
                    self._made = self._make(*declared, registry=self._of.registry, **self._options)
        return self._made

    def _make(self, *declared: Any, **options: Any) -> T:
        raise NotImplementedError

    def samples(self) -> list[str]:
        """The names under which Prometheus knows its series."""
        return [self.name]


class CounterFamily(Family["Counter"]):
    """How often something happened, or how much of it there was."""

    kind = "counter"

    def inc(self, amount: float = 1) -> None:
        """Count, where the family has no labels."""
        self._metric().inc(amount)

    def counted(self) -> dict[tuple[str, ...], float]:
        """What this process has counted so far, by the values of the labels."""
        made = [] if self._made is None else self._made.collect()
        return {
            tuple(sample.labels[name] for name in self.label_names): sample.value
            for metric in made
            for sample in metric.samples
            if sample.name.endswith("_total")
        }

    def _make(self, *declared: Any, **options: Any) -> Counter:
        from prometheus_client import Counter

        return Counter(*declared, **options)


class GaugeFamily(Family["Gauge"]):
    """How it stands now."""

    kind = "gauge"

    def set(self, value: float) -> None:
        """Tell how it stands, where the family has no labels."""
        self._metric().set(value)

    def add(self, amount: float) -> None:
        """Move it, where the family has no labels."""
        self._metric().inc(amount)

    def _make(self, *declared: Any, **options: Any) -> Gauge:
        from prometheus_client import Gauge

        return Gauge(*declared, **options)


@cache
def _quick_histogram() -> type[Histogram]:
    """A histogram that finds a bucket without a look at each: every turn has several measurements."""
    from prometheus_client import Histogram

    class QuickHistogram(Histogram):
        def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
            if exemplar is not None:
                super().observe(amount, exemplar)
                return
            self._sum.inc(amount)
            self._buckets[bisect_left(self._upper_bounds, amount)].inc(1)

    return QuickHistogram


class HistogramFamily(Family["Histogram"]):
    """How long something took, in seconds."""

    kind = "histogram"

    def observe(self, seconds: float) -> None:
        """Take in a measurement, where the family has no labels."""
        self._metric().observe(seconds)

    def _make(self, *declared: Any, **options: Any) -> Histogram:
        return _quick_histogram()(*declared, **options)

    def samples(self) -> list[str]:
        return [f"{self.name}_{part}" for part in ("bucket", "sum", "count")]


class MetricSet:
    """The families that were declared together, and what this process has counted in them."""

    def __init__(self) -> None:
        self.families: list[Family[Any]] = []
        """In the order of their declaration."""
        self.making: Final = threading.RLock()
        """A registry takes a family once: whoever makes one holds this."""
        self._registry: CollectorRegistry | None = None

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> CounterFamily:
        """Declare how often something happens. ``name`` ends in ``_total``."""
        return self._declare(CounterFamily(self, name, text, labels))

    def gauge(self, name: str, text: str, labels: Sequence[str] = (), *, workers: Workers) -> GaugeFamily:
        """Declare how something stands."""
        return self._declare(GaugeFamily(self, name, text, labels, multiprocess_mode=workers))

    def histogram(
        self, name: str, text: str, labels: Sequence[str] = (), *, buckets: Sequence[float]
    ) -> HistogramFamily:
        """Declare how long something takes. ``buckets`` are their upper ends in seconds."""
        return self._declare(HistogramFamily(self, name, text, labels, buckets=tuple(buckets)))

    def _declare(self, family: F) -> F:
        self.families.append(family)
        return family

    @property
    def registry(self) -> CollectorRegistry:
        """What was counted since `reset`."""
        with self.making:
            if self._registry is None:
                from prometheus_client import CollectorRegistry

                self._registry = CollectorRegistry()
            return self._registry

    def reset(self) -> None:
        """Forget everything that was counted."""
        self._registry = None
        for family in self.families:
            family.forget()

    def sample(self, name: str, /, **labels: str) -> float:
        """One value as Prometheus would read it; 0 where nothing was counted yet."""
        return self.registry.get_sample_value(name, labels) or 0.0

    def exposition(self) -> bytes:
        """All metrics in the Prometheus text format, of all workers together."""
        from prometheus_client import CollectorRegistry, generate_latest

        for family in self.families:
            family.begin()
        if SHARED_METRICS not in os.environ:
            return generate_latest(self.registry)
        from prometheus_client.multiprocess import MultiProcessCollector

        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)
