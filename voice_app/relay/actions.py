"""What an agent yields beside words: checked when it is yielded, so that every frame can be encoded.

An agent is not held to its types by anything but this. What it did wrong is its own failure, told where it
was done; a frame that cannot be written would be nobody's.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

from voice_app.agents.protocol import (
    Become,
    Break,
    EndCall,
    Piece,
    Play,
    Say,
    SendDigits,
    Ssml,
    SwitchLanguage,
    Transfer,
)
from voice_app.journal.events import Acted
from voice_app.relay import frames

_FIELDS: Final[dict[type[Any], dict[str, type[Any]]]] = {
    Ssml: {"text": str},
    Say: {"text": str, "interruptible": bool},
    Break: {},
    Play: {"url": str, "loop": int},
    SendDigits: {"digits": str},
    SwitchLanguage: {"tts": str, "transcription": str},
    Transfer: {"reason": str, "summary": str},
    EndCall: {"reason": str},
    Become: {"agent": str},
}
"""What an agent may yield beside text, and of which types its fields are."""
MAX_LOOP: Final = 1_000
"""How often Twilio plays a file at most."""
_DIGITS: Final = re.compile(r"[0-9#*wW]+")


def checked(piece: Piece) -> Piece:
    """What an agent has yielded, with plain strings in it. Refuses what cannot be spoken or done.

    Raises:
        TypeError: it is nothing that an agent yields, or a field of it is of another type.
        ValueError: Twilio does not take a value in it.
    """
    if isinstance(piece, str):
        return str(piece)
    kind = next((kind for kind in _FIELDS if isinstance(piece, kind)), None)
    if kind is None:
        raise TypeError(f"an agent yields text or actions, not {type(piece).__name__}")
    changed = {}
    for name, wanted in _FIELDS[kind].items():
        value = getattr(piece, name)
        if not isinstance(value, wanted) or isinstance(value, bool) is not (wanted is bool):
            raise TypeError(
                f"{kind.__name__}.{name} has to be {wanted.__name__}, not {type(value).__name__}: "
                f"convert it, e.g. with {wanted.__name__}(…)"
            )
        if type(value) is not wanted:  # an enumeration's member, or text that is safe for HTML
            changed[name] = wanted(value)
    if isinstance(piece, SendDigits) and _DIGITS.fullmatch(piece.digits) is None:
        raise ValueError("SendDigits.digits may hold 0-9, #, * and w (half a second's pause), nothing else")
    if isinstance(piece, Play) and not 0 <= piece.loop <= MAX_LOOP:
        raise ValueError(f"Play.loop has to be from 1 to {MAX_LOOP:,}, or 0, which means that, too")
    return replace(piece, **changed) if changed else piece


def frame_of(action: Play | SendDigits | SwitchLanguage) -> tuple[frames.Outgoing, Acted]:
    """The frame that does it, and what the journal is told of it."""
    match action:
        case Play():
            return frames.PlayMessage(action.url, action.loop), Acted("play", action.url)
        case SendDigits():
            return frames.SendDigitsMessage(action.digits), Acted("send-digits")
        case SwitchLanguage():
            languages = f"{action.tts} {action.transcription}"
            return frames.LanguageMessage(action.tts, action.transcription), Acted(
                "switch-language", languages
            )
