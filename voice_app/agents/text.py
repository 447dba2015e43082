"""Text as it enters from models and agents: made fit for UTF-8 and for a voice, piece by piece.

A model server that cuts its answer by tokens may cut through a character: an emoji arrives as two
halves of a surrogate pair in two JSON escapes, or as bytes of which each event has some. The pieces are
joined again; what stays half is dropped, as are control characters and terminal sequences.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

_SUSPECT: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufeff\ufffd-\uffff]")
"""What no voice reads and some encoders refuse. Tabs and line feeds stay, they end words."""
_TERMINAL: Final = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|[@-Z\\\\-_])|\x9b[0-?]*[ -/]*[@-~]")
"""Control sequences of terminals (ECMA-48): colours and cursor moves."""
_SPACES: Final = dict.fromkeys(map(ord, "\x0b\x0c\x1c\x1d\x1e\x1f\x85"), " ") | {ord("\r"): "\n"}
_HIGH_THEN_LOW: Final = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_ESCAPED_BYTES: Final = re.compile("[\udc80-\udcff]+")
_OPEN_END: Final = re.compile("(?:[\ud800-\udbff]|\r|\x1b[\\[0-9;?]{0,16})\\Z")
"""What the next piece may complete: half a pair, half of CRLF, half of a sequence."""
_ESCAPED_END: Final = re.compile("[\udcc2-\udcdf\udce0-\udcef\udcf0-\udcf4][\udc80-\udcbf]{0,2}\\Z")
"""A first byte of a character in UTF-8, and some that continue it."""


class TextRepair:
    """Repairs one stream of text. What a piece leaves unfinished is kept for the next one."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, text: str) -> str:
        """The text that is whole now; perhaps none."""
        if not self._rest and ((text.isascii() and text.isprintable()) or _SUSPECT.search(text) is None):
            return text
        text = _HIGH_THEN_LOW.sub(_joined_pair, self._rest + text)
        end = _OPEN_END.search(text) or _ESCAPED_END.search(text)
        whole = len(text) if end is None or _is_whole(end[0]) else end.start()
        self._rest = text[whole:]
        return _cleaned(text[:whole])

    def drop(self) -> None:
        """What follows does not belong to what came: a half that waits stays half."""
        self._rest = ""


def cleaned(text: str) -> str:
    """A whole text, repaired."""
    return text if _SUSPECT.search(text) is None else _cleaned(text)


def cleaned_json(value: Any) -> Any:
    """A JSON value with every text in it repaired, keys included."""
    if isinstance(value, str):
        return cleaned(value)
    if isinstance(value, Mapping):
        return {cleaned_json(key): cleaned_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned_json(item) for item in value]
    return value


def _cleaned(text: str) -> str:
    text = _HIGH_THEN_LOW.sub(_joined_pair, text)
    text = _ESCAPED_BYTES.sub(_joined_bytes, text)
    text = _TERMINAL.sub("", text.replace("\r\n", "\n")).translate(_SPACES)
    return _SUSPECT.sub("", text)


def _joined_pair(found: re.Match[str]) -> str:
    return found[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def _joined_bytes(found: re.Match[str]) -> str:
    """Bytes that were no UTF-8 by themselves (``surrogateescape``) and may be one together."""
    return found[0].encode("utf-8", "surrogateescape").decode("utf-8", "ignore")


def _is_whole(end: str) -> bool:
    """Whether the bytes at the end of a text are a character already."""
    needed = 2 if end[0] < "\udce0" else 3 if end[0] < "\udcf0" else 4
    return end[0] >= "\udc80" and len(end) >= needed


def fingerprint(*parts: bytes) -> str:
    """Twelve hexadecimal digits that tell these parts from any others."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8) + part)
    return digest.hexdigest()[:12]
