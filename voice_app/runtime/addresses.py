"""The paths that Twilio asks, and how they become URLs under our public origin."""

from __future__ import annotations

from typing import Final

VOICE: Final = "/voice"
VOICE_CALLBACK: Final = "/voice/callback"
VOICE_STATUS: Final = "/voice/status"
VOICE_FALLBACK: Final = "/voice/fallback"
RELAY_ENDED: Final = "/voice/relay-ended"
RESUME: Final = "/voice/resume"
RELAY: Final = "/relay/{token}"

DIALED: Final = "/handoff/dialed/{attempt}"
PULLED: Final = "/handoff/pulled"
WHISPER: Final = "/handoff/whisper/{call}/{attempt}"
SCREENED: Final = "/handoff/screened/{call}/{attempt}"
INVITED_ENDED: Final = "/handoff/invited/{call}/{attempt}"
QUEUE_WAIT: Final = "/handoff/wait"
RECORDED: Final = "/handoff/recorded"
RECORDING: Final = "/handoff/recording"
TRANSCRIPTION: Final = "/transcription"

ORCHESTRATOR_EVENTS: Final = "/orchestrator/events"
INTELLIGENCE_RESULTS: Final = "/intelligence/results"
TWILIO_DEBUGGER: Final = "/twilio/debugger"
