"""Lines of the log: safe to read, bound to the call and session that they are about.

A line is one entry whatever is in it: control characters are written as escapes, so that nothing a caller,
a header or an endpoint says can look like an entry of its own. Phone numbers are masked, and long values
cut. What exceptions and endpoints say may hold a caller's words: it is left out, unless ``details``.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from types import TracebackType
from typing import Any, Final, TypeAlias

from voice_app.telemetry.scope import CALL

MAX_EVENT: Final = 2_000
"""Characters of an entry, its traceback aside."""
MAX_FRAMES: Final = 30
"""Of a traceback: the innermost ones."""
DETAIL: Final = {"voice_app_detail": True}
"""The ``extra`` of an entry that may hold what was said: it is logged with `VOICE_APP_LOG_DETAILS` alone."""

_NUMBER: Final = re.compile(
    r"(?:\+|%2[Bb])[\d][\d\s().-]{5,20}\d"  # +1 (555) 010-0001
    r"|(?<![\w.:/-])\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?!\w)"  # (555) 010-0001
    r"|(?<![\w.:-])\d{9,19}(?![\w.:-])"  # 15550100001, and numbers of cards
)
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")

Event: TypeAlias = MutableMapping[str, Any]
ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]


def masked(text: str) -> str:
    """A text in which of every phone number two digits are left."""
    return _NUMBER.sub(lambda found: f"…{found[0][-2:]}", text)


def escaped(text: str) -> str:
    """A text in one line, without characters that steer a terminal."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def safe(text: str) -> str:
    """A text as it may be logged."""
    if len(text) > MAX_EVENT:
        text = f"{text[:MAX_EVENT]}… ({len(text)} characters)"
    return escaped(masked(text))


def described(exc_info: ExcInfo, *, details: bool) -> list[str]:
    """A traceback in lines: where it was, and the exceptions' types. What they say is a detail."""
    found = traceback.TracebackException(*exc_info, compact=True)
    return [safe(line) for part in _parts(found, details=details) for line in part.rstrip("\n").split("\n")]


def _parts(found: traceback.TracebackException, *, details: bool) -> Iterator[str]:
    before = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
    if before is not None:
        yield from _parts(before, details=details)
        yield "then:"
    yield from traceback.StackSummary.from_list(found.stack[-MAX_FRAMES:]).format()
    name = found.exc_type.__qualname__
    yield f"{name}: {found}" if details else name
    for one in found.exceptions or ():
        yield "one of them:"
        yield from _parts(one, details=details)


def formatter(*, as_json: bool, details: bool) -> logging.Formatter:
    """What makes lines of records."""
    structlog = _structlog()

    def bind(_: Any, __: str, event: Event) -> Event:
        scope = CALL.get()
        if scope is not None:
            event["call"] = scope.call_sid
            if scope.session_id:
                event["session"] = scope.session_id
        return event

    def clean(_: Any, __: str, event: Event) -> Event:
        event["event"] = safe(str(event["event"]))
        exc_info = event.pop("exc_info", None)
        if isinstance(exc_info, tuple) and exc_info[0] is not None:
            event["exception"] = described(exc_info, details=details)
        return event

    made: logging.Formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            bind,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            clean,
            _as_json if as_json else _as_text,
        ],
    )
    return made


def _as_json(_: Any, __: str, event: Event) -> str:
    """An object: ``at``, ``level``, ``logger``, ``event``; ``call``, ``session``, ``exception`` if any."""
    return json.dumps(event, default=str, ensure_ascii=False)


def _as_text(_: Any, __: str, event: Event) -> str:
    """A line for people; below it, indented, the traceback."""
    text = event["event"]
    ids = [f"{name} {event[name]}" for name in ("call", "session") if event.get(name, text) not in text]
    about = f" [{', '.join(ids)}]" if ids else ""
    lines = "".join(f"\n  | {line}" for line in event.get("exception", ()))
    return f"{event['at'][:23]}Z {event['level'].upper()} {event['logger']}: {text}{about}{lines}"


def _structlog() -> Any:
    """structlog without Rich, which it would import for tracebacks that are not ours: half of its cost."""
    hidden = "rich" not in sys.modules
    if hidden:
        sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        import structlog
    finally:
        if hidden:
            del sys.modules["rich"]
    return structlog
