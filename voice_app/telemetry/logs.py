"""The log: where it goes, and how often what lasts is told."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import Final, Literal

from voice_app.telemetry.log_format import DETAIL, formatter

TALKATIVE: Final = (
    *("uvicorn", "websockets", "asyncio", "aiohttp", "urllib3", "twilio", "httpx", "httpcore", "openai"),
    *("sqlalchemy", "alembic", "dbos", "psycopg", "opentelemetry", "watchfiles", "stamina"),
)
"""Libraries that log what they send and get, with numbers, words and tokens: of them warnings are enough."""
_LOG_AGAIN_SECONDS: Final = 30.0
_COUNT_SECONDS: Final = 60.0


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


class RepeatedLine:
    """A warning about what anybody can have happen as often as they like: at once, then once a minute.

    Belongs to the event loop of who uses it.
    """

    def __init__(self, log: logging.Logger, subject: str) -> None:
        """``subject`` is what happens, in the plural: ``wrong bearer tokens``, say."""
        self._log = log
        self._subject = subject
        self._more = 0
        self._minute: asyncio.TimerHandle | None = None

    def warn(self, text: str, *values: object) -> None:
        """It has happened: tell it, or count it until the minute is over."""
        if self._minute is not None:
            self._more += 1
            return
        self._log.warning(text, *values)
        self._begin_minute()

    def _begin_minute(self) -> None:
        self._minute = asyncio.get_running_loop().call_later(_COUNT_SECONDS, self._tell)

    def _tell(self) -> None:
        self._minute = None
        if self._more:
            self._log.warning("%d more %s in the last %g s", self._more, self._subject, _COUNT_SECONDS)
            self._more = 0
            self._begin_minute()


def configure_logging(
    level: str, form: Literal["auto", "text", "json"] = "text", *, details: bool = False
) -> None:
    """Log to standard error, one line an entry, times in UTC.

    ``auto`` is text on a terminal, and JSON in a file or a pipe. ``details`` are what endpoints and
    exceptions say: they count at the level ``debug`` alone.
    """
    details = details and level == "debug"
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(as_json=as_json, details=details))
    handler.addFilter(lambda record: details or not hasattr(record, *DETAIL))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
