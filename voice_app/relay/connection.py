"""The thin shell around a session: it moves frames, keeps the one timer, and runs the agent.

Three tasks per call: `run` reads, `_write` writes, `_answer` asks the agent. They meet in `_settle`,
which does what the session commands; nothing else touches the session's outputs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import aclosing, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from voice_app.agents.failures import ModelError
from voice_app.agents.protocol import (
    Agent,
    AskEndedError,
    EndCall,
    Expected,
    Keys,
    Transfer,
    Turn,
)
from voice_app.agents.runner import pieces
from voice_app.journal.events import Event
from voice_app.relay.commands import Close, ContinueTurn, Pull, Record, StartTurn, StopTurn, SwitchAgent
from voice_app.relay.session import Session

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SECONDS_FOR_THE_AGENT_TO_STOP = 2.0
SECONDS_TO_TAKE_A_FRAME: Final = 10.0
"""A peer that has read nothing for this long, or up to twice as long, of what was to be written is gone."""

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Answer:
    """What the agent is asked for: one turn, or several where it asks the caller something."""

    number: int
    """Of the turn that it belongs to now."""
    over: bool = False


@dataclass(slots=True, eq=False)
class _OpenQuestion:
    """A question of the agent's that the caller has not answered."""

    answer: _Answer
    reply: asyncio.Future[Turn]


_ANSWER: Final[ContextVar[_Answer | None]] = ContextVar("_ANSWER", default=None)
"""For which turn the code that runs now works: the agent, and the tools that it started."""


