"""Signs that stand for words, or for nothing: check marks, stars, emoji, entities, web addresses."""

from __future__ import annotations

import html
import tomllib
from bisect import bisect_left
from functools import cache
from html.entities import html5
from importlib import resources
from typing import Final

from voice_app.relay import markup
from voice_app.relay.text_reader import HOLD, WAIT, Block, TextReader

LANGUAGE: Final = "en"
"""The language of signs where that of the call has no words for them."""
_ENTITIES: Final = sorted(name for name in html5 if name.endswith(";"))
_BLANK_ENTITIES: Final = dict.fromkeys(map(ord, "\xa0\u2002\u2003\u2007\u2009\u200a\u202f"), " ")


@cache
def sign_words() -> dict[str, dict[str, str]]:
    """The words of `signs.toml`: by sign, then by language."""
    return tomllib.loads(resources.files("voice_app.relay").joinpath("signs.toml").read_text("utf-8"))


class SignReader(TextReader):
    """Reads signs within a line. ``language`` is the BCP-47 tag of the voice."""

    __slots__ = ("_in_address", "language")

    def __init__(self, language: str = "") -> None:
        super().__init__()
        self.language = language
        self._in_address = False  # in the tail of an address that is too long to hold

    def _word(self, sign: str) -> str:
        words = sign_words()[sign]
        return words.get(self.language.partition("-")[0].lower(), words[LANGUAGE])

    # --- pictures --------------------------------------------------------------------------------

    def _odd_one(self, at: int) -> int:
        char = self._text[at]
        if char in "hHwW":
            return self._address(at)
        if char in "{◁":
            return self._say(at, self._past(at, char))
        found = markup.sign(self._text, at, self._end)
        if found is not None and (end := found.end()) > at:
            if self._may_grow(end):
                return WAIT
            if found["yes"] or found["no"]:
                return self._check_mark("yes" if found["yes"] else "no", at, end)
            return self._stars(
                sum(map(found["full"].count, markup.FULL_STARS)),
                sum(map(found["empty"].count, markup.EMPTY_STARS)),
                at,
                end,
            )
        if (emoji := markup.emoji(self._text, at, self._end)) is not None:
            return self._emoji(at, emoji.end())
        return self._comma(at)

    def _row_of(self, at: int) -> int:
        """All of a row of one character but its last one, which is read with what follows."""
        return self._past(at, self._text[at]) - 1

    def _check_mark(self, sign: str, at: int, end: int) -> int:
        """A check mark is a word; a comma sets it off from words that follow."""
        blanks_end = self._past(end, " ")
        if self._may_grow(blanks_end):
            return WAIT
        word = self._word(sign)
        if self._before(at).isalnum():
            word = f" {word}"
        follows = self._after(blanks_end)
        if follows.isalnum() or follows in ("*", "_"):
            word += "," if blanks_end > end else ", "
        self._write(word)
        return end

    def _stars(self, full: int, empty: int, at: int, end: int) -> int:
        """A row of stars is a rating, and so is a number with a star; a star by itself is an ornament."""
        before = self._behind(at)
        if full + empty > markup.MAX_STARS:
            return self._emoji(at, end)
        if full and (number := before.rstrip(" ")) and number[-1].isdigit():
            unit = self._word("stars").replace("{n}", "").strip()
            self._write(unit if before[-1] == " " else f" {unit}")
        elif full + empty < 2:
            return self._emoji(at, end)
        else:
            words = self._word("rating" if empty else "stars").format(n=full, of=full + empty)
            self._write(f" {words}" if before[-1].isalnum() else words)
        if self._after(end).isalnum():
            self._write(" ")
        return end

    def _emoji(self, at: int, end: int) -> int:
        if self._may_grow(end):
            return WAIT
        # "Hi 🙂 there" keeps one of its two spaces.
        spaced = self._before(at).isspace() and self._after(end) == " "
        return end + spaced

    def _comma(self, at: int) -> int:
        """Arrows, bullets and the like between words: a pause."""
        end = self._past(at, markup.SEPARATORS)
        if self._may_grow(end):
            return WAIT
        if self._begun:
            self._write(",")
        return max(end, at + 1)

    # --- entities and escapes --------------------------------------------------------------------

    def _ampersand(self, at: int) -> int:
        if (found := markup.entity(self._text, at, self._end)) is not None:
            if (said := _character(found[0])) is not None:
                if said and said in markup.SEPARATORS:
                    self._write(",")
                elif said.isprintable() and markup.emoji(said) is None:
                    self._write(said)
                return found.end()
        elif (last := self._row_of(at)) > at:
            return self._say(at, last)
        elif self._more and (begun := markup.entity_begun(self._text, at, self._end)) is not None:
            name = begun[1]
            if name is None or _begins_entity(name):
                return WAIT
        return self._say(at, at + 1)

    # --- web addresses ---------------------------------------------------------------------------

    def _address(self, at: int) -> int:
        before = self._before(at)
        if before.isascii() and before.isalnum():
            return self._say(at, at + 1)
        address = markup.address(self._text, at, self._end)
        if address is None:
            # It may be the beginning of one, cut off by the end of the chunk.
            return WAIT if self._more else self._say(at, at + 1)
        if self._may_grow(address.end()):
            return WAIT
        if address.end() - at >= HOLD:
            self._write(spoken_address(address[0]))
            self._in_address = True
            return address.end()
        written = address[0].rstrip(".,;:!?'_")
        self._write(spoken_address(written))
        return at + len(written)

    def _address_tail(self, at: int) -> int:
        end = markup.address_end(self._text, at)
        self._in_address = end is None
        return len(self._text) if end is None else end.start()

    def _pipe(self, at: int) -> int:
        if self._block is not Block.ROW:
            return self._comma(at)
        if (last := self._row_of(at)) > at:
            return last
        content = self._past(at + 1, " \t")
        end = self._past(self._past(content, ":-"), " \t")
        if self._may_grow(end):
            return WAIT
        if self._after(end) in ("", "|", "\n"):
            return end
        if self._begun:
            self._write(", ")
        return content


def spoken_address(address: str) -> str:
    """The host, and a path of one or two plain words; nobody can follow more by ear."""
    found = markup.spoken_address(address)
    return f"{found[1]}{found[2] or ''}" if found else address


def _character(entity: str) -> str | None:
    """What an entity stands for: a blank for each kind of blank, nothing for what is no character."""
    named = entity[1] != "#"
    found = html5.get(entity[1:]) if named else html.unescape(entity).replace("\ufffd", "")
    return None if found is None else found.translate(_BLANK_ENTITIES)


def _begins_entity(name: str) -> bool:
    """Whether there is an entity whose name begins like this."""
    place = bisect_left(_ENTITIES, name)
    return place < len(_ENTITIES) and _ENTITIES[place].startswith(name)
