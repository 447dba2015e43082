"""``WS /relay/{token}``: Twilio connects the caller's line to the agent."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping, Sequence
from functools import partial
from typing import Any

from starlette.datastructures import Headers

from voice_app import telemetry
from voice_app.agents.protocol import Agent, Call, Keys, Message
from voice_app.guard import best_of
from voice_app.journal import Entry, Journal, as_heard
from voice_app.journal.events import Conversed, Event, Failed, Opened, Served, Speculated
from voice_app.orchestrator import Conversation
from voice_app.relay.connection import Connection
from voice_app.relay.session import Session
from voice_app.relay.ticket import TicketError
from voice_app.webhooks.desk import Desk
from voice_app.webhooks.signature import RefusedError
from voice_app.webhooks.signed import raw_target

ASGIMessage = MutableMapping[str, Any]

log = logging.getLogger(__name__)


class RelayEndpoint:
    """The ASGI application behind the socket's route. Refuses before it accepts."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself keeps no reference

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[ASGIMessage]],
        send: Callable[[ASGIMessage], Awaitable[None]],
    ) -> None:
        desk = self._desk
        await receive()
        try:
            desk.signatures.check_socket(
                raw_target(scope["raw_path"], scope["query_string"]), Headers(scope=scope)
            )
            call_sid = desk.tickets.redeem(scope["path_params"]["token"])
        except (RefusedError, TicketError) as error:
            log.warning("refused the socket /relay: %s", error)
            telemetry.REFUSED.labels("socket").inc()
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        session, agent = await self._session(call_sid)
        await send({"type": "websocket.accept"})
        over = asyncio.Event()
        if desk.lookout is not None:
            desk.beside(desk.lookout.watch(call_sid, over, partial(_found, desk, call_sid)))
        if (warm := getattr(desk.agent, "warm", None)) is not None:
            self._beside(warm(session.call))
        record = partial(_record, desk.journal, call_sid)
        connection = desk.sessions[call_sid] = Connection(receive, send, session, agent, record)
        try:
            with telemetry.SESSIONS.track_inprogress():
                await connection.run()
        finally:
            over.set()
            if desk.sessions.get(call_sid) is connection:
                del desk.sessions[call_sid]

    async def _session(self, call_sid: str) -> tuple[Session, Agent]:
        """A session that knows what happened on the call before, on whichever machine that was.

        And the agent to ask on it: ours, which may have to wait for the caller's memory.
        """
        desk = self._desk
        entries = await desk.entries(call_sid)
        line = desk.line(_number(entries))
        keys = getattr(desk.agent, "keys", None)
        if not isinstance(keys, Keys):
            keys = Keys(line.keys_length, line.keys_terminator, line.keys_seconds)
        call, agent = Call(call_sid, keys=keys, filler=line.filler), desk.agent
        if desk.recalls is not None:
            agent = desk.recalls.attach(call, _caller(entries), agent)
        session = Session(
            call,
            line,
            account_sid=desk.settings.account_sid or "",
            now=asyncio.get_running_loop().time(),
            greeting=_greeting(entries),
            history=[Message(line.role, line.content) for line in as_heard(entries)],
            age=time.time() - entries[0].at if entries else 0.0,
            setup_seconds=desk.settings.setup_seconds,
        )
        return session, agent

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside the call."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _record(journal: Journal, call_sid: str, event: Event) -> None:
    """Write an event to the journal, and count what is worth counting."""
    journal.write(call_sid, event)
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


def _found(desk: Desk, call_sid: str, found: Sequence[Conversation]) -> None:
    """Write the call's conversation to the journal: Twilio makes it some time after the call began."""
    conversation = best_of(found, desk.settings.conversation_configuration)
    if conversation is not None:
        desk.journal.write(call_sid, Conversed(conversation.id, conversation.configuration_id or ""))
        desk.directory.link(conversation.id, call_sid)
        if desk.recalls is not None:
            desk.recalls.conversed(call_sid, conversation.id)


def _number(entries: Sequence[Entry]) -> str:
    for entry in entries:
        if isinstance(event := entry.event, Opened):
            return event.to if event.direction == "inbound" else event.from_
    return ""


def _caller(entries: Sequence[Entry]) -> str:
    for entry in entries:
        if isinstance(event := entry.event, Opened):
            return event.from_ if event.direction == "inbound" else event.to
    return ""


def _greeting(entries: Sequence[Entry]) -> str:
    served = [entry.event for entry in entries if isinstance(entry.event, Served)]
    return served[-1].greeting if served else ""
