"""What people do on a live call from outside: pull it, end it, speak on it, tell the agent something.

An act is journaled with who did it, once it is known to be possible; a refusal leaves nothing in the journal.
``say``, ``note``, ``mute`` and ``unmute`` happen where the call's session is: every server hears of every
act, by the journal, and does what is about a call of its own (`Supervision.run`).
"""

from __future__ import annotations

import logging
import time
from typing import Final, Literal, TypeAlias

from voice_app.agents import EndCall, Transfer
from voice_app.calls import CallState, HandoffState, HandoffStep
from voice_app.followups import is_report
from voice_app.followups.callbacks import CALL_BACK, NOT_CALL_BACK
from voice_app.journal import JournalError
from voice_app.journal.events import CallbackWanted, Closed, FollowedUp, Supervised
from voice_app.runtime.call_transfer import CallTransfer
from voice_app.runtime.services import Services
from voice_app.twilio import ApiError

SupervisedAct: TypeAlias = Literal["say", "note", "mute", "unmute"]
MAX_ACT_SECONDS: Final = 30.0
"""An act that is heard of so much later, after an outage, is not done any more: the moment is over."""
_STATUSES: Final[dict[int, int]] = {404: 404, 400: 409}
"""What we answer where Twilio refuses: it does not know the call, or the call is over by now (21220)."""

log = logging.getLogger(__name__)


