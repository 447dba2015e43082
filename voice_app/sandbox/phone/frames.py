"""The frames that Twilio takes from a server, and what it does not accept in them.

Source: reference ``conversationrelay.md`` §2.2.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import msgspec


class RefusedError(Exception):
    """Twilio does not take a frame. The text says what is wrong with it."""


class Text(msgspec.Struct, tag_field="type", tag="text", forbid_unknown_fields=True):
    token: str
    last: bool = False
    lang: str | None = None
    interruptible: bool | None = None
    preemptible: bool | None = None


class Play(msgspec.Struct, tag_field="type", tag="play", forbid_unknown_fields=True):
    source: str
    loop: int = 1
    preemptible: bool = False
    interruptible: bool | None = None


class Digits(msgspec.Struct, tag_field="type", tag="sendDigits", forbid_unknown_fields=True):
    digits: str


class Language(msgspec.Struct, tag_field="type", tag="language", rename="camel", forbid_unknown_fields=True):
    tts_language: str | None = None
    transcription_language: str | None = None


class End(msgspec.Struct, tag_field="type", tag="end", rename="camel", forbid_unknown_fields=True):
    handoff_data: str | None = None


class Config(msgspec.Struct, tag_field="type", tag="config"):
    """Its layout is not confirmed, so anything in it passes."""


class Hints(msgspec.Struct, tag_field="type", tag="hints"):
    """Its layout is not confirmed, so anything in it passes."""


Frame: TypeAlias = Text | Play | Digits | Language | End | Config | Hints

_decoder: msgspec.json.Decoder[Frame] = msgspec.json.Decoder(Frame)


def decode(data: str | bytes) -> Frame:
    """One frame. Raises `RefusedError`."""
    try:
        frame = _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RefusedError(str(error)) from None
    if wrong := _wrong(frame):
        raise RefusedError(wrong)
    return frame


def _wrong(frame: object) -> str:
    """What Twilio does not accept in a frame of the right shape."""
    match frame:
        case Digits(digits=digits) if not digits or set(digits) - set("0123456789w#*"):
            return "digits must be of 0-9, w, # and *"
        case Play(source=source, loop=loop) if not source.startswith(("http://", "https://")) or loop < 0:
            return "source must be a URL and loop must not be negative"
        case Language(tts_language=None, transcription_language=None):
            return "at least one of ttsLanguage and transcriptionLanguage is needed"
    return ""


Setup: TypeAlias = Literal["same", "new", "none"]
MOST_EVENTS: Final = 500


@dataclass(slots=True, frozen=True, kw_only=True)
class Reconnecting:
    """What Twilio does where the TwiML asks for it. Seconds are on our clock."""

    setup: Setup = "same"
    """What comes first: the setup again, with the same ``sessionId`` or a new one, or no setup at all."""
    every_seconds: float = 0.2
    """So long it waits before each attempt."""
    give_up_seconds: float = 15.0
    """After so long it asks the action URL instead."""


class Backlog:
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
