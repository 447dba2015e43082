"""``WS /relay/{token}``: Twilio connects the caller's line to the agent."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from functools import partial
from typing import Any

from starlette.datastructures import Headers

from voice_app import telemetry
from voice_app.agents.protocol import Call, Keys, Message
from voice_app.journal import Entry, Journal, JournalError, as_heard
from voice_app.journal.events import Conversed, Event, Failed, Opened, Served, Speculated
from voice_app.orchestrator import ApiError, Conversations
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
        session = await self._session(call_sid)
        await send({"type": "websocket.accept"})
        self._look_up_conversation(call_sid)
        if (warm := getattr(desk.agent, "warm", None)) is not None:
            self._beside(warm(session.call))
        record = partial(_record, desk.journal, call_sid)
        with telemetry.SESSIONS.track_inprogress():
            await Connection(receive, send, session, desk.agent, record).run()

    async def _session(self, call_sid: str) -> Session:
        """A session that knows what happened on the call before, on whichever machine that was."""
        desk = self._desk
        try:
            entries = await desk.journal.events(call_sid)
        except JournalError as error:
            log.error("call %s: its history is lost: %s", call_sid, error)
            entries = []
        line = desk.line(_number(entries))
        keys = getattr(desk.agent, "keys", None)
        if not isinstance(keys, Keys):
            keys = Keys(line.keys_length, line.keys_terminator, line.keys_seconds)
        return Session(
            Call(call_sid, keys=keys, filler=line.filler),
            line,
            account_sid=desk.settings.account_sid or "",
            now=asyncio.get_running_loop().time(),
            greeting=_greeting(entries),
            history=[Message(line.role, line.content) for line in as_heard(entries)],
            age=time.time() - entries[0].at if entries else 0.0,
            setup_seconds=desk.settings.setup_seconds,
        )

    def _look_up_conversation(self, call_sid: str) -> None:
        """Learn the conversation's id beside the call, never in its way."""
        if self._desk.conversations is None:
            return
        self._beside(_find(self._desk.conversations, self._desk.journal, call_sid))

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


async def _find(conversations: Conversations, journal: Journal, call_sid: str) -> None:
    """Write the call's conversation to the journal. Twilio creates it some time after the call began."""
    try:
        found = await conversations.wait_for_call(call_sid)
    except ApiError as error:
        log.warning("call %s: its conversation could not be looked up: %s", call_sid, error)
        return
    if not found:
        log.warning("call %s: no conversation was created for it; see voice-app check", call_sid)
    for conversation in found[:1]:
        journal.write(call_sid, Conversed(conversation.id, conversation.configuration_id or ""))


def _number(entries: list[Entry]) -> str:
    for entry in entries:
        if isinstance(event := entry.event, Opened):
            return event.to if event.direction == "inbound" else event.from_
    return ""


def _greeting(entries: list[Entry]) -> str:
    served = [entry.event for entry in entries if isinstance(entry.event, Served)]
    return served[-1].greeting if served else ""
