"""What people look at, and what they may do about a call."""

from voice_app.console.api import api_routes

__all__ = ["api_routes"]
