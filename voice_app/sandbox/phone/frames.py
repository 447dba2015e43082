"""The frames of a ConversationRelay session: what Twilio sends, what it takes, and what it keeps for later.

Source: ``docs/protocol.md`` §2.2.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import msgspec

from voice_app.sandbox.phone.twiml import TwimlVerb


class RefusedFrameError(Exception):
    """Twilio does not take a frame. The text says what is wrong with it."""


class TextFrame(msgspec.Struct, tag_field="type", tag="text", forbid_unknown_fields=True):
    token: str
    last: bool = False
    lang: str | None = None
    interruptible: bool | None = None
    preemptible: bool | None = None


class PlayFrame(msgspec.Struct, tag_field="type", tag="play", forbid_unknown_fields=True):
    source: str
    loop: int = 1
    preemptible: bool = False
    interruptible: bool | None = None


class DigitsFrame(msgspec.Struct, tag_field="type", tag="sendDigits", forbid_unknown_fields=True):
    digits: str


class LanguageFrame(
    msgspec.Struct, tag_field="type", tag="language", rename="camel", forbid_unknown_fields=True
):
    tts_language: str | None = None
    transcription_language: str | None = None


class EndFrame(msgspec.Struct, tag_field="type", tag="end", rename="camel", forbid_unknown_fields=True):
    handoff_data: str | None = None


class ConfigFrame(msgspec.Struct, tag_field="type", tag="config"):
    """Its layout is not confirmed, so anything in it passes."""


class HintsFrame(msgspec.Struct, tag_field="type", tag="hints"):
    """Its layout is not confirmed, so anything in it passes."""


ServerFrame: TypeAlias = (
    TextFrame | PlayFrame | DigitsFrame | LanguageFrame | EndFrame | ConfigFrame | HintsFrame
)

_decoder: msgspec.json.Decoder[ServerFrame] = msgspec.json.Decoder(ServerFrame)


def decode(data: str | bytes) -> ServerFrame:
    """One frame. Raises `RefusedFrameError`."""
    try:
        frame = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedFrameError(str(error)) from None
    if wrong := _wrong(frame):
        raise RefusedFrameError(wrong)
    return frame


def setup_frame(
    relay: TwimlVerb, *, session_id: str, account_sid: str, call_sid: str, from_: str, to: str, status: str
) -> dict[str, Any]:
    """The first frame of a session; ``status`` is ``RINGING`` in the first session of a call."""
    return {
        "type": "setup",
        "sessionId": session_id,
        "accountSid": account_sid,
        "parentCallSid": "",
        "callSid": call_sid,
        "from": from_,
        "to": to,
        "forwardedFrom": "",
        "callType": "PSTN",
        "callerName": "",
        "direction": "inbound",
        "callStatus": status,
        "customParameters": {
            child.get("name"): child.get("value") for child in relay.children if child.name == "Parameter"
        },
    }


def interrupt_frame(heard: str, seconds: float) -> dict[str, Any]:
    """The caller has cut in after hearing this much of a reply, for so long."""
    return {
        "type": "interrupt",
        "utteranceUntilInterrupt": heard,
        "durationUntilInterruptMs": round(seconds * 1000),
    }


def _wrong(frame: object) -> str:
    """What Twilio does not accept in a frame of the right shape."""
    match frame:
        case DigitsFrame(digits=digits) if not digits or set(digits) - set("0123456789w#*"):
            return "digits must be of 0-9, w, # and *"
        case PlayFrame(source=source, loop=loop) if (
            not source.startswith(("http://", "https://")) or loop < 0
        ):
            return "source must be a URL and loop must not be negative"
        case LanguageFrame(tts_language=None, transcription_language=None):
            return "at least one of ttsLanguage and transcriptionLanguage is needed"
    return ""


ReconnectSetup: TypeAlias = Literal["same", "new", "none"]
MOST_EVENTS: Final = 500
"""How many events Twilio keeps while there is no socket (``docs/protocol.md`` §1.2)."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Reconnecting:
    """How Twilio comes back to a session whose socket was lost (``applicationReconnect``).

    How often and for how long it tries, and what comes first then, is not documented: so every answer is
    possible. Seconds are on our clock.
    """

    setup: ReconnectSetup = "same"
    """What comes first: the setup again, with the same ``sessionId`` or a new one, or no setup at all."""
    every_seconds: float = 0.2
    """The wait before each attempt."""
    give_up_seconds: float = 15.0
    """It asks the action URL instead after this."""


class UndeliveredEvents:
    """What could not be delivered while there was no socket."""

    def __init__(self) -> None:
        self._events: deque[Mapping[str, Any]] = deque(maxlen=MOST_EVENTS)
        self.lost = 0
        """How many were too many: the oldest ones."""

    def __bool__(self) -> bool:
        return bool(self._events)

    def add(self, event: Mapping[str, Any]) -> None:
        self.lost += len(self._events) == MOST_EVENTS
        self._events.append(event)

    @property
    def first(self) -> Mapping[str, Any]:
        """The oldest one."""
        return self._events[0]

    def drop_first(self) -> None:
        """It was delivered."""
        self._events.popleft()
