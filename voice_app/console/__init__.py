"""What people look at, and what they may do about a call."""

from voice_app.console.calls import routes

__all__ = ["routes"]
