"""Speakable text: what models write, turned into what a voice can say, while it streams.

Markdown loses its marks and keeps its words; emoji go; web addresses become short. Everything else
passes byte for byte. Theory of operation:

- Text without a special character, in a line that is no block, is returned as it came: one search.
- Anything else goes through `_step`, which reads one construct at a time. A construct that could still
  turn out differently with the next characters is held back, never more than `HOLD` characters of it,
  and every decision looks at most `HOLD` characters ahead. So how the text was cut into chunks never
  changes what comes out.

What becomes of what:

| written | spoken |
|---|---|
| ``**bold**``, ``_it_``, ``~~old~~``, `` `code` `` | the words; ``2 * 3``, ``2*3``, ``snake_case`` stay |
| ``# Heading``, ``- item``, ``| a | b |`` | the words, and a full stop at the end of the line |
| ``---``, ``|---|---|``, fence lines and their language tag | nothing; the code itself stays |
| ``[text](address)``, ``![text](address)`` | the text; a footnote mark is left out |
| ``https://www.example.com/pay?x=1`` | ``example.com/pay``: the host, and a path of plain words |
| ``<br>``, ``<b>``, ``&amp;``, ``\\*`` | nothing, nothing, ``&``, ``*`` |
| ``<think>…</think>`` | nothing: a model's thoughts are not for the caller |
| emoji, zero-width and private characters | nothing |
| ``→``, ``•`` or ``|`` within a line | a comma |
"""

from __future__ import annotations

import string
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from voice_app.relay import markup

HOLD: Final = 256
"""So many characters are held back at most, and looked ahead at most."""

_WAIT: Final = -1
_BLANKS: Final = " \t"
_NAME: Final = string.ascii_letters + string.digits + "#"
_ESCAPABLE: Final = string.punctuation.replace("/", "")
_special: Final = markup.special
_special_at_start: Final = markup.special_at_start


class _Block(Enum):
    """What kind of line we are in."""

    PLAIN = auto()
    HEADING = auto()
    ITEM = auto()
    QUOTE = auto()
    ROW = auto()


