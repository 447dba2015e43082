"""``WS /relay/{token}``: Twilio connects the caller's line to the agent."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.datastructures import Headers

from voice_app import telemetry
from voice_app.agents import messages
from voice_app.agents.protocol import Agent, Call, Keys
from voice_app.calls import CallState
from voice_app.guard import best_of
from voice_app.journal import Journal
from voice_app.journal.events import Conversed, Event, Failed, Reconnected, SocketOpened, Speculated
from voice_app.relay.connection import Connection
from voice_app.relay.session import Session
from voice_app.relay.session_token import Ticket, TicketError
from voice_app.twilio import Conversation
from voice_app.webhooks.desk import Desk
from voice_app.webhooks.signature import RefusedError
from voice_app.webhooks.signed import raw_target

ASGIMessage = MutableMapping[str, Any]

CALLS_TO_REMEMBER = 1000
SECONDS_TO_SETTLE = 0.25
"""How long something that must not happen twice waits for the journal; then it happens regardless."""

log = logging.getLogger(__name__)


class RelayEndpoint:
    """The ASGI application behind the socket's route. Refuses before it accepts."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself keeps no reference
        self._states: OrderedDict[str, tuple[int, dict[str, Any]]] = OrderedDict()
        """The notes of agents by CallSid, each with the number of the call's socket that they are of."""

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[ASGIMessage]],
        send: Callable[[ASGIMessage], Awaitable[None]],
    ) -> None:
        desk = self._desk
        await receive()
        if desk.admission.closing and desk.successors():
            await _unavailable(scope, send)
            return
        try:
            desk.signatures.check_socket(
                raw_target(scope["raw_path"], scope["query_string"]), Headers(scope=scope)
            )
            ticket = desk.tickets.read(scope["path_params"]["token"])
            state, rejoin = await self._admit(ticket)
        except (RefusedError, TicketError) as error:
            log.warning("refused the socket /relay: %s", error)
            telemetry.REFUSED.labels("socket").inc()
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        call_sid = ticket.call_sid
        session, agent = self._session(call_sid, state, rejoin=rejoin)
        await send({"type": "websocket.accept"})
        over = asyncio.Event()
        if desk.lookout is not None:
            desk.beside(desk.lookout.watch(call_sid, over, partial(_found, desk, call_sid)))
        if (warm := getattr(desk.agent, "warm", None)) is not None:
            self._beside(warm(session.call))
        record = CallLog(desk.journal, call_sid).write
        connection = desk.sessions[call_sid] = Connection(receive, send, session, agent, record)
        desk.roster.connected(call_sid)
        try:
            with telemetry.SESSIONS.track_inprogress():
                await connection.run()
        finally:
            over.set()
            if desk.sessions.get(call_sid) is connection:
                del desk.sessions[call_sid]
                desk.roster.disconnected(call_sid)

    async def _admit(self, ticket: Ticket) -> tuple[CallState, bool]:
        """Take a ticket: what is known of its call, and whether Twilio comes back to a session of it.

        A ticket opens one socket, on whichever machine. Where Twilio may come back, it opens another one for
        the same session after the first was lost, also if this process has not noticed yet that it was.
        Raises `TicketError`.
        """
        desk, call_sid = self._desk, ticket.call_sid
        entries = await desk.entries(call_sid)
        state = CallState.of(entries)
        known = ticket.nonce in state.tickets or desk.tickets.is_used(ticket)
        session_id = state.session_to_rejoin(ticket.nonce) if known else None
        if session_id is None or not desk.line(state.parties.number).reconnect:
            try:
                desk.tickets.redeem(ticket, state.tickets)
            except TicketError as error:
                desk.journal.write(call_sid, Failed("socket", str(error)))
                raise
            desk.journal.write(call_sid, SocketOpened(ticket.nonce))
            if desk.journal.shared:
                await desk.journal.settle(SECONDS_TO_SETTLE)
            return state, False
        if (lost := desk.sessions.get(call_sid)) is not None:
            lost.close(1012, "Another socket has taken the place of this one.")
        desk.journal.write(call_sid, Reconnected(session_id))
        telemetry.RECONNECTED.inc()
        known_ids = {entry.id for entry in entries}
        for entry in await desk.entries(call_sid):  # what was written as the first socket was lost
            if entry.id not in known_ids:
                state.take(entry)
        return state, True

    def _session(self, call_sid: str, state: CallState, *, rejoin: bool) -> tuple[Session, Agent]:
        """A session that knows what happened on the call before, on whichever machine that was.

        And the agent to ask on it: ours, which may have to wait for the caller's memory.
        """
        desk, parties = self._desk, state.parties
        line = desk.line(parties.number)
        keys = getattr(desk.agent, "keys", None)
        if not isinstance(keys, Keys):
            keys = Keys(line.keys_length, line.keys_terminator, line.keys_seconds)
        call = Call(
            call_sid,
            parties.from_,
            parties.to,
            "outbound" if parties.outbound else "inbound",
            keys=keys,
            filler=line.filler,
            log=CallLog(desk.journal, call_sid),
        )
        if not self._remember(call, state.sockets if rejoin else state.sockets + 1):
            messages.restore(call, state.tools.values())
        agent = desk.agent
        if desk.recalls is not None:
            agent = desk.recalls.attach(call, parties.caller, agent)
        session = Session(
            call,
            line,
            account_sid=desk.settings.account_sid or "",
            now=asyncio.get_running_loop().time(),
            past=state.resume_state(time.time(), filler=line.filler, reconnect=rejoin),
            setup_seconds=desk.settings.setup_seconds,
        )
        return session, agent

    def _remember(self, call: Call, socket: int) -> bool:
        """Give a call its agent's notes back, and the tools that are running, if its last socket was here.

        ``socket`` numbers the sockets of the call on all machines. Returns whether it was; from now on this
        one is the last.
        """
        last, state = self._states.pop(call.sid, (0, call.state))
        here = last == socket - 1 > 0
        if here:
            call.state = state
        self._states[call.sid] = socket, call.state
        if len(self._states) > CALLS_TO_REMEMBER:
            self._states.popitem(last=False)
        return here

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside the call."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _unavailable(
    scope: MutableMapping[str, Any], send: Callable[[ASGIMessage], Awaitable[None]]
) -> None:
    """Refuse the socket so that a balancer gives it to another server."""
    if "websocket.http.response" in scope.get("extensions", {}):
        await send({"type": "websocket.http.response.start", "status": 503, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b""})
    else:
        await send({"type": "websocket.close", "code": 1013, "reason": ""})


