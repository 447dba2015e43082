"""Deadlines by the method that they call. Setting one again moves it."""

from __future__ import annotations

from collections.abc import Callable

Handler = Callable[[float], None]


class Timers:
    """The deadlines of one session, in seconds on its clock."""

    __slots__ = ("_due",)

    def __init__(self) -> None:
        self._due: dict[Handler, float] = {}

    @property
    def next(self) -> float | None:
        """The earliest deadline."""
        return min(self._due.values()) if self._due else None

    def set(self, handler: Handler, when: float) -> None:
        self._due[handler] = when

    def cancel(self, handler: Handler) -> None:
        self._due.pop(handler, None)

    def clear(self) -> None:
        self._due.clear()

    def run(self, now: float) -> None:
        """Call what is due. A handler may set and cancel deadlines, its own too."""
        for handler in [handler for handler, when in self._due.items() if when <= now]:
            if self._due.get(handler, now + 1) <= now:
                del self._due[handler]
                handler(now)
