"""What goes over the wire as the journal keeps it: documents and frames, cut to a length, without secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

MAX_DOCUMENT: Final = 8_000
"""Characters of a TwiML document that are kept."""
MAX_FRAME: Final = 2_000
"""Characters of a frame that are kept."""
DOTS: Final = "••••"
"""What stands for a secret."""

_SECRET_NAME: Final = re.compile(r"(?i)token|secret|passw|passphrase|pin\b|api.?key|auth|credential")
_LINK: Final = re.compile(r"(/relay/|/console/join/)[\w.~%-]+")
"""Whoever has one may open the session, or read the call."""
_TAG: Final = re.compile(r"<(?:Parameter|Sip|SipUri|Number|Client)\b[^>]*>")
_NAME: Final = re.compile(r"""\bname\s*=\s*["']([^"']*)""")
_VALUE: Final = re.compile(r"""(\bvalue\s*=\s*["'])[^"']*""")
_PASSWORD: Final = re.compile(r"""(\bpassword\s*=\s*["'])[^"']*""")
_USER: Final = re.compile(r"://[^/\s\"'<>@]+@")
_OF_CALLERS: Final = frozenset({"voicePrompt", "digit"})
"""What of a frame may be a caller's secret."""


def kept_document(document: str) -> str:
    """A document without our tokens, passwords, and values of parameters whose names are those of secrets."""
    document = _TAG.sub(_without_secrets, _LINK.sub(_hide, document))
    return (_USER.sub(f"://{DOTS}@", document) if "@" in document else document)[:MAX_DOCUMENT]


def _without_secrets(tag: re.Match[str]) -> str:
    text, name = tag[0], _NAME.search(tag[0])
    if "password" in text:
        text = _PASSWORD.sub(_hide, text)
    return text if name is None or not _is_secret(name[1]) else _VALUE.sub(_hide, text)


def _hide(found: re.Match[str]) -> str:
    """Keep what a secret stands behind. A function: to expand a template takes several times as long."""
    return f"{found[1]}{DOTS}"


@lru_cache(100)
def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def kept_frame(frame: str, *, secret: bool = False) -> str:
    """A frame without values of parameters whose names are those of secrets.

    ``secret``: what the caller says or presses now is one, too.
    """
    if secret or '"customParameters"' in frame:
        try:
            told = msgspec.json.decode(frame)
        except (msgspec.DecodeError, RecursionError):
            return DOTS
        frame = msgspec.json.encode(_hidden(told, secret=secret)).decode()
    return frame[:MAX_FRAME]


def _hidden(frame: Any, *, secret: bool) -> Any:
    if not isinstance(frame, dict):
        return DOTS
    found = dict(frame)
    if secret:
        found |= dict.fromkeys(_OF_CALLERS & found.keys(), DOTS)
    if isinstance(given := found.get("customParameters"), Mapping):
        found["customParameters"] = {
            name: DOTS if _is_secret(str(name)) else value for name, value in given.items()
        }
    return found
