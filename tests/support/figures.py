"""Figures that a test has measured: printed (``pytest -s`` shows them), and kept in the test's properties."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

Record: TypeAlias = Callable[[str, object], None]
"""pytest's fixture ``record_property``."""


def show(record: Record, title: str, figures: Mapping[str, object]) -> None:
    """Print figures, a line each, and record them."""
    width = max(map(len, figures))
    print(f"\n{title}")  # noqa: T201 - it is what this is for
    for name, value in figures.items():
        print(f"  {name:<{width}}  {value}")  # noqa: T201
        record(name, value)
