"""What people look at, and what they may do about a call."""

from voice_app.console.phone_page import PhoneLine
from voice_app.console.routes import console_routes

__all__ = ["PhoneLine", "console_routes"]
