"""The log: where it goes, and how often what lasts is told."""

from __future__ import annotations

import logging
import sys
import time
from typing import Final

_LOG_AGAIN_SECONDS: Final = 30.0


class LogThrottle:
    """A condition that may last for a while: logged when it begins, and then twice a minute."""

    def __init__(self) -> None:
        self.on = False
        self._logged_at: float | None = None

    def is_due(self) -> bool:
        """Whether to log it now. True counts as logged."""
        now = time.monotonic()
        if self._logged_at is not None and now - self._logged_at < _LOG_AGAIN_SECONDS:
            return False
        self._logged_at = now
        return True

    def end(self) -> bool:
        """The condition is over. Whether it had been logged."""
        logged, self._logged_at = self._logged_at is not None, None
        self.on = False
        return logged


def configure_logging(level: str) -> None:
    """Log to standard error, one line an entry, times in UTC."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter(
        "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # uvicorn logs the path of every socket, and with it the token
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
