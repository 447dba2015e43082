"""The paths that Twilio and people ask, and how they become URLs under our public origin."""

from __future__ import annotations

from typing import Final

from itsdangerous import BadSignature, URLSafeTimedSerializer

from voice_app.settings import Settings

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

JOIN: Final = "/console/join/{code}"
JOIN_HOURS: Final = 24.0
"""So long the link to a call is good for the person who takes it: no call lasts longer."""


class JoinLinks:
    """Links to the page of one call, for the person who takes it over. Whoever has one needs no sign-in."""

    def __init__(self, settings: Settings) -> None:
        self._origin = settings.origin
        self._codes = URLSafeTimedSerializer([*reversed(settings.signing_tokens)], salt="join")

    def url(self, call_sid: str) -> str:
        """The link to this call."""
        return self._origin + self.path(call_sid)

    def path(self, call_sid: str) -> str:
        """The same without the origin."""
        return JOIN.format(code=self._codes.dumps(call_sid))

    def call_of(self, code: str) -> str | None:
        """The call that a code is for; `None` if it is none of ours, or too old."""
        try:
            return str(self._codes.loads(code, max_age=int(JOIN_HOURS * 3600)))
        except BadSignature:
            return None
