"""Which cores of this machine serve, and which put them under load."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class Cores:
    """Sets of cores; empty ones where there is nothing to divide."""

    server: frozenset[int]
    load: frozenset[int]
    model: frozenset[int]

    @property
    def divided(self) -> bool:
        """Whether the server has a core that nobody else uses."""
        return bool(self.server)

    @property
    def model_shares(self) -> bool:
        """Whether the stub model runs on the load's core."""
        return self.model == self.load


def divide(available: set[int]) -> Cores:
    """One core for the server, one for the load, one for the stub model, as far as there are so many."""
    ranked = sorted(available, reverse=True)
    if len(ranked) < 2:
        return Cores(frozenset(), frozenset(), frozenset())
    server, load, *others = ranked
    return Cores(frozenset({server}), frozenset({load}), frozenset(others[:1] or {load}))


def of_this_machine() -> Cores:
    """The cores that this process may use, divided. None are where the system cannot tell."""
    return divide(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else divide(set())


def pin(pid: int, cores: frozenset[int]) -> None:
    """Keep a process (0: this one) on some cores; on any where none are named."""
    if cores:
        os.sched_setaffinity(pid, cores)
