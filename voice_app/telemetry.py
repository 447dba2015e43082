"""Logs and metrics. Neither ever holds what was said, a phone number, or a secret: ids only."""

from __future__ import annotations

import asyncio
import logging
import sys
import time

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

REGISTRY = CollectorRegistry()

CALLS = Counter("voice_app_calls_total", "Calls that were answered", registry=REGISTRY)
SESSIONS = Gauge("voice_app_sessions_open", "ConversationRelay sessions open now", registry=REGISTRY)
TASKS = Gauge("voice_app_tasks", "Tasks of the event loop when this was read", registry=REGISTRY)
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
    "voice_app_guard_refusals", "Rules that refuse new calls now", ["rule"], registry=REGISTRY
)
CALL_ALARMS = Counter(
    "voice_app_call_alarms_total", "Calls on which the guard saw a mistake", ["rule"], registry=REGISTRY
)


def metrics() -> bytes:
    """All metrics in the Prometheus text format. Called on the event loop."""
    TASKS.set(len(asyncio.all_tasks()))
    return generate_latest(REGISTRY)


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
