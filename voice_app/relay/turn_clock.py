"""Takes the times of a session's turns: the stages of an answer, and how soon the voice stopped.

The voice is where Twilio tells it (``agentSpeaking`` and ``clientSpeaking``); what it does not tell is not
measured. Nothing here is done for single words.
"""

from __future__ import annotations

from voice_app.telemetry.metrics import Stage


class Meter:
    """Hears of what a session's turns come to. This one measures nothing."""

    def turn(self, kind: str) -> None:
        """The agent is asked, because of ``speech``, ``keys``, ``silence``…"""

    def stage(self, stage: Stage, seconds: float) -> None:
        """A stage of an answer is over, after so long."""

    def interrupted(self) -> None:
        """The caller has cut in."""

    def silence(self) -> None:
        """The caller has said nothing for as long as they may."""


class TurnClock:
    """The moments of the current turn, in seconds on the session's clock."""

    __slots__ = (
        "_awaits_sound",
        "_began",
        "_cut_in_at",
        "_first_token_at",
        "_meter",
        "_quiet_at",
        "_sound_ms",
        "_speaking",
        "_spoke_up_at",
    )

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._began = 0.0
        self._first_token_at = 0.0
        self._awaits_sound = False
        self._sound_ms: float | None = None
        self._speaking: bool | None = None  # None: the session has no speaker events
        self._quiet_at = 0.0
        self._spoke_up_at: float | None = None
        self._cut_in_at: float | None = None

    def begin(self, now: float) -> None:
        """The next words answer what was said now."""
        self._began = now
        self._awaits_sound = False

    def first_token(self, now: float) -> None:
        """The first word of the answer is on its way."""
        self._first_token_at = now
        self._awaits_sound = not self._speaking  # a voice that goes on does not tell when it comes to it
        self._meter.stage("prompt_to_first_token", now - self._began)

    def agent_speaking(self, on: bool, now: float) -> None:
        """The agent's voice is heard, or has fallen silent."""
        self._speaking = on
        if not on:
            self._quiet_at = now
            if self._cut_in_at is not None:
                self._meter.stage("barge_in_to_last_word", now - self._cut_in_at)
                self._cut_in_at = None
        elif self._awaits_sound:
            self._awaits_sound = False
            self._meter.stage("first_token_to_sound", now - self._first_token_at)
            self._meter.stage("prompt_to_sound", now - self._began)
            self._sound_ms = (now - self._began) * 1000

    def take_sound(self) -> float | None:
        """Milliseconds from the prompt to the voice; `None` if that is not known, or was taken before."""
        sound_ms, self._sound_ms = self._sound_ms, None
        return sound_ms

    def caller_speaking(self, on: bool, now: float) -> None:
        """The caller makes a sound, or is quiet again."""
        self._spoke_up_at = now if on and self._speaking else None

    def interrupted(self, now: float) -> None:
        """Twilio tells that the caller has cut in: it may have stopped the voice before."""
        since = now if self._spoke_up_at is None else self._spoke_up_at
        self._spoke_up_at = None
        self._awaits_sound = False
        self._meter.interrupted()
        if self._speaking:
            self._cut_in_at = since
        elif self._speaking is not None and self._quiet_at >= since:
            self._meter.stage("barge_in_to_last_word", self._quiet_at - since)
