"""uvicorn around the application, with a drain; the checks before it, and the sandbox beside it."""

from voice_app.server.database_lock import check_workers, exclusive
from voice_app.server.serving import (
    hold_hangups,
    listen,
    running,
    running_services,
    serve,
    serve_on,
    signal_changes,
)
from voice_app.server.startup import environment, preflight, rehearse
from voice_app.server.workers import WorkerError, supervise

__all__ = [
    "WorkerError",
    "check_workers",
    "environment",
    "exclusive",
    "hold_hangups",
    "listen",
    "preflight",
    "rehearse",
    "running",
    "running_services",
    "serve",
    "serve_on",
    "signal_changes",
    "supervise",
]
