"""Logs, metrics and traces. None of them holds what was said, a phone number, or a secret: ids only."""

from voice_app.telemetry.log_format import DETAIL
from voice_app.telemetry.logs import LogThrottle, RepeatedLine, configure_logging

__all__ = ["DETAIL", "LogThrottle", "RepeatedLine", "configure_logging"]
