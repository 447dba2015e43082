"""``WS /relay/{token}``: Twilio connects the caller's line to the agent."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any, Final

from cachetools import LRUCache
from starlette.datastructures import Headers

from voice_app.agents import Agent, Call, Keys, hook, messages
from voice_app.calls import GIVEN_UP, CallState, Parties
from voice_app.journal import Entry, Journal, JournalError
from voice_app.journal.events import (
    Acted,
    AgentAssigned,
    Connected,
    Conversed,
    Event,
    Failed,
    Reconnected,
    SocketOpened,
    Speculated,
)
from voice_app.relay.connection import DIRECT_SOCKET, Connection, Receive, Send
from voice_app.relay.frame_log import FrameLog
from voice_app.relay.session import Session
from voice_app.relay.session_token import Ticket, TicketError
from voice_app.relay.turn_clock import Meter
from voice_app.runtime import Refusals, Services
from voice_app.telemetry import attributes as names
from voice_app.telemetry import metrics, traces
from voice_app.telemetry.metrics import Stage
from voice_app.telemetry.scope import CALL, about
from voice_app.twilio import Conversation
from voice_app.webhooks.routing import raw_target
from voice_app.webhooks.signature import RequestRefusedError, Signatures

ASGIMessage = MutableMapping[str, Any]

MAX_STATES: Final = 1000
"""Calls whose agent's notes are kept, for their next socket."""
LATE_SECONDS: Final = (0.5, 0.5, 1.0, 2.0, 4.0, 8.0)
"""The pauses between looks for the history of a call that could not be read as its session began."""
SETTLE_SECONDS: Final = 0.25
"""How long something that must not happen twice waits for the journal; then it happens regardless."""
SECONDS_TO_BEGIN: Final = 1.0
"""From the opening of a socket on another server until it is known that no session begins there."""

log = logging.getLogger(__name__)


