"""What `server.start_checks` finds beside the account: doubts about settings, and about the model."""

from __future__ import annotations

from typing import Final

from voice_app.findings import WARNING, declare

CFG105: Final = declare(
    "CFG105",
    WARNING,
    "the model does not answer as it should",
    "The agent `chat` asks this endpoint on every call: callers would hear that something went wrong.",
    fix="Put it right, or name a VOICE_APP_FALLBACK_MODEL.",
    overridable=False,
)
CFG106: Final = declare(
    "CFG106",
    WARNING,
    "a setting that nothing uses",
    "It has no effect: most likely another setting is missing beside it.",
    fix="Set what it goes with, or take it out.",
    overridable=False,
)
