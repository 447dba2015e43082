"""Logs and metrics. Neither ever holds what was said, a phone number, or a secret: ids only."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

SHARED_METRICS: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The folder in which several workers keep their metrics: each can then tell those of all."""

_LOG_AGAIN_SECONDS: Final = 30.0

REGISTRY = CollectorRegistry()

CALLS = Counter("voice_app_calls_total", "Calls that were answered", registry=REGISTRY)
SESSIONS = Gauge(
    "voice_app_sessions_open",
    "ConversationRelay sessions open now",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
TASKS = Gauge(
    "voice_app_tasks",
    "Tasks of the event loop when this was read",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
LAG = Gauge(
    "voice_app_loop_lag_seconds",
    "How late the event loop is with its work: the median of the last samples",
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
LONGEST_LAG = Gauge(
    "voice_app_loop_lag_longest_seconds",
    "The longest stall of the event loop in the last minute",
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
LOOP_BLOCKS = Counter(
    "voice_app_loop_blocks_total",
    "How often something, such as an agent, blocked the event loop: the log names it",
    registry=REGISTRY,
)
LOOP_BLOCKED_SECONDS = Counter(
    "voice_app_loop_blocked_seconds_total", "How long the event loop was blocked in all", registry=REGISTRY
)
TAKING_CALLS = Gauge(
    "voice_app_taking_calls",
    "How many processes take new calls: not those that are full or draining",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
TURNED_AWAY = Counter(
    "voice_app_calls_turned_away_total",
    "New calls not taken, and what they got",
    ["why", "to"],
    registry=REGISTRY,
)
PURGED = Counter(
    "voice_app_calls_purged_total", "Calls erased from the journal because of their age", registry=REGISTRY
)
RECONNECTED = Counter(
    "voice_app_sessions_reconnected_total", "Sessions that Twilio came back to", registry=REGISTRY
)
RESUMED = Counter("voice_app_sessions_resumed_total", "Broken sessions taken up again", registry=REGISTRY)
REFUSED = Counter(
    "voice_app_requests_refused_total", "Requests that were not Twilio's", ["what"], registry=REGISTRY
)
MALFORMED = Counter("voice_app_frames_malformed_total", "Frames that were not understood", registry=REGISTRY)
AGENT_FAILURES = Counter(
    "voice_app_agent_failures_total", "Turns in which the agent failed", registry=REGISTRY
)

GUESSES = Counter(
    "voice_app_speculations_total", "Answers begun before the caller was done", ["outcome"], registry=REGISTRY
)
SAVED_SECONDS = Counter(
    "voice_app_speculation_saved_seconds_total", "By how much right guesses were earlier", registry=REGISTRY
)

GUARD_CHECKS = Counter("voice_app_guard_checks_total", "Checks while running", ["verdict"], registry=REGISTRY)
GUARD_REFUSALS = Gauge(
    "voice_app_guard_refusals",
    "Rules that refuse new calls now",
    ["rule"],
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
CALL_ALARMS = Counter(
    "voice_app_call_alarms_total", "Calls on which the guard saw a mistake", ["rule"], registry=REGISTRY
)

JOURNAL_UP = Gauge("voice_app_journal_up", "Whether the journal's database takes entries", registry=REGISTRY)
JOURNAL_WAITING = Gauge(
    "voice_app_journal_waiting", "Entries that are not in the database yet", registry=REGISTRY
)
JOURNAL_SPOOLED = Gauge("voice_app_journal_spooled", "Those of them that are on the disk", registry=REGISTRY)
JOURNAL_LOST = Counter("voice_app_journal_lost_total", "Entries that were lost", registry=REGISTRY)

FOLLOW_UPS = Counter(
    "voice_app_follow_ups_total", "What the work after calls came to", ["step", "outcome"], registry=REGISTRY
)
FOLLOW_UP_RETRIES = Counter(
    "voice_app_follow_up_retries_total", "Attempts that have to be made again", ["step"], registry=REGISTRY
)


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


def metrics() -> bytes:
    """All metrics in the Prometheus text format, of all workers together. Called on the event loop."""
    TASKS.set(len(asyncio.all_tasks()))
    if SHARED_METRICS not in os.environ:
        return generate_latest(REGISTRY)
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    return generate_latest(together)


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
