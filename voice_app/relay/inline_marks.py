"""Marks within a line: emphasis, code, links, citations, tags.

A mark counts only with its closing mark in the paragraph. A star that could be a key of a phone, or a times
sign, is a star.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Final

from voice_app.calls.scripts import glue
from voice_app.relay import markup
from voice_app.relay.signs import SignReader, spoken_address
from voice_app.relay.text_reader import BLANKS, WAIT, Block

EMPHASIS: Final = "*_~"
"""What opens and closes within a paragraph."""
MAX_EMPHASIS: Final = 3
_ESCAPABLE: Final = string.punctuation.replace("/", "")
_KEY_FOLLOWS: Final = "#\ufe0f\u20e3"
"""After a star, beside digits: it is dialled, or pressed."""


class InlineReader(SignReader):
    """Reads what stands within a line."""

    __slots__ = ("_code",)

    def __init__(self, language: str = "") -> None:
        super().__init__(language)
        self._code = 0  # ticks that opened inline code

    # --- emphasis --------------------------------------------------------------------------------

    def _emphasis(self, at: int) -> int:
        char = self._text[at]
        end = self._past(at, char)
        if self._may_grow(end):
            return WAIT
        length = end - at
        before, after = self._before(at), self._after(end)
        # In scripts without spaces a word does not tell where it ends.
        within_word = before.isalnum() and after.isalnum() and glue(before, after) == " "
        if length > MAX_EMPHASIS or (char == "_" and within_word) or (char == "~" and length == 1):
            return self._say(at, end)
        if not before.isspace() and self._closes(char, length, at):
            return end
        if not _opens(char, length, before, after, within_word=within_word):
            return self._say(at, end)
        for part in (2, 1) if length == MAX_EMPHASIS else (length,):
            self._open(char * part, char * part, at)
        return end

    def _closes(self, char: str, length: int, at: int) -> bool:
        if length < MAX_EMPHASIS:
            return self._close(char * length, at)
        inner = self._close(char, at)
        return self._close(char * 2, at) or inner

    # --- code ------------------------------------------------------------------------------------

    def _tick(self, at: int) -> int:
        end = self._past(at, "`")
        if self._may_grow(end):
            return WAIT
        place = end
        while (found := markup.ticks(self._text, place, self._end)) is not None and found[0] != "\n":
            if self._may_grow(found.end()):
                return WAIT
            if found.end() - found.start() == end - at:
                self._code = end - at
                return end
            place = found.end()
        return WAIT if found is None and self._more else self._say(at, end)

    def _inline_code(self, at: int) -> int:
        found = markup.ticks(self._text, at)
        if found is None:
            return self._say(at, len(self._text))
        if found.start() > at:
            return self._say(at, found.start())
        end = self._past(at, "`")
        if self._may_grow(end):
            return WAIT
        if end - at != self._code:
            return self._say(at, max(end, found.end()))
        self._code = 0
        return end

    # --- brackets --------------------------------------------------------------------------------

    def _bracket(self, at: int) -> int:
        text, end = self._text, self._end
        if (last := self._row_of(at)) > at:
            return last
        found = markup.citation(text, at, end)
        if found is not None:
            past = found.end()
            if self._may_grow(past):
                return WAIT
            if (link := markup.link(text, past - 1, end)) is not None:
                past = link.end()
                if self._may_grow(past):
                    return WAIT
            elif self._more and markup.link_begun(text, past - 1, end):
                return WAIT
            if found["number"] is None or self._is_citation(at, found["number"]):
                return self._without(at, past)
        elif self._more and markup.citation_begun(text, at, end):
            return WAIT
        if self._before(at).isalnum():
            self._write(" ")  # "row[3]"
        return at + 1

    def _is_citation(self, at: int, number: str) -> bool:
        """Whether a number in brackets names a source: "Paris [1]" does, "row[3]" does not."""
        if not self._begun or number == "0":
            return False
        word = markup.last_word(self._behind(at))
        if word is None:
            return True
        return word[1].lower() not in markup.INDEXED and markup.identifier(word[1]) is None

    def _without(self, begin: int, end: int) -> int:
        """Leave out a citation, and a colon or a blank that would stand there without it."""
        if not self._begun:
            return end + (self._after(end) == ":")
        return end + (self._before(begin) == " " == self._after(end))

    def _bracket_end(self, at: int) -> int:
        if (last := self._row_of(at)) > at:
            return last
        if (link := markup.link(self._text, at, self._end)) is not None:
            return link.end()
        if self._more and markup.link_begun(self._text, at, self._end):
            return WAIT
        if self._after(at + 1) == "[":
            self._write(" ")
        return at + 1

    def _lenticular(self, at: int) -> int:
        if (last := self._row_of(at)) > at:
            return self._say(at, last)
        if (found := markup.lenticular(self._text, at, self._end)) is not None:
            if self._may_grow(found.end()):
                return WAIT
            if markup.source(found[1]) is None:
                self._write(found[1])  # a heading, as Chinese and Japanese set it
            return found.end()
        if self._more and markup.lenticular_begun(self._text, at, self._end):
            return WAIT
        return self._say(at, at + 1)

    def _exclamation(self, at: int) -> int:
        before = self._before(at)
        if not before.isspace() and before != "[":
            return self._say(at, at + 1)
        if self._may_grow(at + 1):
            return WAIT
        return at + 1 if self._after(at + 1) == "[" else self._say(at, at + 1)

    # --- tags ------------------------------------------------------------------------------------

    def _angle(self, at: int) -> int:
        text, end = self._text, self._end
        if (last := self._row_of(at)) > at:
            return self._say(at, last)
        if (tag := markup.tag(text, at, end)) is not None:
            if tag[1].lower() in ("br", "break") and self._begun:
                self._write(" ")
            return tag.end()
        if (link := markup.autolink(text, at, end)) is not None:
            self._write(link[1] if "@" in link[1] else spoken_address(link[1]))
            return link.end()
        if (other := markup.other_tag(text, at, end)) is not None:
            return self._other_tag(at, other[1], other[2].lower(), alone=bool(other[4]), end=other.end())
        if (words := markup.placeholder(text, at, end)) is not None and not self._before(at).isalnum():
            self._write(words[1])
            return words.end()
        if self._more and (markup.tag_begun(text, at, end) or markup.autolink_begun(text, at, end)):
            return WAIT
        return self._say(at, at + 1)

    def _other_tag(self, at: int, slash: str, name: str, *, alone: bool, end: int) -> int:
        """A tag that nobody knows goes with the one that closes it; by itself it is a word in brackets."""
        written = self._text[at:end]
        if slash:
            return end if self._close(f"</{name}>", at) else self._say(at, end)
        if self._before(at).isalnum() or alone:
            return self._say(at, end)  # "List<String>"
        if self._may_grow(end):
            return WAIT
        is_word = markup.placeholder(self._text, at, end) is not None and not self._after(end).isalnum()
        self._open(f"</{name}>", written[1:-1] if is_word else written, at)
        return end

    # --- the rest --------------------------------------------------------------------------------

    def _blanks(self, at: int) -> int:
        """Blanks in a block, where they may be the last of a line or of a cell."""
        end = self._past(at, BLANKS)
        if self._may_grow(end):
            return WAIT
        follows = self._after(end)
        if follows == "#" and self._block is Block.HEADING:
            return self._closing_hashes(at, end)
        if follows in ("", "\n") or (follows == "|" and self._block is Block.ROW):
            return end
        return self._say(at, end)

    def _closing_hashes(self, at: int, hashes: int) -> int:
        end = self._past(hashes, "#")
        line_end = self._past(end, BLANKS)
        if self._may_grow(line_end):
            return WAIT
        return line_end if self._after(line_end) in ("", "\n") else self._say(at, end)

    def _backslash(self, at: int) -> int:
        end = self._past(at, "\\")
        if self._may_grow(end):
            return WAIT
        if end - at > 1:  # each of a pair stands for the other
            self._write("\\" * ((end - at) // 2))
            return at + (end - at) // 2 * 2
        follows = self._after(at + 1)
        if follows == "\n":
            return at + 1
        if follows and follows in _ESCAPABLE:
            self._write(follows)
            return at + 2
        return self._say(at, at + 1)


def _opens(char: str, length: int, before: str, after: str, *, within_word: bool) -> bool:
    """Whether a run of marks may open emphasis, should it be closed."""
    if not after or after.isspace():
        return False
    if char == "*" and length == 1 and (within_word or after.isdigit() or after in _KEY_FOLLOWS):
        return False  # "2*3", "*67", "*#"
    if within_word and before.isdigit() and after.isdigit():
        return False  # "2**10"
    if after in markup.CLOSING or (after in markup.QUOTES and before in markup.QUOTES):
        return False  # 'press *.', 'the "*" key'
    return after.isalnum() or not before.isalnum()


READERS: Final[dict[str, Callable[[InlineReader, int], int]]] = {
    "*": InlineReader._emphasis,
    "_": InlineReader._emphasis,
    "~": InlineReader._emphasis,
    "`": InlineReader._tick,
    "[": InlineReader._bracket,
    "]": InlineReader._bracket_end,
    "【": InlineReader._lenticular,
    "!": InlineReader._exclamation,
    "|": InlineReader._pipe,
    " ": InlineReader._blanks,
    "\t": InlineReader._blanks,
    "\\": InlineReader._backslash,
    "&": InlineReader._ampersand,
    "<": InlineReader._angle,
}
"""What a special character means within a line; `SignReader._odd_one` knows the rest."""
