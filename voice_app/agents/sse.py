"""The body of a streamed answer: server-sent events, lines of JSON or one document, and the chunks in them.

Reference: the HTML standard, section 9.2.6 "Interpreting an event stream". What servers do differently
is told from the bytes, never from the content type: events without a blank line between them, JSON
lines without ``data:``, one plain JSON document, a byte order mark, any kind of line end. The JSON may be
damaged, too: servers cut characters in two, send an ``index`` as text, one object in place of a list, or
control characters as they are. The quick way is a typed decoder; what it refuses is read field by field.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec

from voice_app.agents.failures import ModelError

MAX_EVENT: Final = 1 << 20
"""Bytes of one event, or of a whole JSON document; more is no answer of a model."""
_BOM: Final = b"\xef\xbb\xbf"

T = TypeVar("T")


class EventReader(Generic[T]):
    """Values out of bytes, however they are cut.

    ``decode`` is given the data of an event and the event's name. It returns `None` for what is not a
    whole value of the kind that is looked for: then the lines of the event are tried together.
    """

    __slots__ = (
        "_decode",
        "_in_document",
        "_lines",
        "_name",
        "_rest",
        "_size",
        "_skip_lf",
        "_started",
        "junk",
        "unfinished",
    )

    def __init__(self, decode: Callable[[bytes, bytes], T | None]) -> None:
        self.junk = b""
        """The beginning of the first data that was of no use."""
        self.unfinished = False
        """The stream stopped in the middle of a value."""
        self._decode = decode
        self._rest = b""
        self._lines: list[bytes] = []  # the data of the event that is not over
        self._size = 0
        self._name = b""
        self._started = False
        self._in_document = False
        self._skip_lf = False

    def feed(self, data: bytes) -> list[T]:
        """The values that are complete now. Raises `ModelError` for an endless one."""
        if not data:
            return []
        if (whole := self._whole_events(data)) is not None:
            return whole
        after_cr, self._skip_lf = self._skip_lf, data.endswith(b"\r")
        if after_cr:
            data = data.removeprefix(b"\n")
        lines = (self._rest + data if self._rest else data).splitlines(keepends=True)
        self._rest = lines.pop() if lines and lines[-1][-1:] not in b"\r\n" else b""
        self._limit(len(self._rest))
        values: list[T] = []
        for line in lines:
            self._read_line(line.rstrip(b"\r\n"), values)
        return values

    def _whole_events(self, data: bytes) -> list[T] | None:
        """The usual case by far, and cheap: a piece that is a number of events of one line each."""
        if (
            not (data.startswith(b"data: {") and data.endswith(b"\n\n"))
            or b"\r" in data
            or self._rest
            or self._lines
            or self._name
        ):
            return None
        events = data[6:-2].split(b"\n\ndata: ")
        if data.count(b"\n") != 2 * len(events):
            return None
        values: list[T] = []
        for event in events:
            if (value := self._decode(event, b"")) is None:
                return None
            values.append(value)
        self._started, self._skip_lf = True, False
        return values

    def close(self) -> list[T]:
        """The stream is over: its last values, whatever is missing behind them."""
        values: list[T] = []
        if self._rest:
            rest, self._rest = self._rest, b""
            self._read_line(rest, values)
        waiting = bool(self._lines)
        self._dispatch(values)
        self.unfinished = waiting and not values
        return values

    def _read_line(self, line: bytes, values: list[T]) -> None:
        line = line.removeprefix(_BOM)
        if line[:5] == b"data:":
            self._started = True
            self._read_data(line[6:] if line[5:6] == b" " else line[5:], values)
            return
        if not self._started and line.strip():
            self._started, self._in_document = True, line.lstrip()[:1] in b"{["
        if self._in_document or line[:1] in (b"{", b"["):
            self._read_data(line, values)
        elif not line:
            self._dispatch(values)
        else:
            self._read_field(line, values)

    def _read_field(self, line: bytes, values: list[T]) -> None:
        field, _, value = line.partition(b":")
        if not field:
            return  # a comment
        match field.strip().lower():
            case b"data":
                self._read_data(value.removeprefix(b" "), values)
            case b"event":
                self._name = value.strip()
            case b"id" | b"retry":
                pass
            case _:
                self.junk = self.junk or line[:200]

    def _read_data(self, data: bytes, values: list[T]) -> None:
        """A line that is a value by itself is one; others wait for the end of their event."""
        if (not self._in_document or not self._lines) and data:
            value = self._decode(data, self._name)
            if value is not None:
                values.append(value)
                self._forget()
                return
        self._lines.append(data)
        self._size += len(data) + 1
        self._limit(self._size)

    def _dispatch(self, values: list[T]) -> None:
        if lines := self._lines:
            data = b"\n".join(lines)
            value = self._decode(data, self._name) if len(lines) > 1 else None
            if value is not None:
                values.append(value)
            else:
                self.junk = self.junk or data.strip()[:200]
        self._forget()
        self._name = b""

    def _forget(self) -> None:
        if self._lines:
            self._lines, self._size = [], 0

    def _limit(self, size: int) -> None:
        if size > MAX_EVENT:
            raise ModelError("broken", f"the model sent an event of more than {MAX_EVENT} bytes")


class ChunkChoice(msgspec.Struct, gc=False):
    """What a chunk adds to the answer."""

    delta: dict[str, Any] | None = None
    message: dict[str, Any] | None = None
    finish_reason: Any = None


class Chunk(msgspec.Struct, gc=False):
    """One event of a streamed answer, or a whole answer that is not streamed."""

    choices: list[ChunkChoice] | None = None
    error: Any = None
    usage: Any = None
    """Tokens, where the endpoint tells them: with the last choice, or behind it without any."""
    done: bool = False
    """It is the ``[DONE]`` behind the last one."""


_fast: Final = msgspec.json.Decoder(Chunk).decode
_DONE: Final = Chunk(done=True)


def read_chunk(data: bytes, name: bytes) -> Chunk | None:
    """The chunk in an event's data; `None` for what is none."""
    try:
        chunk = _fast(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        if data.strip(b' "\t').upper() == b"[DONE]":
            return _DONE
        return _read_leniently(data, name)
    if chunk.choices is not None or chunk.error:
        chunk.done = False
        return chunk
    return _read_leniently(data, name) if name == b"error" or b'"error"' in data else None


def _read_leniently(data: bytes, name: bytes) -> Chunk | None:
    """A chunk with half characters, control characters or fields of other types in it; or an error."""
    text = data.decode("utf-8", "surrogateescape").lstrip("\ufeff \t")
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        value = text if name == b"error" else None
    if name == b"error" and value and not (isinstance(value, dict) and value.get("error")):
        return Chunk(error=value)
    if not isinstance(value, dict):
        return None
    if value.get("error") or value.get("object") == "error":
        return Chunk(error=value.get("error") or value)
    choices = value.get("choices")
    if isinstance(choices, dict):
        choices = [choices]
    if not isinstance(choices, list):
        return None
    found = []
    for choice in choices:
        if isinstance(choice, dict):
            delta, message = choice.get("delta"), choice.get("message")
            found.append(
                ChunkChoice(
                    delta if isinstance(delta, dict) else None,
                    message if isinstance(message, dict) else None,
                    choice.get("finish_reason"),
                )
            )
    return Chunk(found, usage=value.get("usage"))


def spoken(content: Any) -> str:
    """The words of a ``content``: text, or a list of parts of which those of text count."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        return ""
    return "".join(map(_text_of_part, content))


def _text_of_part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict) or part.get("type", "text") not in ("text", "output_text", "refusal"):
        return ""
    text = part.get("text") or part.get("refusal")
    return text if isinstance(text, str) else ""
