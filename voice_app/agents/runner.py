"""Runs an agent for one turn: its text is repaired, and what it raises is its own failure.

An agent is somebody's code within our process. `sys.exit` in it, or a `CancelledError` of something that
it waited for, would stop the server or the turn without a word; here they become an `AgentExitError`.
A plain generator that blocks runs in a thread of its own, a step at a time.
"""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import functools
import inspect
import logging
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextvars import ContextVar
from typing import Any, Final, TypeAlias, TypeVar

from voice_app.agents.protocol import Agent, Break, Call, Piece, Turn
from voice_app.agents.text import TextRepair, cleaned

MAX_PIECE: Final = 2_000
"""Characters. A longer text goes on in parts: each waits until the voice can take it."""
MAX_READY: Final = 200
"""So many characters that are ready together wait for each other at most."""
_OVER: Final = object()
_LOOP: Final[ContextVar[asyncio.AbstractEventLoop]] = ContextVar("_LOOP")
"""In the thread of an agent: the event loop that runs the call."""

T = TypeVar("T")
Take: TypeAlias = Callable[[Piece], Awaitable[bool] | None]
"""Takes a piece of an agent's. Where the agent has to wait: what tells whether to ask it for more."""

log = logging.getLogger(__name__)


class AgentExitError(Exception):
    """The agent tried to stop more than its turn: `sys.exit`, a cancellation that nobody asked for."""


class ReadyWords:
    """Words that an agent has said and nobody has taken yet: what is ready together is taken as one piece.

    An agent may yield without end and await nothing, so there is a bound: `MAX_READY`.
    """

    __slots__ = ("_repair", "size", "words")

    def __init__(self) -> None:
        self.words: list[str] = []
        self.size = 0
        """Their characters."""
        self._repair = TextRepair()

    def add(self, text: str) -> bool:
        """Add words, if there is room for them. Returns whether there was."""
        if self.size + len(text) > MAX_READY:
            return False
        self.words.append(text)
        self.size += len(text)
        return True

    def take(self) -> str:
        """All of them, repaired. What they leave unfinished is kept for those that follow."""
        if not self.words:
            return ""
        text = "".join(self.words)
        self.words.clear()
        self.size = 0
        return self._repair.feed(text)

    def parts(self, piece: Piece) -> list[Piece]:
        """What comes after them, fit to be encoded, in as many parts as it takes."""
        if not isinstance(piece, str):
            self._repair.drop()
            return [_cleaned(piece)]
        text = self._repair.feed(piece)
        return [text[at : at + MAX_PIECE] for at in range(0, len(text), MAX_PIECE)]


async def run(agent: Agent, call: Call, turn: Turn, ready: ReadyWords, take: Take) -> None:
    """Ask an agent for a turn, and give ``take`` what it yields, but for words that join those in ``ready``.

    Raises:
        AgentExitError: it raised what is no `Exception`.
        Exception: it raised that, or ``take`` did.
    """
    words = ready.words
    iterator: AsyncIterator[Piece] | None = None
    try:
        iterator = aiter(agent(call, turn))
        async for piece in iterator:
            # A turn has hundreds of words, so that nothing is called for the usual one.
            if words and type(piece) is str and (size := ready.size + len(piece)) <= MAX_READY:
                words.append(piece)
                ready.size = size
            elif (wait := take(piece)) is not None and not await wait:
                return
    except BaseException as error:
        if _is_for_us(error):
            raise
        raise _exit(error) from error
    finally:
        if isinstance(iterator, AsyncGenerator):
            await _close(iterator, call)


async def hook(work: Awaitable[T]) -> T:
    """Await something of an agent's: a step of its answer, `warm`, `summarise`, `close`.

    Raises:
        AgentExitError: it raised what is no `Exception`.
        Exception: it raised that.
    """
    try:
        return await work
    except BaseException as error:
        if _is_for_us(error):
            raise
        raise _exit(error) from error


async def _close(generator: AsyncGenerator[Any], call: Call) -> None:
    """Close an agent's generator. What it raises while it is closed changes nothing any more."""
    try:
        await generator.aclose()
    except asyncio.CancelledError:
        if is_cancelled():
            raise
        log.warning("call %s: the agent was cancelled while it was closed", call.sid)
    except BaseException as error:
        log.warning("call %s: the agent failed while it was closed", call.sid, exc_info=error)


