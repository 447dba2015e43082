"""Takes out of a model's words what is not for the caller: thoughts, control marks, tool calls as text.

`control_text.toml` is the table of all that; nothing else knows any of its marks. Every mark is one short
token in brackets, so a text is read once from left to right, whatever is in it.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

MAX_MARK: Final = 80
"""Characters of the longest mark: held back at most, until it is known whether they are one."""
MAX_HEAD: Final = 120
"""Characters of the head of a message at most."""
_MAX_OPENING: Final = 1_000

_TOKEN: Final = re.compile(
    r"<[^\s<>]{1,64}(?: name=[^\s<>]{1,64})?>|\[/?[A-Za-z_]{3,20}\]|◁/?[A-Za-z]{1,8}▷"
    r'|\{\s{0,8}"(?:name|function|tool|tool_name|tool_calls?|arguments|recipient_name)"\s{0,4}:'
)
_TOKEN_BEGUN: Final = re.compile(r"<[^\s<>]{1,64}(?: (?:n(?:a(?:m(?:e(?:=[^\s<>]{0,64})?)?)?)?)?)?")
_CALL_BEGUN: Final = re.compile(r'\{\s{0,8}(?:"(?:[a-z_]{0,14}(?:"\s{0,4})?)?)?\Z')
_BRACES: Final = re.compile(r"[{}]")
_SPACE: Final = re.compile(r"\s")


@dataclass(slots=True, frozen=True)
class _Table:
    spans: dict[str, frozenset[str]]
    heads: dict[str, frozenset[str]]
    thought_ends: frozenset[str]
    message_ends: frozenset[str]
    silent: frozenset[str]
    alone: frozenset[str]
    wild: tuple[tuple[re.Pattern[str], str], ...]
    begins: frozenset[str]
    fences: frozenset[str]

    def known(self, token: str) -> str | None:
        """A mark as the table has it; `None` for what is none."""
        name = token.lower()
        if name in self.spans or name in self.heads or name in self.alone:
            return name
        return next((wild for pattern, wild in self.wild if pattern.fullmatch(name)), None)


@cache
def table() -> _Table:
    """The marks of `control_text.toml`."""
    data = tomllib.loads(resources.files("voice_app.agents").joinpath("control_text.toml").read_text("utf-8"))
    spans = {name: frozenset(ends) for name, ends in [*data["thoughts"].items(), *data["calls"].items()]}
    heads = {name: frozenset(ends) for name, ends in data["heads"].items()}
    marks = data["marks"]
    ends = frozenset(marks["ends"].split())
    closers = frozenset[str]().union(*spans.values(), *heads.values())
    every = {*spans, *heads, *closers, *ends, *marks["alone"].split()}
    wild = sorted((name for name in every if "*" in name), key=len, reverse=True)
    return _Table(
        spans,
        heads,
        thought_ends=frozenset[str]().union(*map(frozenset, data["thoughts"].values())),
        message_ends=ends | heads.keys(),
        silent=frozenset(marks["silent"].split()),
        alone=frozenset(every - spans.keys() - heads.keys()),
        wild=tuple((re.compile(re.escape(name).replace(r"\*", "[^<>]{1,64}")), name) for name in wild),
        begins=frozenset(name[:end] for name in every for end in range(1, len(name.partition("*")[0]) + 1)),
        fences=frozenset(marks["fences"].split()),
    )


class ControlText:
    """One answer of a model on its way out. `feed` it piece by piece, then `flush`.

    ``in_thoughts``: the answer begins within thoughts whose opening mark was part of the prompt.
    """

    __slots__ = ("_closers", "_depth", "_head", "_head_ends", "_held", "_mark", "line_is_blank")

    def __init__(self, *, in_thoughts: bool = False) -> None:
        self.line_is_blank = True
        """Nothing but blanks so far in this line: a JSON object that begins here may be a tool call."""
        self._held = ""
        self._closers: frozenset[str] | None = table().thought_ends if in_thoughts else None
        self._mark = "<think>" if in_thoughts else ""  # what the silence, or the head, began with
        self._head: str | None = None
        self._head_ends: frozenset[str] = frozenset()
        self._depth = 0  # of braces, in a call as JSON

    @property
    def silent(self) -> bool:
        """Something is going on that is not for the caller, or may be."""
        return bool(self._held or self._depth) or self._closers is not None or self._head is not None

    def feed(self, text: str) -> str:
        """What of ``text``, and of what was held back, is for the caller."""
        return self._read(self._held + text, final=False)

    def flush(self) -> str:
        """The answer is over: what was held back."""
        return self._read(self._held, final=True)

    def release(self) -> str:
        """What another reader has to be given, before the rest of the answer, to be as far as this one."""
        if self._depth:
            return self._mark + "{" * (self._depth - 1)
        if self._closers is not None:
            return self._mark + self._held
        return self._held if self._head is None else f"{self._mark}{self._head}{self._held}"

    def _read(self, text: str, *, final: bool) -> str:
        out: list[str] = []
        at, size = 0, len(text)
        while at < size:
            if self._depth:
                at = self._call(text, at)
                continue
            found = _TOKEN.search(text, at)
            end = found.start() if found is not None else size if final else _certain(text, at)
            if end > at:
                self._plain(text[at:end], out)
            at = end
            if found is None:
                break
            at = self._token(found[0], at, out)
        self._held = text[at:]
        return "".join(out)

    def _plain(self, text: str, out: list[str]) -> None:
        """Text without a mark in it."""
        if self._head is not None:
            text = self._head_text(text)
        if text and self._closers is None and self._head is None:
            _, newline, line = text.rpartition("\n")
            self.line_is_blank = (bool(newline) or self.line_is_blank) and not line.strip()
            out.append(text)

    def _head_text(self, text: str) -> str:
        """Take in what belongs to the head; returns what does not."""
        head = self._head or ""
        if not self._head_ends:
            begin = len(text) - len(text.lstrip()) if not head else 0
            space = _SPACE.search(text, begin)
            if space is None:
                self._head = head + text[begin:]
                return ""
            self._head = head + text[begin : space.start()]
            self._end_head(text[space.start()])
            return text[space.start() :]
        self._head = (head + text)[:MAX_HEAD]
        if len(head) + len(text) <= MAX_HEAD:
            return ""
        self._end_head("")
        return text[MAX_HEAD - len(head) :]

    def _end_head(self, end: str) -> None:
        words = (self._head or "").lower().split()
        self._mark, self._head = f"{self._mark}{self._head}{end}", None
        marks = table()
        is_silent = bool(words) and (words[0].partition(".")[0] in marks.silent or words[0][:3] == "to=")
        if is_silent or any(word.startswith("to=") for word in words):
            self._closers = marks.message_ends

    def _token(self, token: str, at: int, out: list[str]) -> int:
        """A short text in brackets; returns where reading goes on."""
        end = at + len(token)
        if token[0] == "{":
            if self._closers is None and self._head is None and self.line_is_blank:
                self._mark = token
                return self._call(token, 0) + at
            self._plain(token[0], out)
            return at + 1
        marks = table()
        name = marks.known(token)
        if self._closers is not None:
            if name not in self._closers:
                return end
            self._closers = None
        if self._head is not None:
            if name is None or (self._head_ends and name not in self._head_ends):
                self._plain(token, out)
                return end
            self._end_head(token)
            if name not in marks.heads:
                return end
            self._closers = None
        if name is None:
            self._plain(token, out)
        elif name in marks.spans:
            self._closers, self._mark = marks.spans[name], token
        elif name in marks.heads:
            self._head, self._head_ends, self._mark = "", marks.heads[name], token
        return end

    def _call(self, text: str, at: int) -> int:
        """A tool call as JSON, to the brace that closes it."""
        for brace in _BRACES.finditer(text, at):
            self._depth += 1 if brace[0] == "{" else -1
            if not self._depth:
                return brace.end()
        return len(text)


def _certain(text: str, at: int) -> int:
    """Up to where a text without a whole mark holds none: behind that, one may have begun."""
    begin = max(at, len(text) - MAX_MARK)
    places = [text.rfind(bracket, begin) for bracket in "<[◁{"]
    return min((place for place in places if place >= 0 and _may_begin(text[place:])), default=len(text))


def _may_begin(tail: str) -> bool:
    if tail[0] == "{":
        return _CALL_BEGUN.match(tail) is not None
    tail = tail.lower()
    if tail in table().begins:
        return True
    wild = any(tail.startswith(name.partition("*")[0]) for _, name in table().wild)
    return wild and _TOKEN_BEGUN.fullmatch(tail) is not None


class Opening:
    """The beginning of an answer, held back until there is a word in it.

    Blanks, emoji and thoughts are no answer: as long as nothing else came, the model may be asked once
    more, and the caller has heard nothing yet.
    """

    __slots__ = ("_control", "_text")

    def __init__(self, *, in_thoughts: bool = False) -> None:
        self._text = ""
        self._control = ControlText(in_thoughts=in_thoughts)

    def feed(self, text: str) -> str:
        """The words so far, once there are any; what comes later need not be fed."""
        self._text += self._control.feed(text)
        if any(map(str.isalnum, self._text)):
            return self._text + self._control.release()
        self._text = self._text[-_MAX_OPENING:]
        return ""