@dataclass(slots=True, frozen=True)
class CallLog:
    """The journal of one call, for its session and its agent."""

    journal: Journal
    call_sid: str

    def write(self, event: Event) -> None:
        """Write an event, and count what is worth counting."""
        self.journal.write(self.call_sid, event)
        match event:
            case Failed(what="agent"):
                telemetry.AGENT_FAILURES.inc()
            case Failed(what="frame"):
                telemetry.MALFORMED.inc()
            case Speculated():
                telemetry.GUESSES.labels("hit" if event.hit else "miss").inc()
                telemetry.SAVED_SECONDS.inc(event.saved_ms / 1000)
            case _:
                pass

    async def settle(self) -> None:
        """Return once what was written would survive a crash, or after a moment."""
        await self.journal.settle(SECONDS_TO_SETTLE)


def _found(desk: Desk, call_sid: str, found: Sequence[Conversation]) -> None:
    """Write the call's conversation to the journal: Twilio makes it some time after the call began."""
    conversation = best_of(found, desk.settings.conversation_configuration)
    if conversation is not None:
        desk.journal.write(call_sid, Conversed(conversation.id, conversation.configuration_id or ""))
        desk.directory.link(conversation.id, call_sid)
        if desk.recalls is not None:
            desk.recalls.conversed(call_sid, conversation.id)