class Speakable:
    """One reply on its way to the voice. `feed` it chunk by chunk, then `flush`.

    Pass SSML around it: its tags would be taken for stray markup.
    """

    __slots__ = (
        "_begun", "_block", "_calm", "_code", "_end", "_fence", "_fresh", "_held", "_in_address",
        "_last", "_more", "_open", "_out", "_prev", "_starts", "_text", "_thinks",
    )  # fmt: skip

    def __init__(self) -> None:
        self._text = ""  # what is being read; `_end` is how far we look, `_more` whether more may follow
        self._end = 0
        self._more = True
        self._out: list[str] = []
        self._reset()

    def _reset(self) -> None:
        self._calm = False  # within a line of plain text: what has no special character passes
        self._starts = True  # the same, at the start of a line
        self._held = ""
        self._prev = "\n"  # what came in before, of any length
        self._block = _Block.PLAIN
        self._fresh = True  # only blanks so far in this line
        self._begun = False  # something visible went out in this line
        self._last = ""  # its last visible character; kept in blocks only
        self._open = {"*": 0, "_": 0}  # open emphasis: bit 1 emphasis, bit 2 strong
        self._code = 0  # ticks that opened inline code
        self._fence = ""  # the mark that opened a code block
        self._thinks = False
        self._in_address = False  # in the tail of an address that is too long to hold

    def feed(self, text: str) -> str:
        """What of ``text``, and of what was held back, can be spoken now."""
        if self._calm:
            if _special(text) is None:
                self._prev = text or self._prev
                return text
        elif self._starts and _special_at_start(text) is None:
            if text and not text.isspace():
                self._starts = self._fresh = False
                self._calm = self._begun = True
            self._prev = text or self._prev
            return text
        return self._take(self._held + text, final=False)

    def flush(self) -> str:
        """The reply is over: what was held back. The next `feed` begins a new reply."""
        rest = self._take(self._held, final=True) if self._held else ""
        self._reset()
        return rest

    # --- reading ---------------------------------------------------------------------------------

    def _take(self, text: str, *, final: bool) -> str:
        self._text = text
        at, size = 0, len(text)
        while at < size:
            self._end = min(size, at + HOLD)
            self._more = not final and size - at <= HOLD
            step = self._step(at)
            if step == _WAIT:
                break
            at = step
        if at:
            self._prev = text[at - 1]
        self._held = text[at:]
        plain = self._block is _Block.PLAIN and not (
            self._held or self._fence or self._code or self._thinks or self._in_address
        )
        self._starts = plain and self._fresh
        self._calm = plain and self._begun and not self._fresh
        said, self._out = "".join(self._out), []
        return said

    def _step(self, at: int) -> int:
        """Read one construct at ``at``; return where it ends, or `_WAIT` for more text."""
        if self._thinks:
            return self._thought(at)
        if self._fence:
            return self._fenced(at)
        if self._code:
            return self._inline_code(at)
        if self._in_address:
            return self._address_tail(at)
        if self._fresh:
            return self._line_start(at)
        return self._inline(at)

    def _inline(self, at: int) -> int:
        search = _special if self._block is _Block.PLAIN else markup.special_in_block
        found = search(self._text, at)
        if found is None:
            return self._say(at, len(self._text))
        if found.start() > at:
            return self._say(at, found.start())
        return _READERS.get(self._text[at], Speakable._odd_one)(self, at)

    def _odd_one(self, at: int) -> int:
        if self._text[at] in "hHwW":
            return self._address(at)
        if (emoji := markup.emoji(self._text, at, self._end)) is not None:
            return self._emoji(at, emoji.end())
        return self._comma(at)

    def _say(self, begin: int, end: int) -> int:
        self._write(self._text[begin:end])
        return end

    def _write(self, text: str) -> None:
        self._out.append(text)
        if visible := text.rstrip():
            self._last = visible[-1]
            self._fresh, self._begun = False, True

    def _before(self, at: int) -> str:
        return self._text[at - 1] if at else self._prev[-1]

    def _after(self, at: int) -> str:
        """The character at ``at``; empty at the end of the reply."""
        return self._text[at] if at < len(self._text) else ""

    def _past(self, at: int, chars: str) -> int:
        """Where a run of ``chars`` at ``at`` ends, as far as we look ahead."""
        text, end = self._text, self._end
        while at < end and text[at] in chars:
            at += 1
        return at

    def _may_grow(self, end: int) -> bool:
        """Whether what reaches up to ``end`` could go on in the next chunk."""
        return end >= self._end and self._more

    # --- the start of a line ---------------------------------------------------------------------

    def _line_start(self, at: int) -> int:
        blanks_end = self._past(at, " \t\r")
        if blanks_end > at:
            # After a list marker or the like, blanks are part of the mark.
            return blanks_end if self._block is not _Block.PLAIN else self._say(at, blanks_end)
        char = self._text[at]
        opener = _OPENERS.get(char)
        step = None if opener is None else opener(self, at)
        if step is not None:
            return step
        if char != "\n" and markup.emoji(char) is None:
            self._fresh = False
        return self._inline(at)

    def _heading(self, at: int) -> int | None:
        end = self._past(at, "#")
        if self._may_grow(end):
            return _WAIT
        if end - at > 6 or self._after(end) not in ("", " ", "\t", "\n"):
            return None
        self._block = _Block.HEADING
        return end

    def _quote(self, at: int) -> int | None:
        if self._may_grow(at + 1):
            return _WAIT
        follows = self._after(at + 1)
        if follows.isdigit() or follows == "=":
            return None  # "> 5" is a quotation, ">5" and ">= 5" are not
        if self._block is _Block.PLAIN:
            self._block = _Block.QUOTE
        return at + 1

    def _row(self, at: int) -> int | None:
        self._block = _Block.ROW
        return None

    def _marker(self, at: int) -> int | None:
        """A list marker, or a line of nothing but marks."""
        if self._may_grow(at + 1):
            return _WAIT
        char = self._text[at]
        if char in markup.BULLETS or (char in "-+*" and self._after(at + 1) in (" ", "\t", "\n")):
            self._block = _Block.ITEM
            return at + 1
        end = self._past(at, "-*_=|:+ \t")
        if self._may_grow(end):
            return _WAIT
        is_rule = end - at >= 3 and self._after(end) in ("", "\n")
        return end if is_rule else None

    def _task(self, at: int) -> int | None:
        if self._block is not _Block.ITEM:
            return None
        if (box := markup.task(self._text, at, self._end)) is not None:
            return box.end()
        return _WAIT if self._more and markup.task_begun(self._text, at, self._end) else None

    def _fence_start(self, at: int) -> int | None:
        text = self._text
        mark_end = self._past(at, text[at])
        if self._may_grow(mark_end):
            return _WAIT
        fence = markup.fence(text, at, self._end)
        if fence is None:
            return None
        if self._may_grow(fence.end()):
            return _WAIT
        if self._after(fence.end()) not in ("", "\n"):
            return None
        self._fence = text[at:mark_end]
        return min(fence.end() + 1, len(text))

    def _fenced(self, at: int) -> int:
        text = self._text
        if self._before(at) == "\n" and (mark := markup.fence_end(text, at, self._end)) is not None:
            if self._may_grow(mark.end()):
                return _WAIT
            if mark[1].startswith(self._fence) and self._after(mark.end()) in ("", "\n"):
                self._fence, self._fresh, self._begun = "", True, False
                return min(mark.end() + 1, len(text))
        newline = text.find("\n", at)
        return self._say(at, newline + 1 if newline >= 0 else len(text))

    def _newline(self, at: int) -> int:
        if self._fresh:
            self._open = {"*": 0, "_": 0}  # a blank line: emphasis does not reach across
        ends = self._block in (_Block.HEADING, _Block.ITEM, _Block.ROW)
        if ends and self._begun and (self._last.isalnum() or self._last in ")\"'”’%€$£°"):
            self._out.append(".")
        self._out.append("\n")
        self._block, self._fresh, self._begun = _Block.PLAIN, True, False
        return at + 1

    # --- within a line ---------------------------------------------------------------------------

    def _emphasis(self, at: int) -> int:
        char = self._text[at]
        end = self._past(at, char)
        if self._may_grow(end):
            return _WAIT
        before, after, length = self._before(at), self._after(end), end - at
        within_word = before.isalnum() and after.isalnum()
        if char == "_" and within_word:
            return self._say(at, end)
        closes = not before.isspace()
        bits = min(length, 3)
        if closes and self._open[char] & bits:
            self._open[char] &= ~bits
            return end
        if after and not after.isspace() and (after.isalnum() or not before.isalnum()):
            if length == 1 and within_word:
                return self._say(at, end)  # "2*3"
            self._open[char] |= bits
            return end
        stands_alone = not closes and self._begun and length < 3  # "2 * 3"
        if stands_alone or (closes and length == 1 and before.isalnum()):  # "3.5*"
            return self._say(at, end)
        return end

    def _tick(self, at: int) -> int:
        end = self._past(at, "`")
        if self._may_grow(end):
            return _WAIT
        self._code = end - at
        return end

    def _inline_code(self, at: int) -> int:
        found = markup.ticks(self._text, at)
        if found is None:
            return self._say(at, len(self._text))
        if found.start() > at:
            return self._say(at, found.start())
        if found[0] == "\n":
            self._code = 0
            return self._newline(at)
        end = self._past(at, "`")
        if self._may_grow(end):
            return _WAIT
        if end - at != self._code:
            return self._say(at, end)
        self._code = 0
        return end

    def _tilde(self, at: int) -> int:
        end = self._past(at, "~")
        if self._may_grow(end):
            return _WAIT
        return self._say(at, end) if end - at == 1 else end

    def _bracket(self, at: int) -> int:
        if (note := markup.footnote(self._text, at, self._end)) is not None:
            return note.end()
        if self._more and markup.footnote_begun(self._text, at, self._end):
            return _WAIT
        if self._before(at).isalnum():
            self._write(" ")  # "row[3]"
        return at + 1

    def _bracket_end(self, at: int) -> int:
        if (link := markup.link(self._text, at, self._end)) is not None:
            return link.end()
        if self._more and markup.link_begun(self._text, at, self._end):
            return _WAIT
        if self._after(at + 1) == "[":
            self._write(" ")
        return at + 1

    def _exclamation(self, at: int) -> int:
        before = self._before(at)
        if not before.isspace() and before != "[":
            return self._say(at, at + 1)
        if self._may_grow(at + 1):
            return _WAIT
        return at + 1 if self._after(at + 1) == "[" else self._say(at, at + 1)

    def _pipe(self, at: int) -> int:
        if self._block is not _Block.ROW:
            return self._comma(at)
        content = self._past(at + 1, _BLANKS)
        end = self._past(self._past(content, ":-"), _BLANKS)
        if self._may_grow(end):
            return _WAIT
        if self._after(end) in ("", "|", "\n"):
            return end
        if self._begun:
            self._write(", ")
        return content

    def _comma(self, at: int) -> int:
        if self._begun:
            self._write(",")
        return at + 1

    def _blanks(self, at: int) -> int:
        """Blanks in a block, where they may be the last of a line or of a cell."""
        end = self._past(at, _BLANKS)
        if self._may_grow(end):
            return _WAIT
        follows = self._after(end)
        if follows == "#" and self._block is _Block.HEADING:
            return self._closing_hashes(at, end)
        if follows in ("", "\n") or (follows == "|" and self._block is _Block.ROW):
            return end
        return self._say(at, end)

    def _closing_hashes(self, at: int, hashes: int) -> int:
        end = self._past(hashes, "#")
        line_end = self._past(end, _BLANKS)
        if self._may_grow(line_end):
            return _WAIT
        return line_end if self._after(line_end) in ("", "\n") else self._say(at, end)

    def _backslash(self, at: int) -> int:
        if self._may_grow(at + 1):
            return _WAIT
        follows = self._after(at + 1)
        if follows == "\n":
            return at + 1
        if follows and follows in _ESCAPABLE:
            self._write(follows)
            return at + 2
        return self._say(at, at + 1)

    def _ampersand(self, at: int) -> int:
        end = self._past(at + 1, _NAME)
        name = self._text[at + 1 : end]
        if self._after(end) == ";" and name in markup.ENTITIES:
            self._write(markup.ENTITIES[name])
            return end + 1
        if self._may_grow(end) and any(known.startswith(name) for known in markup.ENTITIES):
            return _WAIT
        return self._say(at, at + 1)

    def _angle(self, at: int) -> int:
        text, end = self._text, self._end
        if (tag := markup.tag(text, at, end)) is not None:
            name = tag[1].lower()
            self._thinks = name in ("think", "thinking") and not tag[0].endswith("/>")
            if name == "br" and self._begun:
                self._write(" ")
            return tag.end()
        if (link := markup.autolink(text, at, end)) is not None:
            self._write(link[1] if "@" in link[1] else _spoken(link[1]))
            return link.end()
        word = markup.placeholder(text, at, end)
        if word is not None and not self._before(at).isalnum():
            self._write(word[1])
            return word.end()
        if self._more and (markup.tag_begun(text, at, end) or markup.autolink_begun(text, at, end)):
            return _WAIT
        return self._say(at, at + 1)

    def _thought(self, at: int) -> int:
        end = markup.thoughts_end(self._text, at)
        if end is not None:
            self._thinks = False
            return end.end()
        # Nothing of it is spoken; only what may be the beginning of the closing tag has to stay in sight.
        tail = self._text.rfind("<", max(at, len(self._text) - len("</thinking>")))
        if tail > at:
            return tail
        return _WAIT if tail == at and self._more else len(self._text)

    def _emoji(self, at: int, end: int) -> int:
        if self._may_grow(end):
            return _WAIT
        # "Hi 🙂 there" keeps one of its two spaces.
        spaced = self._before(at).isspace() and self._after(end) == " "
        return end + spaced

    # --- web addresses ---------------------------------------------------------------------------

    def _address(self, at: int) -> int:
        if self._before(at).isalnum():
            return self._say(at, at + 1)
        address = markup.address(self._text, at, self._end)
        if address is None:
            # It may be the beginning of one, cut off by the end of the chunk.
            return _WAIT if self._more else self._say(at, at + 1)
        if self._may_grow(address.end()):
            return _WAIT
        if address.end() - at >= HOLD:
            self._write(_spoken(address[0]))
            self._in_address = True
            return address.end()
        written = address[0].rstrip(".,;:!?'_")
        self._write(_spoken(written))
        return at + len(written)

    def _address_tail(self, at: int) -> int:
        end = markup.address_end(self._text, at)
        self._in_address = end is None
        return len(self._text) if end is None else end.start()


