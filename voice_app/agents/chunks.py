"""The chunks of a streamed chat completion, read from JSON that may be damaged.

Servers cut characters in two, send an ``index`` as text, one object in place of a list, or control
characters as they are. The quick way is a typed decoder; what it refuses is read field by field.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec


class ChunkChoice(msgspec.Struct, gc=False):
    """What a chunk adds to the answer."""

    delta: dict[str, Any] | None = None
    message: dict[str, Any] | None = None
    finish_reason: Any = None


class Chunk(msgspec.Struct, gc=False):
    """One event of a streamed answer, or a whole answer that is not streamed."""

    choices: list[ChunkChoice] | None = None
    error: Any = None
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
    return Chunk(found)


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
