"""Many callers at once, each checking its own call, and what came of all of them."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from itertools import count
from time import monotonic
from typing import Final

from voice_app.sandbox.phone import CallOverError, HeardReply, Phone, PhoneCall, PhoneEvent

PATIENCE_SECONDS: Final = 30.0
"""How long a caller waits for an answer."""
REPEAT_SECONDS: Final = 3.0
"""The time until a caller repeats a question on a line that broke after it was asked."""
DURABLE_SECONDS: Final = 1.0
"""What was said this long before a crash may not be forgotten; what is younger may."""
CRASHED: Final = "it has crashed"
"""What the phone has to say of a server that was killed."""
SPREAD: Final = (0.5, 1.5)
"""A pause is drawn from this range around its length, so that callers do not march in step."""

_ANSWER: Final = re.compile(
    r"Answer (\d+)\. Questions missing: ([\d ]+|none)\. Answers missing: ([\d ]+|none)\."
)


@dataclass(slots=True, kw_only=True)
class CounterScript:
    """What a caller does."""

    turns: int
    pause: float = 0.5
    """Seconds that a caller thinks before a question, on average."""
    crashes: bool = False
    """Whether servers may die on the way: then what was said in the last second before may be forgotten."""


@dataclass(slots=True)
class CheckingCaller:
    """One call of a script, and what came of it."""

    script: CounterScript
    number: str
    """The caller's own, E.164."""
    call_sid: str = ""
    asked: list[str] = field(default_factory=list)
    """Every question, in order; one that was repeated is in it as often."""
    heard: list[str] = field(default_factory=list)
    """Every answer that was heard to its end, in order."""
    sessions: list[float] = field(default_factory=list)
    """When each session with the agent began, on the monotonic clock."""
    breaks: list[float] = field(default_factory=list)
    """When sessions broke."""
    spoken_to: list[float] = field(default_factory=list)
    """When something was heard to its end."""
    slowest: float = 0.0
    """The longest that an answer took to its last word, in seconds; repeated questions are in it."""
    forgotten: set[str] = field(default_factory=set)
    """What was said in the last second before a crash, and was not known after it."""
    cut_short: bool = False
    """The line broke after the caller had said goodbye, and before the agent had."""
    complaints: list[str] = field(default_factory=list)
    """Why the call counts as lost."""
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    """Set: say goodbye after the next answer."""
    over: bool = False
    _answered_at: dict[int, float] = field(default_factory=dict)

    @property
    def turns(self) -> int:
        """How many questions were answered so far."""
        return len(self._answered_at)

    async def run(self, phone: Phone, url: str, *, status_url: str = "") -> None:
        """Make the call. Raises nothing: see `complaints`."""
        async with phone.call(url, status_url=status_url, watch=self._watch, caller=self.number) as call:
            self.call_sid = call.sid
            try:
                await self._talk(call)
            except (CallOverError, TimeoutError) as error:
                why = str(error) or f"nothing fitting was heard for {PATIENCE_SECONDS:g} s"
                self.complaints.append(f"after {self.turns} answers: {why}")
        self.complaints += [
            problem for problem in call.problems if not (self.script.crashes and problem.endswith(CRASHED))
        ]
        self.over = True

    async def _talk(self, call: PhoneCall) -> None:
        dice = random.Random(self.number)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._listen(call)
        for number in range(1, self.script.turns + 1):
            await asyncio.sleep(self.script.pause * dice.uniform(*SPREAD))
            await self._ask(call, number)
            if self.hurry.is_set():
                break
        await self._leave(call)

    async def _ask(self, call: PhoneCall, number: int) -> None:
        question, began = f"Question {number}.", monotonic()
        async with asyncio.timeout(PATIENCE_SECONDS):
            asked_in = await self._say(call, question)
            while True:
                reply = await self._listen(call)
                if reply is not None and self._is_answer(number, reply):
                    self.slowest = max(self.slowest, monotonic() - began)
                    return
                if len(self.sessions) > asked_in:  # the line broke: who knows whether it was heard
                    asked_in = await self._say(call, question)

    async def _leave(self, call: PhoneCall) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            asked_in = await self._say(call, "Goodbye.")
            while not call.over.is_set():
                try:
                    await self._listen(call)
                except CallOverError:
                    break
                if len(self.sessions) > asked_in:
                    asked_in = await self._say(call, "Goodbye.")
        if not call.endings or call.endings[-1].status != "ended":
            # A line that breaks in the agent's goodbye is not opened again for it: TwiML hangs up, no more.
            self.cut_short = True
            if "<Say" in call.documents[-1]:
                self.complaints.append("the call was ended by somebody other than the agent")

    async def _say(self, call: PhoneCall, text: str) -> int:
        """Say it once somebody listens; how many sessions there were then."""
        await call.attended()
        self.asked.append(text)
        sessions = len(self.sessions)
        await call.say(text)
        return sessions

    async def _listen(self, call: PhoneCall) -> HeardReply | None:
        """The next reply, or nothing where it takes long. Raises `CallOverError`."""
        try:
            async with asyncio.timeout(REPEAT_SECONDS):
                reply = await call.reply()
        except TimeoutError:
            return None
        self.spoken_to.append(monotonic())
        return reply

    def _is_answer(self, number: int, reply: HeardReply) -> bool:
        """Whether this is the whole answer; what it lacks is noted."""
        found = _ANSWER.search(reply.text)
        if found is None or reply.interrupted or int(found[1]) != number:
            return False
        for what, listed in (("question", found[2]), ("answer", found[3])):
            for lost in map(int, listed.replace("none", "").split()):
                self._forgot(what, lost)
        self.heard.append(reply.text)
        self._answered_at[number] = monotonic()
        return True

    def _forgot(self, what: str, number: int) -> None:
        answered_at = self._answered_at[number]
        if self.script.crashes and any(0 <= at - answered_at < DURABLE_SECONDS for at in self.breaks):
            self.forgotten.add(f"{what} {number}")
        elif (complaint := f"{what} {number} was forgotten") not in self.complaints:
            self.complaints.append(complaint)

    def _watch(self, event: PhoneEvent) -> None:
        if event.kind == "session":
            self.sessions.append(event.at)
        elif event.kind == "broken":
            self.breaks.append(event.at)


