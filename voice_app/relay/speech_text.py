"""Speakable text: what models write, turned into what a voice can say, while it streams.

Markdown loses its marks and keeps its words; emoji go; web addresses become short. Everything else
passes byte for byte. Theory of operation:

- Text without a special character, in a line that is no block, is returned as it came: one search.
- Anything else loses what is not for the caller (`ControlText`), and goes through `_step`, which reads one
  construct at a time. A construct that could still turn out differently with the next characters is held
  back, never more than `HOLD` characters of it, and every decision looks at most `HOLD` characters ahead.
  So how the text was cut into chunks never changes what comes out.
- What opens is held back until it is closed, or is too old to be (`SpokenText`); no text is read twice.

What becomes of what:

| written | spoken |
|---|---|
| ``**bold**``, ``_it_``, ``~~old~~``, `` `code` `` | the words; without the closing mark the mark stays |
| ``2 * 3``, ``*67``, ``press *.``, ``2**10``, ``snake_case`` | as written |
| ``# Heading``, ``- item``, ``| a | b |`` | the words, and a full stop at the end of the line |
| ``---``, ``|---|---|``, fence lines and their language tag | nothing; the code itself stays |
| ``[text](address)``, ``![text](address)`` | the text |
| ``[1]`` after a word, ``[^1]``, ``【4†source】``, ``[1]: address`` | nothing; ``row[3]`` is "row 3" |
| ``https://www.example.com/pay?x=1`` | ``example.com/pay``: the host, and a path of plain words |
| ``<br>``, ``<b>``, ``<speak>``, ``&amp;``, ``\\*`` | nothing, nothing, nothing, ``&``, ``*`` |
| ``<foo>bar</foo>``, ``Press <enter>`` | "bar", "Press enter" |
| ``<think>…</think>`` and its like | nothing: a model's thoughts are not for the caller |
| ``✓``, ``✗``, ``★★★★☆`` | "yes", "no", "4 out of 5 stars", in the language of the voice |
| emoji, zero-width and private characters | nothing |
| ``→``, ``•`` or ``|`` within a line | a comma |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from voice_app.agents.control_text import ControlText, table
from voice_app.relay import markup
from voice_app.relay.inline_marks import EMPHASIS, READERS, InlineReader
from voice_app.relay.signs import SignReader
from voice_app.relay.text_reader import MAX_LOOKBACK, WAIT, Block

_special: Final = markup.special
_special_at_start: Final = markup.special_at_start
_WANTS_A_STOP: Final = ")\"'”’%€$£°"


class Speakable(InlineReader):
    """One reply on its way to the voice. `feed` it chunk by chunk, then `flush`.

    Pass SSML around it: its tags would be taken for stray markup.
    """

    __slots__ = (
        "_calm",
        "_control",
        "_fence",
        "_fence_is_said",
        "_held",
        "_over",
        "_passed",
        "_skips",
        "_starts",
    )

    def __init__(self, language: str = "") -> None:
        super().__init__(language)
        self._reset()

    def _reset(self) -> None:
        self._control = ControlText()
        self._over = False  # the next text begins a new reply
        self._calm = False  # within a line of plain text: what has no special character passes
        self._starts = True  # the same, at the start of a line
        self._held = ""
        self._passed: list[str] = []  # what was returned as it came, since the last special character
        self._fence = ""  # the mark that opened a code block
        self._fence_is_said = True
        self._skips = False  # to the end of the line
        self._code, self._in_address, self._at = 0, False, 0
        self._prev, self._last, self._block = "\n", "", Block.PLAIN
        self._fresh, self._begun = True, False

    def feed(self, text: str) -> str:
        """What of ``text``, and of what was held back, can be spoken now."""
        if self._calm:
            if _special(text) is None:
                self._passed.append(text)
                return text
            self._control.line_is_blank = False
        elif self._over:
            self._reset()
            return self.feed(text)
        elif self._starts and _special_at_start(text) is None:
            if text and not text.isspace():
                self._starts = self._fresh = False
                self._calm = self._begun = True
            self._passed.append(text)
            return text
        if self._passed:
            self._prev = (self._prev + "".join(self._passed))[-MAX_LOOKBACK:]
            self._passed.clear()
        return self._take(self._held + self._control.feed(text), final=False)

    def flush(self) -> str:
        """The reply is over: what was held back. The next `feed` begins a new reply."""
        is_plain = self._calm or self._starts or self._over
        rest = "" if is_plain else self._take(self._held + self._control.flush(), final=True)
        self._calm = self._starts = False
        self._over = True
        return rest

    # --- reading ---------------------------------------------------------------------------------

    def _take(self, text: str, *, final: bool) -> str:
        self._text = text
        at, size = 0, len(text)
        while at < size:
            self._look(at, final=final)
            step = self._step(at)
            if step == WAIT:
                break
            at = step
        if at:
            self._prev = self._behind(at)
        self._at += at
        self._held = text[at:]
        if final:
            self._out.forget()
        said = self._out.take(self._at)
        plain = self._block is Block.PLAIN and not (
            self._held
            or self._fence
            or self._code
            or self._skips
            or self._in_address
            or self._out.waits
            or self._control.silent
        )
        self._starts = plain and self._fresh
        self._calm = plain and self._begun and not self._fresh
        return said

    def _step(self, at: int) -> int:
        """Read one construct at ``at``; return where it ends, or `WAIT` for more text."""
        if self._skips:
            return self._to_line_end(at)
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
        search = _special if self._block is Block.PLAIN else markup.special_in_block
        found = search(self._text, at)
        if found is None:
            return self._say(at, len(self._text))
        if found.start() > at:
            return self._say(at, found.start())
        char = self._text[at]
        if char == "\n":
            return self._newline(at)
        return READERS.get(char, SignReader._odd_one)(self, at)

    # --- the start of a line ---------------------------------------------------------------------

    def _line_start(self, at: int) -> int:
        blanks_end = self._past(at, " \t\r")
        if blanks_end > at:
            # After a list marker or the like, blanks are part of the mark.
            return blanks_end if self._block is not Block.PLAIN else self._say(at, blanks_end)
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
            return WAIT
        if end - at > 6 or self._after(end) not in ("", " ", "\t", "\n"):
            return None
        self._block = Block.HEADING
        return end

    def _quote(self, at: int) -> int | None:
        if self._may_grow(at + 1):
            return WAIT
        if (last := self._row_of(at)) > at:
            return last
        follows = self._after(at + 1)
        if follows.isdigit() or follows == "=":
            return None  # "> 5" is a quotation, ">5" and ">= 5" are not
        if self._block is Block.PLAIN:
            self._block = Block.QUOTE
        return at + 1

    def _row(self, at: int) -> int | None:
        self._block = Block.ROW
        return None

    def _marker(self, at: int) -> int | None:
        """A list marker, or a line of nothing but marks."""
        if self._may_grow(at + 1):
            return WAIT
        char = self._text[at]
        if char in markup.BULLETS and (last := self._row_of(at)) > at:
            return last
        if char in markup.BULLETS or (char in "-+*" and self._after(at + 1) in (" ", "\t", "\n")):
            self._block = Block.ITEM
            return at + 1
        end = self._past(at, "-*_=|:+ \t")
        if self._may_grow(end):
            return WAIT
        is_rule = end - at >= 3 and self._after(end) in ("", "\n")
        return end if is_rule else None

    def _line_bracket(self, at: int) -> int | None:
        """A box to be ticked, or the definition of a link."""
        text, end = self._text, self._end
        if self._block is Block.ITEM:
            if (box := markup.task(text, at, end)) is not None:
                return box.end()
            return WAIT if self._more and markup.task_begun(text, at, end) else None
        if markup.definition(text, at, end) is not None:
            self._skips = True
            return at
        return WAIT if self._more and markup.definition_begun(text, at, end) else None

    def _to_line_end(self, at: int) -> int:
        end = self._text.find("\n", at)
        if end < 0:
            return len(self._text)
        self._skips = False
        return end

    def _fence_start(self, at: int) -> int | None:
        text = self._text
        mark_end = self._past(at, text[at])
        if self._may_grow(mark_end):
            return WAIT
        fence = markup.fence(text, at, self._end)
        if fence is None:
            return None
        if self._may_grow(fence.end()):
            return WAIT
        if self._after(fence.end()) not in ("", "\n"):
            return None
        self._fence = text[at:mark_end]
        self._fence_is_said = fence[1].strip().lower() not in table().fences
        return min(fence.end() + 1, len(text))

    def _fenced(self, at: int) -> int:
        text = self._text
        if self._before(at) == "\n" and (mark := markup.fence_end(text, at, self._end)) is not None:
            if self._may_grow(mark.end()):
                return WAIT
            if mark[1].startswith(self._fence) and self._after(mark.end()) in ("", "\n"):
                self._fence, self._fresh, self._begun = "", True, False
                return min(mark.end() + 1, len(text))
        end = text.find("\n", at) + 1 or len(text)
        return self._say(at, end) if self._fence_is_said else end

    def _newline(self, at: int) -> int:
        if self._fresh:
            self._out.forget(EMPHASIS)  # a blank line: emphasis does not reach across
        ends = self._block in (Block.HEADING, Block.ITEM, Block.ROW)
        if ends and self._begun and (self._last.isalnum() or self._last in _WANTS_A_STOP):
            self._out.write(".")
        end = self._past(at, "\n")
        if end - at > 1:
            self._out.forget(EMPHASIS)
        self._block, self._fresh, self._begun = Block.PLAIN, True, False
        self._out.write(self._text[at:end])
        return end


def spoken(text: str, language: str = "") -> str:
    """A whole text as a voice can read it, in the language of a BCP-47 tag."""
    speakable = Speakable(language)
    return speakable.feed(text) + speakable.flush()


_OPENERS: Final[dict[str, Callable[[Speakable, int], int | None]]] = {
    "#": Speakable._heading,
    ">": Speakable._quote,
    "|": Speakable._row,
    "`": Speakable._fence_start,
    "~": Speakable._fence_start,
    "[": Speakable._line_bracket,
    **dict.fromkeys(f"-+*_={markup.BULLETS}", Speakable._marker),
}
"""What a character may open at the start of a line. `None` as an answer: nothing, after all."""
