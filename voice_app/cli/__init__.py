"""The commands. `main` is the entry point of ``voice-app``."""

from voice_app.cli.main import main

__all__ = ["main"]
