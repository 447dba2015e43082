"""A caller who notices every loss: asks one question after another, and checks that all are remembered.

For the agent `voice_app.sandbox.load.counting`. Where the line breaks for a moment, the caller repeats the
question, as people do, and goes on. The call counts as lost if it ends before its goodbye, if nothing is
heard for `PATIENCE_SECONDS`, if Twilio would have logged an error, or if the agent has forgotten something.
"""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from voice_app.sandbox.phone.happening import Happening
from voice_app.sandbox.phone.phone import CallOverError, Phone, PhoneCall
from voice_app.sandbox.phone.relay import Reply

PATIENCE_SECONDS: Final = 30.0
"""So long a caller waits for an answer."""
REPEAT_SECONDS: Final = 3.0
"""After so long a caller repeats a question on a line that broke after it was asked."""
DURABLE_SECONDS: Final = 1.0
"""What was said so long before a crash may not be forgotten; what is younger may."""
SPREAD: Final = (0.5, 1.5)
"""A pause is drawn from this range around its length, so that callers do not march in step."""

_ANSWER: Final = re.compile(
    r"Answer (\d+)\. Questions missing: ([\d ]+|none)\. Answers missing: ([\d ]+|none)\."
)


@dataclass(slots=True, kw_only=True)
class Script:
    """What a caller does."""

    turns: int
    pause: float = 0.5
    """Seconds that a caller thinks before a question, on average."""
    crashes: bool = False
    """Whether servers may die on the way: then what was said in the last second before may be forgotten."""


@dataclass(slots=True)
class Caller:
    """One call of a script, and what came of it."""

    script: Script
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
        self.complaints += call.problems
        self.over = True

    async def _talk(self, call: PhoneCall) -> None:
        dice = random.Random(self.number)  # noqa: S311 - to be repeatable
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

    async def _listen(self, call: PhoneCall) -> Reply | None:
        """The next reply, or nothing where it takes long. Raises `CallOverError`."""
        try:
            async with asyncio.timeout(REPEAT_SECONDS):
                reply = await call.reply()
        except TimeoutError:
            return None
        self.spoken_to.append(monotonic())
        return reply

    def _is_answer(self, number: int, reply: Reply) -> bool:
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

    def _watch(self, happening: Happening) -> None:
        if happening.kind == "session":
            self.sessions.append(happening.at)
        elif happening.kind == "broken":
            self.breaks.append(happening.at)