class RelayEndpoint:
    """The ASGI application behind the socket's route. Refuses before it accepts."""

    def __init__(self, services: Services, signatures: Signatures) -> None:
        self._services = services
        self._signatures = signatures
        self._refusals = Refusals("socket", log, "sockets that were not Twilio's")
        self._states: LRUCache[str, tuple[int, dict[str, Any]]] = LRUCache(MAX_STATES)
        """The notes of agents by CallSid, each with the number of the call's socket that they are of."""

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[ASGIMessage]],
        send: Callable[[ASGIMessage], Awaitable[None]],
    ) -> None:
        services = self._services
        await receive()
        if services.admission.closing and services.peers.successors:
            await _unavailable(scope, send)
            return
        try:
            target = raw_target(scope["raw_path"], scope["query_string"])
            self._signatures.check_socket(target, Headers(scope=scope))
            ticket = services.tickets.read(scope["path_params"]["token"])
            state, rejoin = await self._admit(ticket)
        except (RequestRefusedError, TicketError) as error:
            await self._refusals.add("refused the socket /relay: %s", error)
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        with about(ticket.call_sid):
            session, connection, over = await self._accept(
                scope, receive, send, ticket.call_sid, state, rejoin=rejoin
            )
            if state.unread and not rejoin:
                self._services.background.spawn(self._read_history(session))
            # A call may take hours, and nobody asks for these again: 5 KiB of each.
            del state
            scope["headers"] = ()
            await self._run(session, connection, over)

    async def _accept(
        self,
        scope: MutableMapping[str, Any],
        receive: Receive,
        send: Send,
        call_sid: str,
        state: CallState,
        *,
        rejoin: bool,
    ) -> tuple[Session, Connection, asyncio.Event | None]:
        """Accept the socket. The event, if there is one, is to be set when the session is over."""
        services = self._services
        record = CallLog(services.journal, call_sid, partial(services.assigned, state.parties.number))
        session, agent = self._session(record, state, rejoin=rejoin)
        await send({"type": "websocket.accept"})
        over = self._start_beside(session.call, state)
        now = services.assigned(state.parties.number, state.agent)
        if now != state.last(AgentAssigned):
            services.journal.write(call_sid, now)
        named = {name: found.agent for name, found in services.named_agents.items()}
        direct = scope.get("extensions", {}).get(DIRECT_SOCKET)
        most = services.settings.keep_frames
        frame_log = FrameLog(most, record.write) if most else None
        connection = Connection(receive, send, session, agent, record.write, named, direct, frame_log)
        return session, connection, over

    async def _run(self, session: Session, connection: Connection, over: asyncio.Event | None) -> None:
        """Serve a session until its socket is gone."""
        registry, call_sid = self._services.registry, session.call.sid
        registry.connected(call_sid, connection)
        metrics.SESSIONS.add(1)
        try:
            with traces.span("session", {}, level="session") as span:
                await connection.run()
                span.set(names.SESSION_OUTCOME, session.outcome)
                span.set(names.TURNS, session.turns)
        finally:
            metrics.SESSIONS.add(-1)
            if over is not None:
                over.set()
            registry.disconnected(call_sid, connection)

    async def _read_history(self, session: Session) -> None:
        """Tell a session what was said on the call before, once that can be read.

        Whoever had the call may have been cut off from the database, too: it is read again for a while.
        """
        journal, pauses, known = self._services.journal, deque(LATE_SECONDS), 0
        while pauses and not session.over:
            await asyncio.sleep(pauses[0])
            if not journal.readable:
                continue
            pauses.popleft()
            with suppress(JournalError):  # it is in the log
                entries = await journal.events(session.call.sid)
                before = takewhile(lambda entry: not _begins(entry, session.id), entries)
                history = CallState.of(before).transcript.as_heard()
                session.came_after(history)
                if len(history) > known:
                    known = len(history)
                    log.info("call %s: %d lines of its history are known after all", session.call.sid, known)

    async def _admit(self, ticket: Ticket) -> tuple[CallState, bool]:
        """Take a ticket: what is known of its call, and whether Twilio comes back to a session of it.

        A ticket opens one socket, on whichever server, if that lives to serve it. Where Twilio may come back,
        it opens another one for the same session after the first was lost, also if this process has not
        noticed yet that it was.

        Raises:
            TicketError: the ticket has opened a socket before.
        """
        services, call_sid = self._services, ticket.call_sid
        services.journal.follow(ticket.after)
        state = await services.call_state(call_sid, Parties())
        session_id = state.session_to_rejoin(ticket.nonce)
        if session_id is None or not services.line(state.parties.number).reconnect:
            return await self._redeem(ticket, state), False
        lost = services.registry.sessions.get(call_sid)
        if lost is not None:
            lost.close(GIVEN_UP, "Another socket has taken the place of this one.")
            await services.catch_up(call_sid, state)  # what was written as it was closed
        state.take(services.journal.write(call_sid, Reconnected(session_id)))
        metrics.RECONNECTED.inc()
        return state, True

    async def _redeem(self, ticket: Ticket, state: CallState) -> CallState:
        """Use a ticket up, everywhere; what is known of the call then. Raises `TicketError`."""
        services, call_sid = self._services, ticket.call_sid
        used = state.tickets
        if state.awaits_session(ticket.nonce) and not services.tickets.is_used(ticket):
            # The server that opened a socket with it has died before Twilio had an answer, perhaps, and a
            # proxy asks this one. If it lives, the session will have begun by then.
            await asyncio.sleep(SECONDS_TO_BEGIN)
            state = await services.call_state(call_sid, state.parties)
            used = state.tickets - ({ticket.nonce} if state.awaits_session(ticket.nonce) else set())
        try:
            services.tickets.redeem(ticket, used)
        except TicketError as error:
            services.journal.write(call_sid, Failed("socket", str(error)))
            raise
        services.journal.write(call_sid, SocketOpened(ticket.nonce))
        if services.journal.shared:
            await services.journal.settle(SETTLE_SECONDS)
        return state

    def _session(self, record: CallLog, state: CallState, *, rejoin: bool) -> tuple[Session, Agent]:
        """A session that knows what happened on the call before, on whichever server that was.

        And the agent to ask on it: ours, which may have to wait for the caller's memory.
        """
        services, parties = self._services, state.parties
        line, agent = services.line_of(state), services.agent_of(state)
        keys = getattr(agent, "keys", None)
        if not isinstance(keys, Keys):
            keys = Keys(line.keys_length, line.keys_terminator, line.keys_seconds)
        call = Call(
            record.call_sid,
            parties.from_,
            parties.to,
            "outbound" if parties.outbound else "inbound",
            webhook=state.webhook,
            keys=keys,
            filler=line.filler,
            log=record,
        )
        if not self._restore_notes(call, state.sockets if rejoin else state.sockets + 1):
            messages.restore(call, state.tools.values())
        if (memory := services.memory_for(state.webhook)) is not None:
            named = state.joined or state.configuration_id or ""
            agent = memory.attach(call, parties.caller, agent, named)
        session = Session(
            call,
            line,
            account_sid=services.settings.account_sid or "",
            now=asyncio.get_running_loop().time(),
            past=state.resume_state(time.time(), filler=line.filler, reconnect=rejoin),
            setup_seconds=services.settings.setup_seconds,
            meter=SessionMeter(),
            agents={name: services.line_of(state, name) == line for name in services.named_agents},
        )
        return session, agent

    def _restore_notes(self, call: Call, socket: int) -> bool:
        """Give a call its agent's notes back, and the tools that are running, if its last socket was here.

        ``socket`` numbers the sockets of the call on all servers. Returns whether it was; from now on this
        one is the last.
        """
        last, notes = self._states.pop(call.sid, (0, call.state))
        here = last == socket - 1 > 0
        if here:
            call.state = notes
        self._states[call.sid] = socket, call.state
        return here

    def _start_beside(self, call: Call, state: CallState) -> asyncio.Event | None:
        """What goes on beside the session: its conversation is monitored, and the agent warms up.

        Returns what is to be set when the session is over, if anything waits for that.
        """
        services, over = self._services, None
        spawn, monitor = services.background.spawn, services.monitor
        if state.joined is not None or state.configuration_id is not None:
            over = asyncio.Event()
            found = partial(_conversation_found, services, call.sid)
            if state.joined is not None:
                spawn(monitor.watch_joined(call.sid, state.joined, over, found))
            elif state.configuration_id is not None:
                spawn(monitor.watch(call.sid, state.configuration_id, over, found))
        if (warm := getattr(services.agent_of(state), "warm", None)) is not None:
            spawn(hook(warm(call)))
        return over


