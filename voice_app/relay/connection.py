"""The thin shell around a session: it moves frames, keeps the one timer, and runs the agent.

`run` reads and `_answer` asks the agent, each in a task. They meet in `_settle`, which does what the session
commands; nothing else touches the session's outputs. Where the server offers a `DirectSocket`, frames are
taken where they are read and written where they arise. Where it does not, or while Twilio reads too slowly,
a task writes: `_write`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Final, Protocol

from voice_app.agents.failures import ModelError
from voice_app.agents.protocol import (
    Agent,
    AskEndedError,
    Call,
    EndCall,
    Expected,
    Keys,
    Piece,
    Transfer,
    Turn,
)
from voice_app.agents.runner import ReadyWords, hook, run
from voice_app.journal.events import Event
from voice_app.relay.commands import (
    Close,
    Command,
    ContinueTurn,
    Pull,
    Record,
    StartTurn,
    StopTurn,
    SwitchAgent,
)
from voice_app.relay.frame_log import FrameLog
from voice_app.relay.session import Session
from voice_app.telemetry import attributes as names
from voice_app.telemetry import traces
from voice_app.telemetry.scope import TURN, TurnScope

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SECONDS_FOR_THE_AGENT_TO_STOP = 2.0
SECONDS_TO_TAKE_A_FRAME: Final = 10.0
"""A peer that has read nothing for this long of what was to be written is gone."""
DIRECT_SOCKET: Final = "voice_app.direct_socket"
"""The ASGI extension of a server that has a `DirectSocket`."""

log = logging.getLogger(__name__)


class DirectSocket(Protocol):
    """A socket that takes texts, and hands them over, without a message and a task's turn for each."""

    on_text: Callable[[str], None] | None
    """Called with each text that comes, in place of ASGI's ``websocket.receive``."""

    @property
    def is_writable(self) -> bool:
        """Whether it is open, and the other side reads as fast as we write."""

    def write_texts(self, texts: Iterable[str]) -> None:
        """Send messages, in one piece."""


