"""Trouble at the worst moment: a request at which something is done to who sent it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from starlette.types import ASGIApp, Message, Receive, Scope, Send

When: TypeAlias = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Trap:
    """One request that is caught: before it is handled, or when it is and the answer is about to leave."""

    method: str
    path: str
    """A regular expression for the end of the path."""
    when: When

    def fits(self, scope: Scope, when: When) -> bool:
        return (
            when == self.when
            and scope["method"] == self.method
            and re.search(f"{self.path}$", scope["path"]) is not None
        )


class Trapped:
    """An application in which traps are laid. Each snaps once."""

    def __init__(self, app: ASGIApp, traps: Iterable[Trap]) -> None:
        self._app = app
        self.traps = list(traps)
        self.snap: Callable[[], None] = lambda: None
        """Called when somebody is caught."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._check(scope, "before")

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._check(scope, "after")
            await send(message)

        await self._app(scope, receive, sending)

    def _check(self, scope: Scope, when: When) -> None:
        for trap in [trap for trap in self.traps if trap.fits(scope, when)]:
            self.traps.remove(trap)
            self.snap()
            raise ConnectionAbortedError(f"caught: {trap}")