class ActRefusedError(Exception):
    """An act is not possible. The text says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        """As HTTP has it: 400 for a target that is unknown, 404 for a call that is, 409 for one that is over
        or not with the agent, 502 and 503 where Twilio or the journal cannot be asked."""


class Supervision:
    """Acts on the calls of all servers. ``by`` is who does it."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def run(self) -> None:
        """Do what people want done on calls of this server, until cancelled."""
        with self._services.journal.acts() as acts:
            while True:
                entry = await acts.get()
                connection = self._services.registry.sessions.get(entry.call_sid)
                if connection is None or not isinstance(entry.event, Supervised):
                    continue
                if time.time() - entry.at > MAX_ACT_SECONDS:
                    log.warning("call %s: %s came too late", entry.call_sid, entry.event.act)
                else:
                    connection.supervise(entry.event.act, entry.event.text)

    async def act(self, call_sid: str, act: SupervisedAct, by: str, text: str = "") -> None:
        """Speak on a call, tell its agent something, have it be silent, or answer again.

        Raises:
            ActRefusedError: the agent does not have the call.
        """
        connection = self._services.registry.sessions.get(call_sid)
        if connection is None or connection.leaving:
            state = await self._known(call_sid)
            if state.events(Closed):
                raise ActRefusedError(409, f"the call {call_sid} is over")
            if connection is not None or not state.with_agent:
                raise ActRefusedError(409, f"the agent does not have the call {call_sid}")
        self._services.journal.write(call_sid, Supervised(act, by, text))

    async def write_down(
        self, call_sid: str, act: Literal["comment", "done"], by: str, text: str = ""
    ) -> None:
        """Write something down about a call, also one that is over: a comment, or that it is seen to.

        Raises:
            ActRefusedError: the call is unknown.
        """
        await self._known(call_sid)
        self._services.journal.write(call_sid, Supervised(act, by, text))

    async def report(self, call_sid: str, by: str) -> None:
        """Send the report of a call once more, as a further revision.

        Raises:
            ActRefusedError: no report of this call was sent, or given up.
        """
        state = await self._known(call_sid)
        if self._services.settings.report_url is None:
            raise ActRefusedError(409, "reports are not sent: set VOICE_APP_REPORT_URL")
        if not any(is_report(event) for event in state.events(FollowedUp)):
            raise ActRefusedError(409, f"the first report of the call {call_sid} is still to be sent")
        self._services.journal.write(call_sid, Supervised("report", by))
        self._services.followups.news(call_sid)

    async def call_back(self, call_sid: str, by: str, *, stop: bool = False) -> None:
        """Call somebody back now who wants to be, and not when it is time; or not any more (``stop``).

        Raises:
            ActRefusedError: nobody waits for that.
        """
        state = await self._known(call_sid)
        if not state.events(CallbackWanted):
            raise ActRefusedError(409, f"nobody asked on the call {call_sid} to be called back")
        if outcomes := [event.outcome for event in state.events(FollowedUp) if event.step == "callback"]:
            raise ActRefusedError(409, f"that was settled before: {outcomes[-1]}")
        self._services.journal.write(call_sid, Supervised(NOT_CALL_BACK if stop else CALL_BACK, by))

    async def hand_over(
        self, call_sid: str, by: str, wanted: Transfer, *, target: str = "", at_once: bool = False
    ) -> None:
        """Send a call to a person: after what is being said, or ``at_once``.

        ``target`` is who is rung first, at any hour: one of those that take over calls to this number, or an
        address of one. Empty: whoever it is for this reason, at this time.

        Raises:
            ActRefusedError: it is not possible.
        """
        chosen = await self._target(call_sid, target) if target else ""
        told = Supervised("handoff", by, wanted.reason, chosen)
        await self._leave(call_sid, wanted, told, at_once=at_once)

    async def _target(self, call_sid: str, name: str) -> str:
        """The label of a target. Raises `ActRefusedError`."""
        state = await self._known(call_sid)
        if state.handoff.state in (HandoffState.RINGING, HandoffState.TALKING):
            who = state.handoff.target
            raise ActRefusedError(409, f"somebody has the call {call_sid}, or is rung for it: {who}")
        known = self._services.targets_of(state)
        for target in known:
            if name == target.label or name in target.to:
                return target.label
        there_are = ", ".join(target.label for target in known)
        told = f"there are: {there_are}" if known else "nobody does: set VOICE_APP_HANDOFF_TO"
        raise ActRefusedError(400, f"no target {name[:100]!r} takes over calls to this number; {told}")

    async def give_back(self, call_sid: str, by: str) -> None:
        """Send the caller, who talks with a person, back to the agent.

        Raises:
            ActRefusedError: it is not possible.
        """
        state = await self._known(call_sid)
        if state.handoff.state is not HandoffState.TALKING:
            raise ActRefusedError(409, f"no person has the call {call_sid}")
        self._services.journal.write(call_sid, Supervised("return", by))
        transfer = CallTransfer(self._services, call_sid, state)
        transfer.take(HandoffStep.RETURNED)
        try:
            await transfer.redirect()
        except ApiError as error:
            raise ActRefusedError(_STATUSES.get(error.status or 0, 502), str(error)) from None

    async def end(self, call_sid: str, by: str, *, goodbye: str = "", at_once: bool = False) -> None:
        """End a call: after what is being said, and a ``goodbye``, or ``at_once``.

        Raises:
            ActRefusedError: it is not possible.
        """
        told = Supervised("end", by, goodbye)
        await self._leave(call_sid, EndCall("supervisor"), told, goodbye=goodbye, at_once=at_once)

    async def _leave(
        self,
        call_sid: str,
        action: Transfer | EndCall,
        told: Supervised,
        *,
        goodbye: str = "",
        at_once: bool = False,
    ) -> None:
        """Let the agent say its last words where it has the call; else tell Twilio to take the call away."""
        journal, connection = self._services.journal, self._services.registry.sessions.get(call_sid)
        if connection is not None and connection.leave(action, goodbye=goodbye, at_once=at_once):
            journal.write(call_sid, told)
            return
        state = await self._known(call_sid)
        try:
            if state.events(Closed) or (await self._services.calls.fetch(call_sid)).over:
                raise ActRefusedError(409, f"the call {call_sid} is over")
            journal.write(call_sid, told)
            await self._take_away(call_sid, state, action)
        except ApiError as error:
            raise ActRefusedError(_STATUSES.get(error.status or 0, 502), str(error)) from None

    async def _take_away(self, call_sid: str, state: CallState, action: Transfer | EndCall) -> None:
        """Raises `ApiError`."""
        if isinstance(action, EndCall):
            await self._services.calls.complete(call_sid)
            return
        transfer = CallTransfer(self._services, call_sid, state)
        await transfer.begin(action)
        if transfer.handoff.state is HandoffState.REQUESTED:  # else a person is being rung already
            await transfer.redirect()

    async def _known(self, call_sid: str) -> CallState:
        """What is known of a call. Raises `ActRefusedError`."""
        try:
            state = CallState.of(await self._services.journal.events(call_sid))
        except JournalError as error:
            raise ActRefusedError(503, f"the journal cannot be read, so try again: {error}") from None
        if not state.opened:
            raise ActRefusedError(404, f"no call {call_sid} is known here")
        return state
