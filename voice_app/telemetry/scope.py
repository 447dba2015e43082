"""On which call, session and turn the code that runs now works: what logs and spans are bound to.

A task has the scope of the code that started it. Scopes hold ids and times only.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final


class CallScope:
    """A call, and the session of it that is open; the session's id comes later than its socket."""

    __slots__ = ("call_sid", "session_id", "session_span")

    def __init__(self, call_sid: str, session_id: str = "") -> None:
        self.call_sid = call_sid
        self.session_id = session_id
        self.session_span: Any = None
        """Under which the spans of its turns belong; `None` where nothing is traced."""


class TurnScope:
    """A turn of the agent's: when it began (`time.monotonic`), and whether its model was asked already."""

    __slots__ = ("began", "model_asked")

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.model_asked = False


CALL: Final[ContextVar[CallScope | None]] = ContextVar("CALL", default=None)
TURN: Final[ContextVar[TurnScope | None]] = ContextVar("TURN", default=None)


@contextmanager
def about(call_sid: str) -> Iterator[CallScope]:
    """While the block runs, it is about this call."""
    scope = CallScope(call_sid)
    token = CALL.set(scope)
    try:
        yield scope
    finally:
        CALL.reset(token)
