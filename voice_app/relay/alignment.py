"""How much of what we sent was heard.

Twilio tells an interruption as the words that were spoken until then. They come back changed: the
speech normaliser drops punctuation, changes case and spells out numbers. So words are aligned, not
characters; and where nothing fits, the answer is `None`: history never holds a guess.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_WORD = re.compile(r"\w+(?:['’]\w+)*")
_TOLERANCE = 0.34
"""The share of heard words that may differ from the words sent."""


def heard_prefix(sent: str, utterance: str) -> int | None:
    """How many characters of ``sent`` were spoken when ``utterance`` was what the caller heard.

    Returns an index into ``sent`` after a whole word, 0 for an empty utterance, or `None` where the
    utterance is not the beginning of what was sent. Spoken punctuation after the last heard word is
    part of the result.
    """
    heard = _words(utterance)
    if not heard:
        return 0
    spans = list(_WORD.finditer(sent))
    words = [_fold(span.group()) for span in spans]
    count = _exact(words, heard)
    if count is None:
        count = _aligned(words, heard)
    if count is None:
        return None
    if count == 0:
        return 0
    if count == len(spans):
        return len(sent)
    return _after_punctuation(sent, spans[count - 1].end(), spans[count].start())


def cut(sent: Sequence[str], utterance: str) -> list[int] | None:
    """`heard_prefix` for several stretches of speech in a row, the oldest first.

    The utterance may begin with any of them, since it may leave out what was played before. Returns
    how many characters of each were heard, or `None` where nothing fits.
    """
    if not _words(utterance):
        return None
    for first in range(len(sent)):
        count = heard_prefix("\n".join(sent[first:]), utterance)
        if count:
            return [len(text) for text in sent[:first]] + _spread(sent[first:], count)
    return None


def _spread(sent: Sequence[str], count: int) -> list[int]:
    counts = []
    for text in sent:
        counts.append(max(0, min(len(text), count)))
        count -= len(text) + 1
    return counts


def _words(text: str) -> list[str]:
    return [_fold(word) for word in _WORD.findall(text)]


def _fold(word: str) -> str:
    return word.casefold() if word.isascii() else unicodedata.normalize("NFKC", word).casefold()


def _exact(words: list[str], heard: list[str]) -> int | None:
    """The common case: the same words; the last one may have been cut off in the middle."""
    whole = len(heard) - 1
    if len(heard) > len(words) or words[:whole] != heard[:whole]:
        return None
    if words[whole] == heard[whole]:
        return len(heard)
    return whole if words[whole].startswith(heard[whole]) else None


def _aligned(words: list[str], heard: list[str]) -> int | None:
    """The shortest beginning of ``words`` that is closest to ``heard`` by edit distance.

    A number may be spelt out as several words or the other way round, so the lengths may differ.
    """
    reach = min(len(words), 2 * len(heard) + 8)
    row = list(range(reach + 1))
    for index, word in enumerate(heard, 1):
        diagonal, row[0] = row[0], index
        for column in range(1, reach + 1):
            changed = diagonal + (words[column - 1] != word)
            diagonal = row[column]
            row[column] = min(changed, diagonal + 1, row[column - 1] + 1)
    best = min(row)
    if best > _TOLERANCE * len(heard):
        return None
    return row.index(best)


def _after_punctuation(text: str, end: int, limit: int) -> int:
    """Take the punctuation that clings to the last heard word, up to the next space."""
    while end < limit and not text[end].isspace():
        end += 1
    return end
