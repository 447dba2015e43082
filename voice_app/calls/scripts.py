"""What depends on the script that a text is written in: how long a voice takes, and where words end.

The pace is an estimate, and a slow one: for sessions that tell nothing of what was played. One character is
a letter in English, a syllable in Korean, and a word in Chinese; a digit is a word everywhere. Figures are
those of synthetic voices at an ordinary pace.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from typing import Final

SPACELESS: Final = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f"  # Burmese
    "\u1780-\u17ff"  # Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"  # Japanese
    "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese
)
"""Scripts without spaces between words, as the inside of a character class of a regular expression."""
_SPACELESS: Final = re.compile(f"[{SPACELESS}\u3000-\u3004\uff00-\uff65]")

SECONDS_TO_FIRST_SOUND: Final = 1.0
"""From a text's way to Twilio until its first sound."""
SECONDS_PER_LETTER: Final = 0.065
"""Of an alphabet, spaces and punctuation included: a little slower than 150 words a minute."""
_SECONDS_PER_DIGIT: Final = 0.35

_SCRIPTS: Final[tuple[tuple[int, int, float], ...]] = (
    # first and last code point, seconds per character
    (0x0590, 0x08FF, 0.085),  # Hebrew, Arabic: vowels are spoken but not written
    (0x0900, 0x0DFF, 0.075),  # Devanagari and the other scripts of India
    (0x0E00, 0x0EFF, 0.085),  # Thai, Lao: no spaces
    (0x1000, 0x109F, 0.085),  # Burmese
    (0x1100, 0x11FF, 0.09),  # Hangul in letters
    (0x1200, 0x137F, 0.16),  # Ethiopic: a syllable each
    (0x1780, 0x17FF, 0.085),  # Khmer
    (0x3040, 0x30FF, 0.15),  # Hiragana, Katakana: a syllable each
    (0x3400, 0x9FFF, 0.27),  # Chinese characters, also where Japanese reads two syllables for one
    (0xAC00, 0xD7AF, 0.2),  # Hangul: a syllable each
    (0xF900, 0xFAFF, 0.27),
    (0x20000, 0x3FFFF, 0.27),
)
_FIRSTS: Final = [first for first, _, _ in _SCRIPTS]


def seconds_to_speak(text: str) -> float:
    """Seconds that a slow voice takes for a text, without the time to its first sound."""
    if text.isascii():  # counted, and not looked at one by one: that was an eighth of what a turn costs
        letters = len(text.encode().translate(None, b"0123456789"))
        return (len(text) - letters) * _SECONDS_PER_DIGIT + letters * SECONDS_PER_LETTER
    return sum(map(_seconds, text))


def characters_spoken(text: str, seconds: float) -> int:
    """How many characters of a text such a voice has said after some seconds."""
    for index, character in enumerate(text):
        seconds -= _seconds(character)
        if seconds < -1e-9:
            return index
    return len(text)


def whole_words(text: str, at: int) -> int:
    """The end of the last whole word of the first ``at`` characters, its space not included."""
    end = min(max(at, 0), len(text))
    while 0 < end < len(text) and not _begins_word(text[end]):
        end -= 1
    while end and end < len(text) and text[end - 1].isspace():
        end -= 1
    return end


def _begins_word(character: str) -> bool:
    """Whether a word may end before this character; never before a mark that belongs to the one before it."""
    if character.isspace():
        return True
    return _SPACELESS.match(character) is not None and not unicodedata.category(character).startswith("M")


def glue(before: str, after: str) -> str:
    """What stands between two pieces of speech that are written as one: nothing in scripts without spaces."""
    spaceless = before and after and (_SPACELESS.match(before[-1]) or _SPACELESS.match(after[0]))
    return "" if spaceless else " "


def _seconds(character: str) -> float:
    if character.isdecimal():
        return _SECONDS_PER_DIGIT
    code = ord(character)
    if code < _FIRSTS[0]:
        return SECONDS_PER_LETTER
    _, last, seconds = _SCRIPTS[bisect_right(_FIRSTS, code) - 1]
    return seconds if code <= last else SECONDS_PER_LETTER