def _spoken(address: str) -> str:
    """The host, and a path of one or two plain words; nobody can follow more by ear."""
    found = markup.spoken_address(address)
    return f"{found[1]}{found[2] or ''}" if found else address


_OPENERS: Final[dict[str, Callable[[Speakable, int], int | None]]] = {
    "#": Speakable._heading,
    ">": Speakable._quote,
    "|": Speakable._row,
    "`": Speakable._fence_start,
    "~": Speakable._fence_start,
    "[": Speakable._task,
    **dict.fromkeys(f"-+*_={markup.BULLETS}", Speakable._marker),
}
"""What a character may open at the start of a line. `None` as an answer: nothing, after all."""

_READERS: Final[dict[str, Callable[[Speakable, int], int]]] = {
    "\n": Speakable._newline,
    "*": Speakable._emphasis,
    "_": Speakable._emphasis,
    "`": Speakable._tick,
    "~": Speakable._tilde,
    "[": Speakable._bracket,
    "]": Speakable._bracket_end,
    "!": Speakable._exclamation,
    "|": Speakable._pipe,
    " ": Speakable._blanks,
    "\t": Speakable._blanks,
    "\\": Speakable._backslash,
    "&": Speakable._ampersand,
    "<": Speakable._angle,
}
"""What a special character means within a line; `Speakable._odd_one` knows the rest."""
