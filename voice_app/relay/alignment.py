"""How much of what we sent was heard.

Twilio tells an interruption, and what was played, as the words that were spoken. They come back changed: the
speech normaliser drops punctuation, changes case, and writes numbers, dates, prices and abbreviations out. So
what was sent and what was heard are compared unit by unit: a unit is a word, or a character in scripts that
put no spaces between words. Both are folded first (case, width, diacritics). A *written* unit (with a digit
or a symbol, or an abbreviation) stands for whatever words are spoken for it, up to the next unit that fits.

Nothing is guessed: where the two part, what fitted until there counts, if it is most of what was heard.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from voice_app.calls.scripts import SPACELESS

MAX_SPOKEN: Final = 24
"""Units that are looked through for the end of one written number."""
_LETTERS_PER_WORD: Final = 5
"""A long word heard for a number counts as several: some languages write a number as one word."""

_MEASURES: Final = (
    "km|kg|kb|mb|gb|cm|mm|ml|mph|kmh|lbs?|oz|ft|hrs?|min|sec|am|pm|a\\.m\\.|p\\.m\\.|st|nd|rd|th"
)
_NUMBER: Final = (
    r"(?:[$€£¥₹₩#+]\s?)?\d+(?:[\s\-–.,:/()]{1,2}\d+)*"
    rf"(?:\s?[%€$£¥₹₩°]|\s?(?i:{_MEASURES})(?!\w))?"
)
_ADDRESS: Final = r"(?:https?://|www\.)\S+|[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"
_LETTER: Final = (
    f"(?:(?![{SPACELESS}\u0964\u0965])[\\w\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670\u0900-\u0dff])"
)
"""What words are made of: letters, digits, and the marks that some scripts write their vowels with."""
_UNIT: Final = re.compile(
    # Case is ignored here alone: `re` would go through whole scripts for letters that have one.
    rf"(?P<address>(?i:{_ADDRESS}))"
    rf"|(?P<number>{_NUMBER})"
    r"|(?P<symbol>[&%@+=$€£¥₹₩°#*])"
    rf"|(?P<character>[{SPACELESS}][\u0300-\u036f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u3099\u309a]*)"
    rf"|(?P<word>{_LETTER}+(?:['’]{_LETTER}+)*)"
)
_ABBREVIATION: Final = 5
"""Letters that an abbreviation has at most."""


@dataclass(slots=True, frozen=True)
class _Unit:
    """A word or a character, folded."""

    text: str
    start: int
    end: int
    spoken: int = 0
    """For a written unit: how many words it takes at least to say all of it. 0: it is spoken as it stands."""


def heard_prefix(sent: str, utterance: str) -> int | None:
    """How many characters of ``sent`` were spoken when ``utterance`` was what the caller heard.

    Returns an index into ``sent`` after a whole word, 0 for an empty utterance, or `None` where the
    utterance is not the beginning of what was sent. Punctuation after the last heard word is part of it.
    """
    heard = _units(utterance)
    if not heard:
        return 0
    units = _units(sent)
    count, matched = _align(units, heard)
    if 2 * matched < len(heard) or (not count and matched < len(heard)):
        return None
    return _end(sent, units, count)


def cut(sent: Sequence[str], utterance: str) -> list[int] | None:
    """`heard_prefix` for several stretches of speech in a row, the oldest first.

    The utterance may begin with any of them, since it may leave out what was played before. Returns how many
    characters of each were heard, or `None` where nothing fits. The beginning that explains most is taken.
    """
    heard = _units(utterance)
    if not heard:
        return None
    text = "\n".join(sent)
    units = _units(text)  # once, wherever the utterance begins
    best, best_matched, start = None, 0, 0
    for index, item in enumerate(sent):
        begin = bisect_left(units, start, key=lambda unit: unit.start)
        if begin and units[begin - 1].end > start:  # in the middle of one that goes over two stretches
            units, begin = _units(text, start), 0
        at, matched = _align(units, heard, begin)
        if at > begin and 2 * matched >= len(heard) and matched > best_matched:
            best_matched = matched
            end = _end(text, units, at) - start
            best = [len(before) for before in sent[:index]] + _spread(sent[index:], end)
            if matched == len(heard):
                break
        start += len(item) + 1
    return best


def _spread(sent: Sequence[str], count: int) -> list[int]:
    counts = []
    for text in sent:
        counts.append(max(0, min(len(text), count)))
        count -= len(text) + 1
    return counts


def _units(text: str, start: int = 0) -> list[_Unit]:
    """The units of a text. Written ones that follow each other are one: nobody hears where one ends."""
    units: list[_Unit] = []
    for match in _UNIT.finditer(text, start):
        unit = _unit(match, text)
        if units and unit.spoken and units[-1].spoken:
            last = units.pop()
            unit = _Unit(last.text + unit.text, last.start, unit.end, last.spoken + unit.spoken)
        units.append(unit)
    return units


def _unit(match: re.Match[str], text: str) -> _Unit:
    written, (start, end) = match.group(), match.span()
    match match.lastgroup:
        case "number":
            return _Unit(_fold(written), start, end, _words_of_number(written))
        case "address":
            return _Unit(_fold(written), start, end, len(re.findall(r"\w+", written)))
        case "symbol":
            return _Unit(written, start, end, 1)
        case _:
            return _Unit(_fold(written), start, end)


def _fold(word: str) -> str:
    if word.isascii():
        return word.lower().replace("'", "")
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", word).casefold())
    return re.sub("[\u0300-\u036f'’]", "", folded).replace("ı", "i")


def _words_of_number(written: str) -> int:
    """The fewest words that say a written number in full: digit by digit, or as a quantity."""
    groups = re.findall(r"\d+", written)
    symbols = bool(re.search(r"[$€£¥₹₩%°]", written))
    if len(groups) == 1 and not groups[0].startswith("0"):
        return min(len(groups[0]), _words_of_quantity(int(groups[0][:6]))) + symbols
    if re.fullmatch(r"\d{1,3}(?:[.,]\d{3})+", re.sub(r"[^\d.,]", "", written)):
        return _words_of_quantity(int("".join(groups)[:6])) + symbols
    if symbols or ":" in written or re.search(r"\d[.,/]\d", written):
        return sum(_words_of_quantity(int(group[:6])) for group in groups if int(group)) + symbols
    return sum(map(len, groups))


def _words_of_quantity(value: int) -> int:
    """How many words a quantity has in English, at least; other languages are close."""
    if 1000 <= value < 10_000 and value % 100:
        return _words_of_quantity(value // 100) + _words_of_quantity(value % 100)  # as years are said
    if value >= 1000:
        return (
            _words_of_quantity(value // 1000) + 1 + (_words_of_quantity(value % 1000) if value % 1000 else 0)
        )
    if value >= 100:
        return 2 + (_words_of_quantity(value % 100) if value % 100 else 0)
    return 1 if value <= 20 or value % 10 == 0 else 2


def _align(units: Sequence[_Unit], heard: Sequence[_Unit], begin: int = 0) -> tuple[int, int]:
    """Up to which unit was heard for certain, from ``begin`` on; and how much of what was heard they explain.

    Goes through both once; behind a written unit it looks at most `MAX_SPOKEN` units ahead.
    """
    at, position = begin, 0
    while at < len(units) and position < len(heard):
        unit, word = units[at], heard[position]
        if unit.text == word.text:
            at, position = at + 1, position + 1
        elif unit.spoken:
            said = _said_for_written(units, at, heard, position)
            if said is None:
                return at, len(heard) if _may_be_said(unit, heard[position:]) else position
            at, position = at + 1, position + said
        elif word.spoken:
            written = _said_for_written(heard, position, units, at)
            if written is None:
                return at, position
            at, position = at + written, position + 1
        elif _abbreviates(unit.text, word.text):
            at, position = at + 1, position + 1
        elif pieces := _pieces(unit.text, heard, position):
            at, position = at + 1, position + pieces
        elif pieces := _pieces(word.text, units, at):
            at, position = at + pieces, position + 1
        elif position == len(heard) - 1 and unit.text.startswith(word.text):
            return at, len(heard)  # the last word was cut off in the middle
        else:
            return at, position
    return at, position


def _said_for_written(units: Sequence[_Unit], at: int, heard: Sequence[_Unit], position: int) -> int | None:
    """How many heard units say the written unit at ``at``: up to where the next unit fits.

    `None` where that is not to be told. At the end of what was heard it is all there is, if it is enough.
    """
    following = units[at + 1 : at + 3]
    for said in range(min(MAX_SPOKEN, len(heard) - position) + 1):
        rest = heard[position + said : position + said + 2]
        if said and not rest:
            return said if _weight(heard[position : position + said]) >= units[at].spoken else None
        if following and rest and all(_fits(unit, word) for unit, word in zip(following, rest, strict=False)):
            return said
    return None


def _pieces(whole: str, parts: Sequence[_Unit], at: int) -> int:
    """How many units from ``at`` on spell a word: ``u``, ``s``, ``b`` for ``usb``. 0: they do not."""
    spelt, count = "", 0
    while at + count < len(parts) and len(spelt) < len(whole):
        spelt += parts[at + count].text
        count += 1
        if not whole.startswith(spelt):
            return 0
    return count if spelt == whole else 0


def _fits(unit: _Unit, word: _Unit) -> bool:
    return bool(unit.spoken or word.spoken) or unit.text == word.text or _abbreviates(unit.text, word.text)


def _may_be_said(unit: _Unit, heard: Sequence[_Unit]) -> bool:
    """Whether the rest of what was heard can be the beginning of a written unit's words."""
    return len(heard) <= MAX_SPOKEN and _weight(heard) < unit.spoken


def _weight(heard: Sequence[_Unit]) -> int:
    """How many words were heard, compounds taken apart by their length."""
    return sum(max(1, unit.spoken, len(unit.text) // _LETTERS_PER_WORD) for unit in heard)


def _abbreviates(short: str, long: str) -> bool:
    """Whether a short written word can stand for a longer spoken one: ``dr`` for ``doctor``."""
    if not (1 < len(short) <= _ABBREVIATION) or len(long) < len(short) + 2 or short[0] != long[0]:
        return False
    letters = iter(long)
    return all(letter in letters for letter in short)


def _end(text: str, units: Sequence[_Unit], count: int) -> int:
    """Where the unit before ``count`` ends, with the punctuation that clings to it."""
    if count == 0:
        return 0
    if count == len(units):
        return len(text)
    end, limit = units[count - 1].end, units[count].start
    while end < limit and not text[end].isspace():
        end += 1
    return end