class CallFleet:
    """Calls a server's webhook as often as it is told. Every caller has a number of its own."""

    def __init__(self, phone: Phone, url: str, status_url: str = "") -> None:
        self.callers: list[CheckingCaller] = []
        """Everybody who has called, whether they still do or not."""
        self._phone = phone
        self._url = url
        self._status_url = status_url
        self._numbers = count(15550200000)
        self._running: set[asyncio.Task[None]] = set()
        self._finishing = False

    def call(self, script: CounterScript, callers: int = 1) -> list[CheckingCaller]:
        """Start ``callers`` more calls now."""
        new = [CheckingCaller(script, f"+{next(self._numbers)}") for _ in range(callers)]
        for caller in new:
            self.callers.append(caller)
            self._start(self._one(caller))
        return new

    def keep_calling(self, script: CounterScript, callers: int) -> None:
        """Keep ``callers`` calls up from now on: each that ends is followed by a new one, until `finish`."""
        for _ in range(callers):
            self._start(self._one_after_another(script))

    async def finish(self) -> None:
        """Have everybody say goodbye after the next answer, and return when all calls are over."""
        self._finishing = True
        for caller in self.callers:
            caller.hurry.set()
        await asyncio.gather(*self._running)

    async def cancel(self) -> None:
        """Drop every call."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    # --- what came of it -------------------------------------------------------------------------

    @property
    def talking(self) -> list[CheckingCaller]:
        """Who has had an answer and is still on the line."""
        return [caller for caller in self.callers if caller.turns and not caller.over]

    @property
    def turns(self) -> int:
        """How many questions were answered."""
        return sum(caller.turns for caller in self.callers)

    @property
    def resumes(self) -> int:
        """How often a session broke and another one took the call up."""
        return sum(len(caller.sessions) - 1 for caller in self.callers if caller.sessions)

    @property
    def slowest(self) -> float:
        """The longest that any answer took to its last word, in seconds."""
        return max((caller.slowest for caller in self.callers), default=0.0)

    @property
    def forgotten(self) -> int:
        """What was said in the last second before a crash, and not known after it."""
        return sum(len(caller.forgotten) for caller in self.callers)

    @property
    def cut_short(self) -> int:
        """How many callers said goodbye, and heard none."""
        return sum(caller.cut_short for caller in self.callers)

    @property
    def lost(self) -> list[str]:
        """A line for each call that was lost, with what its caller complains about."""
        return [
            f"{caller.call_sid}: {'; '.join(caller.complaints)}"
            for caller in self.callers
            if caller.complaints
        ]

    def pauses(self) -> Iterator[float]:
        """Seconds from each break of a session to the beginning of the next one."""
        for caller in self.callers:
            for broke_at in caller.breaks:
                begun = [at - broke_at for at in caller.sessions if at >= broke_at]
                yield from begun[:1]

    # --- inside ----------------------------------------------------------------------------------

    async def _one(self, caller: CheckingCaller) -> None:
        await caller.run(self._phone, self._url, status_url=self._status_url)

    async def _one_after_another(self, script: CounterScript) -> None:
        while not self._finishing:
            caller = CheckingCaller(script, f"+{next(self._numbers)}")
            self.callers.append(caller)
            await self._one(caller)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
