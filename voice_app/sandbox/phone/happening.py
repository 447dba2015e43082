"""What happens on a call, for those who watch it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal

from voice_app.sandbox.phone.relay import Reply

Kind = Literal[
    "twiml",
    "session",
    "agent",
    "voice",
    "sound",
    "caller",
    "interrupt",
    "key",
    "dropped",
    "came-back",
    "broken",
    "transcribing",
    "rings",
    "unreached",
    "whisper",
    "bridged",
    "person",
    "person-key",
    "left",
    "queued",
    "studio",
    "recorded",
    "redirected",
    "hung-up",
    "ended",
    "problem",
]


@dataclass(slots=True, frozen=True)
class Happening:
    """Something that happened on the call, for those who watch it."""

    kind: Kind
    text: str = ""
    reply: Reply | None = None
    at: float = field(default_factory=time.monotonic)
