"""Deadlines by the method that they call. Setting one again moves it."""

from __future__ import annotations

from collections.abc import Callable

Handler = Callable[[float], None]


class Timers:
    """The deadlines of one session, in seconds on its clock."""

    __slots__ = ("_due", "_next")

    def __init__(self) -> None:
        self._due: dict[Handler, float] = {}
        self._next: float | None = None
        """The earliest, where it is known; looked for when it is asked for."""

    @property
    def next(self) -> float | None:
        """The earliest deadline."""
        if self._next is None and self._due:
            self._next = min(self._due.values())
        return self._next

    def set(self, handler: Handler, when: float) -> None:
        self._due[handler] = when
        self._next = None

    def cancel(self, handler: Handler) -> None:
        if self._due.pop(handler, None) is not None:
            self._next = None

    def clear(self) -> None:
        self._due.clear()
        self._next = None

    def run(self, now: float) -> None:
        """Call what is due. A handler may set and cancel deadlines, its own too."""
        for handler in [handler for handler, when in self._due.items() if when <= now]:
            if self._due.get(handler, now + 1) <= now:
                self.cancel(handler)
                handler(now)