def _is_for_us(error: BaseException) -> bool:
    """Whether it is a failure, or our own cancellation, and not an attempt to stop more than a turn."""
    return isinstance(error, Exception) or (isinstance(error, asyncio.CancelledError) and is_cancelled())


def _exit(error: BaseException) -> AgentExitError:
    if isinstance(error, asyncio.CancelledError):
        return AgentExitError("something that the agent waited for was cancelled")
    return AgentExitError(f"the agent raised {type(error).__name__}: only its turn ends")


def is_cancelled() -> bool:
    """Whether it is this task that was cancelled, and not something that it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _cleaned(piece: Any) -> Any:
    """An action, the texts in it repaired."""
    if isinstance(piece, Break) or not dataclasses.is_dataclass(piece) or isinstance(piece, type):
        return piece
    changed = {}
    for field in dataclasses.fields(piece):
        value = getattr(piece, field.name)
        if isinstance(value, str) and (text := cleaned(value)) != value:
            changed[field.name] = text
    return dataclasses.replace(piece, **changed) if changed else piece


def in_thread(agent: Callable[[Call, Turn], Iterator[Piece]]) -> Agent:
    """Make an agent of a plain generator function that blocks.

    Each turn has a thread. It goes no further than it is asked to; a turn that is cut off goes on at once,
    and the generator is closed when the step that it is at returns.
    """

    @functools.wraps(agent)
    async def answer(call: Call, turn: Turn) -> AsyncGenerator[Piece]:
        steps = _Steps(agent, call, turn)
        try:
            while (piece := await steps.next()) is not _OVER:
                yield piece
        finally:
            steps.stop()

    return answer


def is_in_agent_thread() -> bool:
    """Whether the code that runs now is a plain generator in its thread, and not on the event loop."""
    return _LOOP.get(None) is not None and asyncio._get_running_loop() is None


def wait_in_thread(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Have the call's event loop do something, and wait for it in the thread of an agent.

    Raises:
        RuntimeError: this is no agent's thread.
        Exception: what the work raises.
    """
    if not is_in_agent_thread():
        raise RuntimeError("only a plain generator that runs in a thread waits like this: write await ask(…)")
    # In this thread's context: the work belongs to the turn that the generator answers.
    return asyncio.run_coroutine_threadsafe(work(), _LOOP.get()).result()


class _Steps:
    """A generator that runs in a thread, one step for each call of `next`."""

    def __init__(self, agent: Callable[[Call, Turn], Iterator[Piece]], call: Call, turn: Turn) -> None:
        self._loop = asyncio.get_running_loop()
        self._asked = threading.Semaphore(0)
        self._answer: asyncio.Future[Any] | None = None
        self._stopped = False
        # A daemon: an agent that blocks for ever must not keep the process.
        self._thread = threading.Thread(
            target=contextvars.copy_context().run,
            args=(self._run, agent, call, turn),
            name=f"agent {call.sid}",
            daemon=True,
        )

    async def next(self) -> Any:
        """The next piece. Raises what the generator raises."""
        self._answer = self._loop.create_future()
        if self._thread.ident is None:
            self._thread.start()
        self._asked.release()
        return await self._answer

    def stop(self) -> None:
        """Close the generator once its step is over. Does not wait for that."""
        self._stopped = True
        self._asked.release()

    def _run(self, agent: Callable[[Call, Turn], Iterator[Piece]], call: Call, turn: Turn) -> None:
        _LOOP.set(self._loop)
        self._asked.acquire()
        try:
            generator = iter(agent(call, turn))
            while not self._stopped:
                self._tell(next(generator, _OVER), None)
                self._asked.acquire()
            if inspect.isgenerator(generator):
                generator.close()
        except BaseException as error:
            self._tell(None, error)

    def _tell(self, piece: Any, error: BaseException | None) -> None:
        answer = self._answer

        def tell() -> None:
            if answer is None or answer.done():
                if error is not None:
                    log.warning("the agent failed after its turn was over", exc_info=error)
            elif error is None:
                answer.set_result(piece)
            else:
                answer.set_exception(_as_exception(error))

        try:
            self._loop.call_soon_threadsafe(tell)
        except RuntimeError:  # the loop is closed: the server has stopped
            return


def _as_exception(error: BaseException) -> BaseException:
    """What a future can hold: it takes no StopIteration, and what is no Exception would stop the loop."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return _exit(error)
