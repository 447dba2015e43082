"""Sounds that say "go on" and ask for no answer, by language (`backchannels.toml`)."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from voice_app.relay.speaker import Speaker
from voice_app.settings import NumberSettings

MAX_WORDS: Final = 3
"""More words than this are something said."""
MAX_CHARACTERS: Final = 12
"""The same, in languages without spaces."""
_WORD: Final = re.compile(r"[^\W\d_][^\s\d_.,!?;:…¡¿。、！，]*")
_MARKS: Final = re.compile(r"[\s.,!…。、！，~～ー]+")


@dataclass(slots=True, frozen=True)
class _Sounds:
    any: frozenset[str]
    spaced: dict[str, frozenset[str]]
    spaceless: dict[str, re.Pattern[str]]


def is_no_turn(
    text: str, language: str, line: NumberSettings, speaker: Speaker, now: float, *, cut_off: bool
) -> bool:
    """Whether a prompt is only a sound of listening, made while the agent speaks on.

    ``cut_off``: a reply was cut off, perhaps by this sound; then the agent goes on.
    """
    if line.backchannels == "answer":
        return False
    playback = speaker.playback
    speaks_on = cut_off or speaker.talking or (playback.unfinished and playback.speaking(now))
    return speaks_on and is_backchannel(text, language)


def is_backchannel(text: str, language: str) -> bool:
    """Whether ``text`` is no more than a sound of listening, in the language of a BCP-47 tag."""
    if "?" in text or "？" in text:
        return False
    sounds = _sounds()
    primary = language.partition("-")[0].lower()
    if (pattern := sounds.spaceless.get(primary)) is not None:
        plain = _MARKS.sub("", text)
        if 0 < len(plain) <= MAX_CHARACTERS and pattern.fullmatch(plain) is not None:
            return True
    words = [word.casefold().strip("'’\"-") for word in _WORD.findall(text)]
    known = sounds.spaced.get(primary, sounds.any if pattern else sounds.spaced["en"])
    return 0 < len(words) <= MAX_WORDS and all(word in known or word in sounds.any for word in words)


@cache
def _sounds() -> _Sounds:
    data = tomllib.loads(resources.files("voice_app.relay").joinpath("backchannels.toml").read_text("utf-8"))
    return _Sounds(
        frozenset(data["any"]["sounds"].split()),
        {language: frozenset(words.casefold().split()) for language, words in data["spaced"].items()},
        {language: _repeated(words.split()) for language, words in data["spaceless"].items()},
    )


def _repeated(sounds: list[str]) -> re.Pattern[str]:
    """Any number of these sounds in a row, with long vowels or without."""
    plain = sorted({_MARKS.sub("", sound) for sound in sounds}, key=len, reverse=True)
    return re.compile(f"(?:{'|'.join(map(re.escape, plain))})+")
