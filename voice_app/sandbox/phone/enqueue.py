"""``<Enqueue>``: the caller waits in a queue, or as a task of TaskRouter, until somebody takes them.

Source: ``docs/protocol.md`` §6.2.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from typing import Any

from voice_app.sandbox.phone.bridge import PersonBridge
from voice_app.sandbox.phone.context import CallContext, RoutedTask
from voice_app.sandbox.phone.leg import HungUpError, RedirectedError, first_of
from voice_app.sandbox.phone.people import Person
from voice_app.sandbox.phone.program import HoldProgram
from voice_app.sandbox.phone.twiml import Jump, TwimlVerb

MAX_NAME = 64
DEFAULT_SIZE = 1000
LONGEST_WAIT = 14400.0
"""Seconds of the call; the longest that a call lasts by default."""
TAKEN_SECONDS = 5.0
"""Seconds from the first words, or music, until the first caller in the queue is taken."""
WAIT_VERBS = ("Say", "Play", "Pause", "Redirect", "Leave", "Hangup", "Gather")


class EnqueueVerb:
    """One ``<Enqueue>`` of a caller, in the document at ``url``."""

    def __init__(self, context: CallContext, verb: TwimlVerb, url: str) -> None:
        self._context = context
        self._verb = verb
        self._document_url = url
        self._sid = "QU" + secrets.token_hex(16)
        self._since = time.monotonic()
        self._left: float | None = None
        wait_url = verb.get("waitUrl")
        leg = context.leg
        self._waiting = HoldProgram(
            leg,
            context.engines,
            wait_url and leg.absolute(wait_url, url),
            verb.get("waitUrlMethod", "POST"),
            WAIT_VERBS,
        )

    async def run(self) -> Jump | None:
        """Wait, and give the request that says how it went; None without an action.

        Raises `RedirectedError` when the REST API took the caller away.
        """
        self._context.answer()
        if problem := self._wrong():
            self._context.problem(problem)
            return self._request("error", enqueued=False)
        if self._context.queue_ahead >= self._verb.seconds("maxQueueSize", DEFAULT_SIZE):
            return self._request("queue-full", enqueued=False)
        self._context.emit("queued", self._verb.text or self._verb.get("workflowSid"))
        try:
            result = await self._wait()
        except HungUpError:
            result = "hangup" if self._left is None else "bridged"
        except RedirectedError:
            self._notify("redirected" if self._left is None else "redirected-from-bridged")
            raise
        return self._request(result)

    async def _wait(self) -> str:
        """Until somebody comes; the verb that left the queue if nobody does."""
        context = self._context
        person = context.people.next()
        stops: list[str] = []

        async def wait() -> None:
            stops.append((await self._waiting.run(self._fields)).verb)

        await first_of(wait(), self._taken(person), context.leg.pass_time(LONGEST_WAIT))
        self._left = time.monotonic()
        if not stops and person.kind == "answers":
            await PersonBridge(context, person).run(LONGEST_WAIT)
            return "bridged"
        if "Leave" in stops:
            return "leave"
        context.leg.hang_up()
        return "hangup"

    async def _taken(self, person: Person) -> None:
        """Return when somebody takes the caller; never if nobody wants to."""
        if person.kind != "answers":
            await asyncio.Event().wait()
        await self._waiting.turned.wait()
        while self._position > 1:
            await self._context.leg.pass_time(1)
        await self._context.leg.pass_time(TAKEN_SECONDS)

    # --- what is asked with ----------------------------------------------------------------------

    @property
    def _position(self) -> int:
        """Each time that the document was played somebody before us was taken."""
        return max(1, 1 + self._context.queue_ahead - self._waiting.turns)

    def _seconds(self) -> str:
        waited = (self._left or time.monotonic()) - self._since
        return str(round(self._context.leg.shared.pace.simulated(waited)))

    def _fields(self) -> dict[str, str]:
        return self._context.leg.form() | {
            "QueueSid": self._sid,
            "QueuePosition": str(self._position),
            "QueueTime": self._seconds(),
            "AvgQueueTime": self._seconds(),
            "CurrentQueueSize": str(self._position),
        }

    def _request(self, result: str, *, enqueued: bool = True) -> Jump | None:
        leg = self._context.leg
        form = leg.form() | {"QueueResult": result}
        if enqueued:
            form |= {"QueueSid": self._sid, "QueueTime": self._seconds()}
        return leg.action(self._verb, self._document_url, form)

    def _notify(self, result: str) -> None:
        """The action is asked, but what it answers is of no interest any more."""
        request = self._request(result)
        if request is not None:
            self._context.leg.shared.callbacks.send(request.url, request.form, request.method)

    # --- the task --------------------------------------------------------------------------------

    def _wrong(self) -> str:
        verb = self._verb
        task = verb.child("Task")
        if not verb.get("workflowSid"):
            if task is not None:
                return "<Enqueue> has a <Task>, but no workflowSid to give it to"
            if not verb.text or len(verb.text) > MAX_NAME:
                return f"<Enqueue> needs the name of a queue, of up to {MAX_NAME} characters: {verb.text!r}"
            return ""
        return self._take_task(task)

    def _take_task(self, task: TwimlVerb | None) -> str:
        attributes: Any = {}
        if task is not None:
            try:
                attributes = json.loads(task.text)
            except ValueError as error:
                return f"<Task> is not JSON: {error}"
            if not isinstance(attributes, dict):
                return "<Task> is not a JSON object"
        timeout = task.get("timeout") if task is not None else ""
        self._context.tasks.append(
            RoutedTask(
                workflow_sid=self._verb.get("workflowSid"),
                attributes=attributes,
                priority=int(task.seconds("priority", 0)) if task is not None else 0,
                timeout=int(timeout) if timeout.isdecimal() else None,
            )
        )
        return ""
