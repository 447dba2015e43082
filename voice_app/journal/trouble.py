"""What is told of a trouble: once when it begins, and then now and then."""

from __future__ import annotations

import time
from typing import Final

_SAY_AGAIN_S: Final = 30.0


class Trouble:
    """Something that may go wrong for a while."""

    def __init__(self) -> None:
        self.on = False
        self._said_at: float | None = None

    def worth_saying(self) -> bool:
        """Whether it is time to tell of it."""
        now = time.monotonic()
        if self._said_at is not None and now - self._said_at < _SAY_AGAIN_S:
            return False
        self._said_at = now
        return True

    def over(self) -> bool:
        """There is none from now on. Whether there was one that was told of."""
        told, self._said_at = self._said_at is not None, None
        self.on = False
        return told
