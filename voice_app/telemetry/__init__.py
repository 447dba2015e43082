"""Logs and metrics. Neither ever holds what was said, a phone number, or a secret: ids only."""

from voice_app.telemetry.logs import LogThrottle, configure_logging

__all__ = ["LogThrottle", "configure_logging"]
