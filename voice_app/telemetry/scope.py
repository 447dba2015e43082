"""On which call, session and turn the code that runs now works: what logs and spans are bound to.

A task has the scope of the code that started it. Scopes hold ids and times only.
"""

from __future__ import annotations

import time
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


class about:  # noqa: N801 - a `with` block reads like a sentence
    """While the block runs, it is about this call."""

    __slots__ = ("_scope", "_token")

    def __init__(self, call_sid: str) -> None:
        self._scope = CallScope(call_sid)

    def __enter__(self) -> CallScope:
        self._token = CALL.set(self._scope)
        return self._scope

    def __exit__(self, *raised: object) -> None:
        CALL.reset(self._token)