class Connection:
    """One accepted ConversationRelay socket and its session."""

    def __init__(
        self,
        receive: Receive,
        send: Send,
        session: Session,
        agent: Agent,
        record: Callable[[Event], None],
        agents: Mapping[str, Agent] | None = None,
    ) -> None:
        """``agents`` are those that can have the call after this one, by name."""
        self._receive = receive
        self._send = send
        self._session = session
        self._agent = agent
        self._agents = agents or {}
        self._record = record
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._now = loop.time
        self._wake = asyncio.Event()
        self._closing: Close | None = None
        self._answering: asyncio.Task[None] | None = None
        self._continued = asyncio.Event()
        self._question: _OpenQuestion | None = None
        self._one_question_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.Handle | None = None
        self._writing = False
        self._written = 0  # frames
        self._writer_look: asyncio.TimerHandle | None = None
        self._reading = asyncio.timeout(None)
        self._timer_due = 0.0  # beside its handle: uvloop's handles do not tell, once they are due
        session.call.floor = self
        self._settle()

    async def run(self) -> None:
        """Serve the session until its socket is gone. Leaves no task behind."""
        began = self._now()
        writer = self._loop.create_task(self._write())
        session = self._session
        log.info("call %s: the agent has the call", session.call.sid)
        self._look_at_the_writer(-1)
        try:
            async with self._reading:
                await self._read()
        except TimeoutError:
            log.warning(
                "call %s: Twilio has read nothing for %g s of what is written; the session is given up",
                session.call.sid,
                SECONDS_TO_TAKE_A_FRAME,
            )
        finally:
            if self._writer_look is not None:
                self._writer_look.cancel()
            session.disconnected(1011, self._now())
            self._settle()
            if self._timer is not None:
                self._timer.cancel()
            writer.cancel()
            await self._wait_for(self._tasks | {writer})
            log.info(
                "call %s: session %s is over after %.0f s and %d turns: %s",
                session.call.sid,
                session.id or "without an id",
                self._now() - began,
                session.turns,
                session.outcome,
            )

    def leave(self, action: Transfer | EndCall) -> bool:
        """End the session from outside, once what was said has been played. Returns whether it is live.

        Who goes to a person is told so first: the agent has not announced it.
        """
        line = self._session.line.handoff_line if isinstance(action, Transfer) else ""
        left = self._session.leave(action, self._now(), line)
        self._settle()
        return left

    @property
    def leaving(self) -> bool:
        """Whether the session is about to end by itself, once its last words have been played."""
        return self._session.leaving

    def dismiss(self) -> None:
        """Say goodbye, because the server stops, and end the session once that has been played."""
        session = self._session
        session.leave(EndCall("the server stops"), self._now(), session.line.drain_goodbye)
        self._settle()

    def end(self) -> None:
        """End the session now, whatever is being said."""
        self._session.end(self._now())
        self._settle()

    def close(self, code: int, reason: str) -> None:
        """Close the socket; Twilio then asks what follows."""
        self._session.close(code, reason, self._now())
        self._settle()

    # --- the agent's floor -------------------------------------------------------------------------

    @property
    def language(self) -> str:
        return self._session.line.language or ""

    @property
    def asking(self) -> bool:
        return self._question is not None

    async def exchange(self, words: str, expected: Expected) -> Turn:
        """Ask the caller in the middle of a turn: the turn is over, and the next one is the answer.

        Raises:
            AskEndedError: there will be no answer.
        """
        answer, session = _ANSWER.get(), self._session
        async with self._one_question_at_a_time:
            if answer is None or answer.over:
                raise AskEndedError("the turn in which this was to be asked is over")
            while (pull := session.agent_asked(answer.number, words, expected, self._now())) is Pull.WAIT:
                await self._may_continue()
            if pull is Pull.STOP:
                raise AskEndedError("the turn in which this was to be asked is over")
            question = self._question = _OpenQuestion(answer, self._loop.create_future())
            self._settle()
            try:
                return await question.reply
            finally:
                if self._question is question:
                    self._question = None

    # --- tasks -------------------------------------------------------------------------------------

    async def _read(self) -> None:
        session = self._session
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                session.disconnected(message.get("code", 1005), self._now())
                return
            data = message.get("text")
            session.receive(message["bytes"] if data is None else data, self._now())
            self._settle()

    def _look_at_the_writer(self, written: int) -> None:
        """Give up a peer that has taken no frame since the last look, while one was to be written.

        One timer in ten seconds: a time limit on each frame would cost every word.
        """
        if self._writing and self._written == written:
            self._reading.reschedule(self._now())
            return
        self._writer_look = self._loop.call_later(
            SECONDS_TO_TAKE_A_FRAME, self._look_at_the_writer, self._written if self._writing else -1
        )

    async def _write(self) -> None:
        """Write what is ready until the socket is closed. A call that nothing can be said on is closed."""
        session = self._session
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while (frame := session.data_to_send()) is not None:
                    self._writing = True
                    await self._send({"type": "websocket.send", "text": frame})
                    self._writing = False
                    self._written += 1
                if self._closing is not None:
                    await self._send_close(self._closing)
                    return
        except OSError:
            return  # the socket is gone: the reader hears of it
        except Exception:
            log.exception("call %s: nothing can be written any more; the socket is closed", session.call.sid)
        session.close(1011, "The server failed.", self._now())
        self._settle()
        if self._closing is not None:
            with suppress(OSError, RuntimeError):  # perhaps it is closed already
                await self._send_close(self._closing)

    async def _send_close(self, close: Close) -> None:
        await self._send({"type": "websocket.close", "code": close.code, "reason": close.reason})

    async def _answer(self, answer: _Answer, turn: Turn) -> None:
        session = self._session
        _ANSWER.set(answer)
        try:
            async with aclosing(pieces(self._agent, session.call, turn)) as found:
                async for piece in found:
                    pull = session.agent_yielded(answer.number, piece, self._now())
                    if session.has_commands:
                        self._settle()
                    elif session.has_data:  # the usual word: it moves no deadline to an earlier time
                        self._wake.set()
                    if pull is Pull.STOP:
                        self._settle()
                        return
                    if pull is Pull.WAIT:
                        await self._may_continue()
        except AskEndedError:
            log.info("call %s: a question of the agent's was not answered", session.call.sid)
            session.agent_failed(answer.number, "AskEndedError", self._now())
        except ModelError as error:
            log.warning("call %s: the model failed: %s", session.call.sid, error)
            session.agent_failed(answer.number, f"model: {error.kind}", self._now())
        except Exception as error:
            log.exception("call %s: the agent failed", session.call.sid)
            session.agent_failed(answer.number, type(error).__name__, self._now())
        else:
            session.agent_finished(answer.number, self._now())
        finally:
            answer.over = True
        self._settle()

    async def _may_continue(self) -> None:
        """Return once the session has commanded that the turn may go on."""
        self._continued.clear()
        await self._continued.wait()

    def _settle(self) -> None:
        """Do what the session commands."""
        session = self._session
        for command in session.commands():
            match command:
                case Record():
                    self._record(command.event)
                case StartTurn() if self._question is not None:
                    question, self._question = self._question, None
                    question.answer.number = command.number
                    if not question.reply.done():
                        question.reply.set_result(command.turn)
                case StartTurn():
                    task = self._loop.create_task(self._answer(_Answer(command.number), command.turn))
                    self._answering = task
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                case StopTurn() if self._question is not None:
                    question, self._question = self._question, None
                    if not question.reply.done():
                        question.reply.set_exception(AskEndedError("the session is over"))
                    self._answering = None
                case StopTurn():
                    if self._answering is not None and self._answering is not asyncio.current_task():
                        self._answering.cancel()
                    self._answering = None
                case SwitchAgent():
                    self._agent = self._agents[command.name]
                    if isinstance(keys := getattr(self._agent, "keys", None), Keys):
                        session.call.keys = keys
                case ContinueTurn():
                    self._continued.set()
                case Close():
                    self._closing = command
                    self._wake.set()
        if session.has_data:
            self._wake.set()
        deadline = session.deadline
        if deadline is not None and (self._timer is None or deadline < self._timer_due):
            self._set_timer(deadline)

    def _set_timer(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._tick)
        self._timer_due = deadline

    def _tick(self) -> None:
        self._timer = None
        self._session.tick(self._now())
        self._settle()

    async def _wait_for(self, tasks: set[asyncio.Task[None]]) -> None:
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=SECONDS_FOR_THE_AGENT_TO_STOP)
        if late:
            log.warning("call %s: the agent does not stop; it is left alone", self._session.call.sid)
