"""The durable functions themselves, as DBOS runs them: on a loop in a thread of its own.

Importing this takes half a second, so it is done beside the calls (``durable.py``). What is written to DBOS's
tables are ids, names, times and numbers: nothing of the caller's, so there is nothing in them to forget.

The steps and their order are what recovery relies on. Change them only so that a workflow that an older
version began can go on: new kinds of work are new task names, not new steps in between.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol, TypeVar

from dbos import DBOS, SetWorkflowID

QUEUE: Final = "follow-ups"

_T = TypeVar("_T")


class Performer(Protocol):
    """Who does the work, on the server's loop: see `voice_app.followups.context.Work`."""

    async def begin(self, call_sid: str) -> list[str]:
        """Which tasks a call needs."""

    async def attempt(self, call_sid: str, name: str, asked_at: float, number: int) -> float | None:
        """Seconds until the next attempt; None if it is done."""


class WorkflowHost:
    """Where work is done in this process. There is one, as there is one DBOS in a process."""

    performer: Performer
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        self.running: set[str] = set()
        """The workflows that this process works on."""

    @contextmanager
    def running_now(self) -> Iterator[None]:
        workflow_id = DBOS.workflow_id or ""
        self.running.add(workflow_id)
        try:
            yield
        finally:
            self.running.discard(workflow_id)

    async def ask(self, question: Callable[[], Awaitable[_T]]) -> _T:
        """Have the server's loop answer, from DBOS's."""

        async def answer() -> _T:
            return await question()

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(answer(), self.loop))


host: Final = WorkflowHost()


@DBOS.step(name="begin")
async def begin(call_sid: str) -> list[Any]:
    """When, and what."""
    names = await host.ask(lambda: host.performer.begin(call_sid))
    return [time.time(), names]


@DBOS.step(name="attempt")
async def attempt(call_sid: str, name: str, asked_at: float, number: int) -> float:
    """Seconds until the next attempt; a negative number if it is done. (DBOS cannot keep None.)"""
    wait = await host.ask(lambda: host.performer.attempt(call_sid, name, asked_at, number))
    return -1.0 if wait is None else max(wait, 0.0)


@DBOS.workflow(name="follow_up")
async def follow_up(call_sid: str, pause_s: float) -> None:
    """Everything that is to be done after a call: each task is a workflow of its own, side by side."""
    with host.running_now():
        await DBOS.sleep_async(pause_s)
        asked_at, names = await begin(call_sid)
        for name in names:
            with SetWorkflowID(task_id(name, call_sid)):
                await DBOS.enqueue_workflow_async(QUEUE, perform, call_sid, name, asked_at)


@DBOS.workflow(name="perform")
async def perform(call_sid: str, name: str, asked_at: float) -> None:
    """One task, tried until it is done or given up."""
    with host.running_now():
        number = 0
        while (wait := await attempt(call_sid, name, asked_at, number)) >= 0:
            await DBOS.sleep_async(wait)
            number += 1


BY_NAME: Final[dict[str, Callable[..., Any]]] = {"follow_up": follow_up, "perform": perform}


def call_id(call_sid: str) -> str:
    """The same for every server and every time: what was begun is not begun again."""
    return f"follow-up:{call_sid}"


def task_id(name: str, call_sid: str) -> str:
    return f"{name}:{call_sid}"