def _begins(entry: Entry, session_id: str) -> bool:
    """Whether this session begins with the entry."""
    return isinstance(entry.event, Connected) and entry.event.session_id == session_id


async def _unavailable(
    scope: MutableMapping[str, Any], send: Callable[[ASGIMessage], Awaitable[None]]
) -> None:
    """Refuse the socket so that a balancer gives it to another server."""
    if "websocket.http.response" in scope.get("extensions", {}):
        await send({"type": "websocket.http.response.start", "status": 503, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b""})
    else:
        await send({"type": "websocket.close", "code": 1013, "reason": ""})


class SessionMeter(Meter):
    """Counts what the turns of a session come to."""

    def turn(self, kind: str) -> None:
        metrics.TURNS.labels(kind).inc()

    def stage(self, stage: Stage, seconds: float) -> None:
        metrics.STAGE_SECONDS.labels(stage).observe(seconds)

    def interrupted(self) -> None:
        metrics.INTERRUPTIONS.inc()

    def silence(self) -> None:
        metrics.SILENCES.inc()


_NOTABLE: Final = frozenset({Connected, Acted, Failed, Speculated})
"""The kinds of events that more is done about than to write them."""


@dataclass(slots=True, frozen=True)
class CallLog:
    """The journal of one call, for its session and its agent."""

    journal: Journal
    call_sid: str
    becomes: Callable[[str], AgentAssigned]
    """Tells what an agent of ``VOICE_APP_AGENTS`` is for this call, in which version."""

    def write(self, event: Event) -> None:
        """Write an event, and count what is worth counting."""
        self.journal.write(self.call_sid, event)
        if type(event) in _NOTABLE:
            self._note(event)

    def _note(self, event: Event) -> None:
        match event:
            case Connected() if (scope := CALL.get()) is not None:
                scope.session_id = event.session_id
            case Acted(action="become", detail=agent):
                self.journal.write(self.call_sid, self.becomes(agent))
            case Failed(what="agent"):
                metrics.AGENT_FAILURES.inc()
            case Failed(what="frame"):
                metrics.MALFORMED.inc()
            case Speculated():
                metrics.GUESSES.labels("hit" if event.hit else "miss").inc()
                metrics.SAVED_SECONDS.inc(event.saved_ms / 1000)
            case _:
                pass

    async def settle(self) -> None:
        """Return once what was written would survive a crash, or after a moment."""
        await self.journal.settle(SETTLE_SECONDS)


def _conversation_found(services: Services, call_sid: str, conversation: Conversation) -> None:
    """Write the call's conversation to the journal: Twilio makes it some time after the call began."""
    services.journal.write(call_sid, Conversed(conversation.id, conversation.configuration_id or ""))
    services.index.link(conversation.id, call_sid)
    if services.memory is not None:
        services.memory.conversed(call_sid, conversation.id)