@dataclass(slots=True, eq=False)
class _Answer:
    """What the agent is asked for: one turn, or several where it asks the caller something."""

    number: int
    """Of the turn that it belongs to now."""
    ready: ReadyWords = field(default_factory=ReadyWords)
    """What is said and not given to the session yet."""
    pull: Pull = Pull.ON
    """What the session has said of the latest piece."""
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
        socket: DirectSocket | None = None,
        frame_log: FrameLog | None = None,
    ) -> None:
        """``agents`` are those that can have the call after this one, by name.

        ``socket`` is the short way to the socket behind ``receive`` and ``send``, if there is one.
        ``frame_log`` keeps the frames, if they are to be kept.
        """
        self._receive = receive
        self._send = send
        self._session = session
        self._agent = agent
        self._agents = agents or {}
        self._record = record
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._now = loop.time
        self._socket = socket
        self._frame_log = frame_log
        self._flushing: asyncio.Handle | None = None
        self._gather_seconds = session.line.gather_ms / 1000
        self._gathering: asyncio.Handle | None = None
        """While words wait for more of them to be written with."""
        self._writer: asyncio.Task[None] | None = None
        self._closing: Close | None = None
        self._latest: _Answer | None = None
        self._answering: asyncio.Task[None] | None = None
        self._question: _OpenQuestion | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._timer: asyncio.Handle | None = None
        self._reading = asyncio.timeout(None)
        self._timer_due = 0.0  # beside its handle: uvloop's handles do not tell, once they are due
        session.call.floor = self
        self._settle()

    # Made when they are needed, which on most calls is never: a call that waits takes 1 KiB less.

    @cached_property
    def _continued(self) -> asyncio.Event:
        """Set when the turn may go on."""
        return asyncio.Event()

    @cached_property
    def _one_question_at_a_time(self) -> asyncio.Lock:
        return asyncio.Lock()

    async def run(self) -> None:
        """Serve the session until its socket is gone. Leaves no task behind."""
        began = self._now()
        session, socket = self._session, self._socket
        log.info("call %s: the agent has the call", session.call.sid)
        if socket is not None:
            # Bytes arrive in the context of the server: what is done with them is about this call.
            context = copy_context()
            socket.on_text = lambda data: context.run(self._take, data)
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
            if socket is not None and not session.given_up:
                socket.on_text = None
            session.disconnected(1011, self._now())
            self._settle()
            if self._frame_log is not None:
                self._frame_log.close()
            for handle in (self._timer, self._gathering):
                if handle is not None:
                    handle.cancel()
            if self._writer is not None:
                self._writer.cancel()
                self._tasks.append(self._writer)
            await self._wait_for(self._tasks)
            log.info(
                "call %s: session %s is over after %.0f s and %d turns: %s",
                session.call.sid,
                session.id or "without an id",
                self._now() - began,
                session.turns,
                session.outcome,
            )

    def leave(self, action: Transfer | EndCall, *, goodbye: str = "", at_once: bool = False) -> bool:
        """End the session from outside, once what was said has been played. Returns whether it is live.

        Who goes to a person is told so first: the agent has not announced it. ``goodbye`` is said to who goes
        nowhere. ``at_once``: what is being said is cut off.
        """
        line = self._session.line.handoff_line if isinstance(action, Transfer) else goodbye
        left = self._session.leave(action, self._now(), "" if at_once else line, at_once=at_once)
        self._settle()
        return left

    def supervise(self, act: str, text: str = "") -> bool:
        """Have somebody of ours act on the call; see `Session.supervise`. Returns whether it is live."""
        done = self._session.supervise(act, text, self._now())
        self._settle()
        return done

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
            self._say(answer)
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
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                self._session.disconnected(message.get("code", 1005), self._now())
                return
            data = message.get("text")
            self._take(message["bytes"] if data is None else data)

    def _take(self, data: str | bytes) -> None:
        """A message has come. What the agent has said before it counts as said, though it has not left."""
        if self._latest is not None and self._latest.ready.words:
            self._say(self._latest)
        if self._frame_log is not None:
            self._frame_log.received(data, secret=self._session.expects_secret)
        self._session.receive(data, self._now())
        self._settle()

    def _flush_soon(self) -> None:
        """Have what is ready said, and written: in this turn of the event loop, or once more has gathered."""
        if self._flushing is not None or self._gathering is not None:
            return
        if self._gather_seconds and self._session.may_wait(self._now()):
            self._gathering = self._loop.call_later(self._gather_seconds, self._write_gathered)
        else:
            self._flushing = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Say and write what is ready, together with what else is so in this turn of the event loop."""
        self._flushing = None
        if self._latest is not None:
            self._say(self._latest)
        self._settle()

    def _say(self, answer: _Answer) -> None:
        """Give the session the agent's words that are ready."""
        if text := answer.ready.take():
            self._give(answer, text)

    def _give(self, answer: _Answer, piece: Piece) -> Pull:
        pull = answer.pull = self._session.agent_yielded(answer.number, piece, self._now())
        if pull is Pull.WAIT:
            self._continued.clear()
        return pull

    def _write_ready(self) -> None:
        """Write what is ready, unless it had better wait for more of it."""
        session = self._session
        if self._gather_seconds and session.may_gather(self._now()):
            if self._gathering is None:
                self._gathering = self._loop.call_later(self._gather_seconds, self._write_gathered)
            return
        self._write_now()

    def _write_gathered(self) -> None:
        if self._latest is not None:
            self._say(self._latest)
        self._write_now()
        self._settle()

    def _write_now(self) -> None:
        """Write what is ready, in one piece. What the socket does not take now is left to a task."""
        session, socket = self._session, self._socket
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
            if self._latest is not None and self._latest.ready.words:  # they relied on it
                self._flush_soon()
        if socket is not None and session.has_data and socket.is_writable:
            texts = list(iter(session.data_to_send, None))
            socket.write_texts(texts)
            if self._frame_log is not None:
                self._frame_log.sent(texts)
        if session.has_data or self._closing is not None:
            self._writer = self._loop.create_task(self._write())

    async def _write(self) -> None:
        """Write until all is written, or the socket closed. A call that nothing can be said on is closed."""
        session = self._session
        try:
            while (frame := session.data_to_send()) is not None:
                async with asyncio.timeout(SECONDS_TO_TAKE_A_FRAME):
                    await self._send({"type": "websocket.send", "text": frame})
                if self._frame_log is not None:
                    self._frame_log.sent((frame,))
            if self._closing is None:
                self._writer = None
            else:
                await self._send_close(self._closing)
            return
        except TimeoutError:
            self._reading.reschedule(self._now())
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
        self._session.close_sent(self._now())

    async def _answer(self, answer: _Answer, turn: Turn) -> None:
        _ANSWER.set(answer)
        TURN.set(TurnScope())
        told = {names.OPERATION: "invoke_agent", names.TURN_KIND: turn.kind}
        with traces.span("invoke_agent", told, level="turn") as span:
            if not turn.sensitive:
                span.content(names.INPUT_MESSAGES, lambda: traces.messages([("user", turn.text)]))
            try:
                try:
                    take = partial(self._take_piece, answer)
                    await run(self._agent, self._session.call, turn, answer.ready, take)
                finally:
                    self._say(answer)
            except Exception as error:
                span.fail(self._agent_failed(answer, error))
            else:
                self._session.agent_finished(answer.number, self._now())
            finally:
                answer.over = True
            if self._latest is answer and self._flushing is not None:  # all is said
                self._flushing.cancel()
                self._flushing = None
            self._settle()

    def _take_piece(self, answer: _Answer, piece: Piece) -> Awaitable[bool] | None:
        """Take what the agent has yielded. Words wait for those that are ready at the same moment."""
        if not isinstance(piece, str) or answer.pull is Pull.WAIT or not answer.ready.add(piece):
            return self._take_in_order(answer, piece)
        self._flush_soon()
        return None

    async def _take_in_order(self, answer: _Answer, piece: Piece) -> bool:
        """Take what has to come after the words before it, or wait. Returns whether the turn goes on."""
        if answer.pull is Pull.WAIT:
            await self._continued.wait()
            answer.pull = Pull.ON
            later = self._take_piece(answer, piece)
            return later is None or await later
        self._say(answer)
        for part in answer.ready.parts(piece):
            pull = self._give(answer, part)
            self._settle()
            if pull is Pull.STOP:
                return False
            if pull is Pull.WAIT:
                await self._continued.wait()
        return True

    def _agent_failed(self, answer: _Answer, error: Exception) -> str:
        """The agent has raised an error. Returns its kind."""
        sid = self._session.call.sid
        kind = told = type(error).__name__
        if isinstance(error, AskEndedError):
            log.info("call %s: a question of the agent's was not answered", sid)
        elif isinstance(error, ModelError):
            log.warning("call %s: the model failed: %s", sid, error)
            kind, told = error.kind, f"model: {error.kind}"
        else:
            log.error("call %s: the agent failed", sid, exc_info=error)
        self._session.agent_failed(answer.number, told, self._now())
        return kind

    async def _may_continue(self) -> None:
        """Return once the session has commanded that the turn may go on."""
        self._continued.clear()
        await self._continued.wait()

    def _settle(self) -> None:
        """Do what the session commands, and write what is ready."""
        session = self._session
        for command in session.commands():
            if type(command) is Record:  # as most of them are
                self._record(command.event)
            else:
                self._obey(command)
        if self._writer is None and (session.has_data or self._closing is not None):
            self._write_ready()
        deadline = session.deadline
        if deadline is not None and (self._timer is None or deadline < self._timer_due):
            self._set_timer(deadline)

    def _obey(self, command: Command) -> None:
        match command:
            case StartTurn() if self._question is not None:
                question, self._question = self._question, None
                question.answer.number = command.number
                if not question.reply.done():
                    question.reply.set_result(command.turn)
            case StartTurn():
                answer = self._latest = _Answer(command.number)
                task = self._loop.create_task(self._answer(answer, command.turn))
                self._answering = task
                self._tasks.append(task)
                task.add_done_callback(self._tasks.remove)
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
                    self._session.call.keys = keys
                if (warm := getattr(self._agent, "warm", None)) is not None:
                    task = self._loop.create_task(self._warm(command.name, warm))
                    self._tasks.append(task)
                    task.add_done_callback(self._tasks.remove)
            case ContinueTurn():
                self._continued.set()
                if self._latest is not None:
                    self._latest.pull = Pull.ON
            case Close():
                self._closing = command

    async def _warm(self, name: str, warm: Callable[[Call], Awaitable[None]]) -> None:
        """Have an agent that has just got the call prepare for it, as the first one was."""
        try:
            await hook(warm(self._session.call))
        except Exception:
            log.exception("call %s: warm() of the agent %s failed", self._session.call.sid, name)

    def _set_timer(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._tick)
        self._timer_due = deadline

    def _tick(self) -> None:
        self._timer = None
        self._session.tick(self._now())
        self._settle()

    async def _wait_for(self, tasks: list[asyncio.Task[None]]) -> None:
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=SECONDS_FOR_THE_AGENT_TO_STOP)
        if late:
            log.warning("call %s: the agent does not stop; it is left alone", self._session.call.sid)
