"""Stops a server so that no call is lost.

Theory of operation. A server goes through these states, only to the right:

    SERVING ──told to stop──▶ DRAINING ──nobody is left, time is up, hurried──▶ CLOSING ──▶ over

- *Draining*: not ready, and no new calls, while live calls go on to their end. Calls that are with people
  have no socket here, but what comes next on them is asked of us: they are waited for, unless another server
  can answer.
- *Closing*: what is left is given away. If there is another server, be it full, the sockets are closed with
  1012; Twilio then asks the action's URL, and whoever gets that question, we too, has the call taken up again
  elsewhere. If there is none, what the agent has said is played to its end, and then a goodbye.

HTTP is answered until the end: Twilio asks what follows each session. To be told to stop again hurries a
drain; to be told a third time ends the process there and then.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from voice_app.calls import GIVEN_UP
from voice_app.findings import counted
from voice_app.runtime import ExpectedNext, Services

SECONDS_BETWEEN_LOOKS: Final = 0.1
SECONDS_BETWEEN_REPORTS: Final = 10.0
SECONDS_FOR_GOODBYE: Final = 15.0
"""How long the agent may take to come to its end, the goodbye included."""
SECONDS_TO_ASK: Final = 10.0
"""How long Twilio may take to close the sockets, and to ask what follows."""

log = logging.getLogger(__name__)


class Drain:
    """The drain of one server. ``seconds`` is how long live calls may go on."""

    def __init__(self, services: Services, seconds: float, kill: Callable[[], None]) -> None:
        self._services = services
        self._registry = services.registry
        self._seconds = seconds
        self._kill = kill
        self._told = 0
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    def tell(self) -> None:
        """Somebody wants the server to stop."""
        self._told += 1
        match self._told:
            case 1:
                self._stop.set()
            case 2:
                self._hurry.set()
            case _:
                self._kill()

    async def run(self) -> None:
        """Return when the server is to stop and every call is over, or given away."""
        await self._stop.wait()
        peers = self._services.peers
        await peers.tell("is about to stop")  # a server that has just come takes the calls that come now
        self._services.admission.drain()
        await peers.tell("stops")
        if found := self._describe():
            log.info("%s; waiting up to %g s; a second signal hurries", found, self._seconds)
            await self._wait()
            await self._close()
            log.info("every call is over or given away")

    # --- draining --------------------------------------------------------------------------------

    async def _wait(self) -> None:
        """Until nobody is left, or time is up."""
        until = time.monotonic() + self._seconds
        report_at = time.monotonic() + SECONDS_BETWEEN_REPORTS
        while (found := self._describe()) and not self._hurry.is_set():
            now = time.monotonic()
            if now >= until:
                return
            if now >= report_at:
                log.info("%s; %.0f s left", found, until - now)
                report_at = now + SECONDS_BETWEEN_REPORTS
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)

    def _describe(self) -> str:
        """Who is waited for; empty if nobody."""
        registry = self._registry
        parked = 0 if self._services.peers.successors else registry.parked
        if not (calls := registry.open + parked):
            return ""
        return f"{counted(calls, 'call')} on the line" + (f" ({parked} without the agent)" if parked else "")

    # --- closing ---------------------------------------------------------------------------------

    async def _close(self) -> None:
        registry = self._registry
        if not registry.open:
            if registry.parked:
                log.info(
                    "%s left without the agent; what follows needs a server", counted(registry.parked, "call")
                )
            return
        await self._services.peers.tell("stops")
        if self._services.peers.successors:
            log.info("%s to go to another server", counted(registry.open, "call"))
            await self._hand_over()
        else:
            log.info("goodbye is said on %s: no other server is ready", counted(registry.open, "call"))
            await self._say_goodbye()
        await self._until(lambda: not registry.open, SECONDS_TO_ASK)
        if registry.open:
            log.warning("%s left: Twilio has not asked what follows", counted(registry.open, "call"))
        elif not self._services.peers.successors:  # nobody else is there to be told that the calls are over
            await self._until(lambda: not registry.ending, ExpectedNext.STATUS.value)

    async def _hand_over(self) -> None:
        """Close the sockets, those that were on their way included; who says goodbye may finish."""
        registry, sessions = self._registry, self._registry.sessions
        await self._until(lambda: not registry.connecting, SECONDS_TO_ASK)
        self._services.admission.close()
        for connection in list(sessions.values()):
            if not connection.leaving:
                connection.close(GIVEN_UP, "Another server takes over.")

    async def _say_goodbye(self) -> None:
        registry, sessions = self._registry, self._registry.sessions

        def nobody_is_left() -> bool:
            for connection in list(sessions.values()):
                connection.dismiss()  # whoever cuts in, or comes only now, is told
            return not (sessions or registry.connecting)

        self._services.admission.close()
        if not await self._until(nobody_is_left, SECONDS_FOR_GOODBYE):
            for connection in list(sessions.values()):
                connection.end()

    async def _until(self, happened: Callable[[], bool], seconds: float) -> bool:
        """Wait for something, so long at most. Returns whether it has happened."""
        until = time.monotonic() + seconds
        while not happened():
            if time.monotonic() >= until:
                return False
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
        return True
