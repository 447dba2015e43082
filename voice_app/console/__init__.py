"""What people look at, and what they may do about a call."""

from voice_app.console.routes import console_routes

__all__ = ["console_routes"]
