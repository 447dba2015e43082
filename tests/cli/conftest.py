from __future__ import annotations

from collections.abc import Iterator

import pytest
import stamina


@pytest.fixture(autouse=True)
def _nobody_waits_between_attempts() -> Iterator[None]:
    """Where nobody answers a command it asks as often as ever, and again at once."""
    with stamina.set_testing(True, attempts=10, cap=True):
        yield
