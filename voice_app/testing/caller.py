"""Somebody who phones the line, and what a test expects of the call.

await caller.hears("How can I help you?")
await caller.says("Where is order 81?")
await caller.hears("leaves today")

A caller speaks when the agent is done, and waits as long as it works: for the answer, not for a time. What is
expected fails as soon as it cannot come any more.
"""

from __future__ import annotations

import asyncio
import functools
import json
import re
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any, Concatenate, Final, ParamSpec, Protocol, Self, TypeVar, cast

from voice_app.calls import CallState
from voice_app.journal.event_feed import FeedReader
from voice_app.journal.events import Acted, Event, Failed, ToolCalled, ToolReturned
from voice_app.runtime import Services
from voice_app.sandbox.phone import CallOverError, Person, PersonKind, Phone, PhoneCall, PhoneEvent
from voice_app.sandbox.phone.leg import first_of
from voice_app.settings import Settings
from voice_app.testing.agent_turns import AgentTurns
from voice_app.testing.dialogue import CallDialogue
from voice_app.testing.measures import CallMeasures, measure
from voice_app.testing.recognition import NoisyRecognition, RecognizedPrompt
from voice_app.testing.scenario import LineQuality
from voice_app.testing.twilio_double import TwilioDouble
from voice_app.testing.virtual_time import VirtualLoop

PATIENCE_SECONDS: Final = 120.0
"""So long the caller waits for a person, or what no agent's turn tells of; seconds of the call."""
AT_ONCE_SECONDS: Final = 30.0
"""A longer silence is waited for in parts: what is waited for on a call has to happen within a minute."""
AFTERWARDS_SECONDS: Final = 2.0
"""So long they listen on once the agent seems to be done."""
BETWEEN_BURSTS_SECONDS: Final = 0.4

P = ParamSpec("P")
T = TypeVar("T")
Words = str | re.Pattern[str]
"""What is to be heard: some words, or a pattern of them. Capitals and spaces do not matter."""
_Method = Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]


class CalledLine(Protocol):
    """What callers need of the line that they phone."""

    settings: Settings
    services: Services
    twilio: TwilioDouble
    phone: Phone
    loop: VirtualLoop

    @property
    def language(self) -> str: ...

    people: list[Person]
    quality: LineQuality
    seed: int
    callers: list[Caller]


class CallFailure(AssertionError):  # noqa: N818 - what a test fails with, as pytest has it
    """Something that was expected on a call did not happen."""


@dataclass(slots=True, frozen=True)
class CalledTool:
    """A tool that the agent's model has called."""

    name: str
    arguments: dict[str, Any]
    outcome: str = ""
    """What the model was told; empty as long as the tool runs."""


def on_the_line(method: _Method[P, T]) -> _Method[P, T]:
    """Have a method run on the line's loop, whatever loop waits for it; its failure is the test's own."""

    async def attempt(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await method(self, *args, **kwargs)
        except CallOverError as error:
            raise self.failure(f"to be on the line for `{method.__name__}`", str(error)) from None

    @functools.wraps(method)
    async def performed(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        __tracebackhide__ = True
        try:
            loop: VirtualLoop = self.line.loop
            return await loop.perform(attempt(self, *args, **kwargs))
        except CallFailure as error:
            failure = error
        raise failure.with_traceback(None) from None

    return cast("_Method[P, T]", performed)


class Caller:
    """One caller, one call. It is placed by whatever the caller does first."""

    def __init__(self, line: CalledLine, number: str) -> None:
        self.line = line
        self.number = number
        self.dialogue = CallDialogue()
        """What has happened so far."""
        self.heard: list[str] = []
        """Everything that the caller heard, stretch by stretch."""
        self.said: list[str] = []
        """Everything that they have said."""
        self.events: list[Event] = []
        """What the journal has of the call."""
        self.happenings: list[tuple[float, PhoneEvent]] = []
        """What happened on the line, with seconds of the call."""
        self.turns = AgentTurns()
        self.call: PhoneCall
        self._placed = False
        self._began = 0.0
        self._greeted = False
        self._questions = 0
        self._listener = ""
        self._since = 0
        """Stretches that were heard before the caller last did something."""
        self._own_silences: list[tuple[float, float]] = []
        self._hung_up = False
        self._news = asyncio.Event()
        self._stack = AsyncExitStack()

    def __repr__(self) -> str:
        return f"<the caller {self.number}>"

    # --- what a caller does ----------------------------------------------------------------------

    @on_the_line
    async def calls(self) -> Self:
        """Phone the line; whatever is done first does that, too."""
        await self._place()
        return self

    @on_the_line
    async def says(self, text: str, *more: str, at_once: bool = False) -> None:
        """Say something, once whoever has the word is done, or ``at_once``.

        ``more`` follows at once, each a prompt.
        """
        await self._say(text, *more, at_once=at_once)

    @on_the_line
    async def asks(self, text: str) -> str:
        """Say something, and hear the agent out. Returns all that it answers, fillers included."""
        await self._say(text)
        await self._listen_out()
        return self._lately

    @on_the_line
    async def interrupts(self, text: str, *, after_words: int) -> str:
        """Cut into the answer after so many words of it, with this. Returns what was heard of it."""
        await self._place()
        await self._turn_to(asks=False)
        first, *others = self._understood(text)
        cut: list[str] = []
        counts = self.turns.counts if self._greeted else None  # the greeting is Twilio's: no turn tells of it

        async def cut_in() -> None:
            heard = await self.call.interrupt(
                first.text, after_words=after_words, counts=counts, language=first.language
            )
            cut.append(heard.text)

        await first_of(cut_in(), self._is_answered() if self._greeted else self.call.over.wait())
        self._greeted = True
        if not cut:
            words = "word" if after_words == 1 else "words"
            told = "heard all that the agent had to say before (`hears` waits for what it expects)"
            raise self.failure(f"to cut into an answer after {after_words} {words} of it", told)
        self._questions += self._listener == "agent"
        self._since = len(self.heard)
        await self._go_on(others)
        return cut[0]

    @on_the_line
    async def presses(self, keys: str) -> None:
        """Press keys, one after another."""
        await self._take_the_word()
        await self.call.press(keys)

    @on_the_line
    async def is_silent(self, seconds: float) -> None:
        """Say nothing for so long after the agent is done; the test does not wait for it."""
        await self._take_the_word(asks=False)
        begun = self._now()
        with suppress(CallOverError):
            while not self.call.over.is_set() and (left := begun + seconds - self._now()) > 0:
                await self.call.while_it_lasts(asyncio.sleep(min(left, AT_ONCE_SECONDS)))
        self._own_silences.append((begun, self._now()))

    @on_the_line
    async def drops(self, *, unnoticed: bool = False, at_once: bool = False) -> None:
        """The connection to the agent breaks, once it is done, or ``at_once``.

        ``unnoticed``: only Twilio sees it at first.
        """
        await self._place()
        await (self._turn_to(asks=False) if at_once else self._take_the_word(asks=False))
        await self.call.drop(unnoticed=unnoticed)

    @on_the_line
    async def hangs_up(self) -> None:
        """Hang up, whoever is speaking."""
        await self._place()
        self._hung_up = True
        await self.call.hang_up()
        await self.call.ended()

    # --- what is expected ------------------------------------------------------------------------

    @on_the_line
    async def hears(self, words: Words, *, ever: bool = False) -> str:
        """Expect to hear something since the caller last did something, or ``ever`` on the call.

        Returns all that was heard since.
        """
        await self._place()
        if ever:
            self._since = 0
        if not await self._comes(lambda: _has(self._lately, words)):
            raise self.failure(f"to hear {_shown(words)}", f"heard {_quoted(self._lately)}")
        return self._lately

    @on_the_line
    async def listens(self) -> str:
        """Hear out whoever speaks. Returns what was heard since the caller last did something."""
        await self._place()
        await self._comes(self.call.over.is_set)
        return self._lately

    @on_the_line
    async def does_not_hear(self, words: Words, *, ever: bool = False) -> None:
        """Expect that the agent is done, and has not said something since then, or ``ever``."""
        await self._place()
        if ever:
            self._since = 0
        if await self._comes(lambda: _has(self._lately, words)):
            raise self.failure(f"not to hear {_shown(words)}", f"heard {_quoted(self._lately)}")

    @on_the_line
    async def is_transferred(self, *, reason: str | None = None, summary: Words | None = None) -> None:
        """Expect that the agent gives the call to a person, for this reason, with such a summary."""
        await self._place()
        wanted = f"to be handed to a person{f' because of {reason!r}' if reason else ''}"
        wanted += f" with {_shown(summary)} in the summary" if summary else ""

        def transfers() -> list[Acted]:
            return [event for event in self.events if isinstance(event, Acted) and event.action == "transfer"]

        if not await self._comes(transfers):
            raise self.failure(wanted, "the agent has kept the call")
        last = transfers()[-1]
        if (reason is not None and last.detail != reason) or (summary and not _has(last.summary, summary)):
            raise self.failure(wanted, f"the reason was {last.detail!r}, the summary {last.summary!r}")

    @on_the_line
    async def is_put_through(self) -> None:
        """Expect that a person is on the line."""
        await self._place()
        if not await self._comes(lambda: any(event.kind == "bridged" for _, event in self.happenings)):
            raise self.failure("to be put through to a person", "nobody came")

    @on_the_line
    async def is_hung_up_on(self) -> None:
        """Expect that the call ends, and not because the caller has hung up."""
        await self._place()
        if not await self._comes(self.call.over.is_set):
            raise self.failure("that the call is ended", "the line is still open")
        if self._hung_up:
            raise self.failure("that the call is ended", "it was the caller who hung up")

    @on_the_line
    async def is_still_on_the_line(self) -> None:
        """Expect that the agent is done, and the call goes on."""
        await self._place()
        if await self._comes(self.call.over.is_set):
            raise self.failure("that the call goes on", "it is over")

    @on_the_line
    async def tool_called(self, name: str, /, **arguments: Any) -> CalledTool:
        """Expect that the agent's model has called a tool with at least these arguments on this call."""
        await self._place()

        def runs() -> list[CalledTool]:
            named = [run for run in self.tools if run.name == name]
            return [run for run in named if arguments.items() <= run.arguments.items()]

        if not await self._comes(runs):
            given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
            called = ", ".join(f"{run.name}({_arguments(run)})" for run in self.tools) or "none"
            raise self.failure(f"that {name}({given}) is called", f"the tools that were called are: {called}")
        return runs()[-1]

    @property
    def tools(self) -> list[CalledTool]:
        """The tools that the agent's model has called, in order."""
        told = [event for event in self.events if isinstance(event, ToolReturned)]
        outcomes = {(event.round, event.id): event.outcome for event in told}
        return [
            CalledTool(event.name, _decoded(event.arguments), outcomes.get((event.round, event.id), ""))
            for event in self.events
            if isinstance(event, ToolCalled)
        ]

    @property
    def seconds(self) -> float:
        """How long the call has been so far."""
        return self._now()

    @property
    def problems(self) -> list[str]:
        """Where the server, or its TwiML, was not as Twilio wants it, or had speech-to-text billed twice.

        A test that passes has none.
        """
        if not self._placed:
            return []
        twice = [
            f"two engines listened at once: {two.first} and {two.second}" for two in self.call.engine_overlaps
        ]
        return [*self.call.problems, *twice]

    @property
    def agent_failures(self) -> list[str]:
        """Why the agent could not answer, one for each time."""
        return [event.detail for event in self.events if isinstance(event, Failed) and event.what == "agent"]

    @property
    def measures(self) -> CallMeasures:
        """What is measured of the call so far: times by the phone's clock, words, silences, interruptions."""
        return measure(self.happenings, self.events, self._own_silences)

    @on_the_line
    async def state(self) -> CallState:
        """The call as the journal has it: the transcript, the handoff, how it ended."""
        await self._place()
        if self.call.over.is_set():
            await self.close()
        await self.line.services.journal.flush()
        return CallState.of(await self.line.services.journal.events(self.call.sid))

    @on_the_line
    async def conversation(self) -> list[str]:
        """What Conversation Orchestrator has of the call: ``CUSTOMER: Where is order 81?``."""
        await self._listen_out()
        return self.line.twilio.conversation(self.call.sid)

    def failure(self, expected: str, instead: str = "") -> CallFailure:
        """What a test fails with; it is noted in the dialogue, too."""
        self.dialogue.failed(self._now(), expected)
        return CallFailure(f"the caller expected {expected}" + (f", but {instead}" if instead else ""))

    async def close(self) -> None:
        """Hang up, if that was not done, and wait until the server has taken it in."""
        await self._stack.aclose()

    # --- inside ----------------------------------------------------------------------------------

    async def _place(self) -> None:
        if self._placed:
            return
        self._placed, line = True, self.line
        self._began = line.loop.time()
        reader = self._stack.enter_context(line.services.journal.feed())
        self._stack.push_async_callback(_cancelled, asyncio.create_task(self._follow(reader)))
        placing = line.phone.call(
            f"{line.settings.origin}/voice",
            status_url=f"{line.settings.origin}/voice/status",
            watch=self._watch,
            people=line.people,
            caller=self.number,
        )
        self.call = await self._stack.enter_async_context(placing)
        self.turns.call_sid, self.turns.told = self.call.sid, True

    def _watch(self, happening: PhoneEvent) -> None:
        at = self._now()
        self.happenings.append((at, happening))
        self.dialogue.happened(at, happening)
        if happening.kind in ("agent", "interrupt", "voice", "person"):
            self.heard.append(happening.text)
        self._news.set()

    async def _follow(self, reader: FeedReader) -> None:
        while True:
            entry = await reader.get()
            if entry.call_sid == self.turns.call_sid:
                self.events.append(entry.event)  # type: ignore[arg-type]  # of this version
                self.turns.take(entry.event)  # type: ignore[arg-type]
                self.dialogue.acted(self._now(), entry.event)  # type: ignore[arg-type]
                self._news.set()

    def _now(self) -> float:
        return self.line.loop.time() - self._began if self._placed else 0.0

    @property
    def _lately(self) -> str:
        return " ".join(self.heard[self._since :])

    async def _comes(self, what: Callable[[], object]) -> bool:
        """Whether something happens before the agent, and whoever is on the line then, is done."""
        done = asyncio.create_task(self._done())
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not what():
                    self._news.clear()
                    if done.done():
                        return bool(what())
                    await first_of(self._news.wait(), _settled(done))
        except TimeoutError:
            pass
        finally:
            done.cancel()
            await asyncio.gather(done, return_exceptions=True)
        return bool(what())

    async def _done(self) -> None:
        """Return when nothing more is to be heard unless the caller does something."""
        patience = PATIENCE_SECONDS
        with suppress(CallOverError):
            await self._listen_out()
            while patience > 0:
                heard = len(self.heard)
                await self.call.while_it_lasts(asyncio.sleep(AFTERWARDS_SECONDS))
                await self.call.heard_out()
                if heard != len(self.heard):
                    patience = PATIENCE_SECONDS
                elif self.call.session is not None and not self.turns.leaving:
                    return
                patience -= AFTERWARDS_SECONDS

    async def _is_answered(self) -> None:
        """Return when the agent says nothing more to what the caller did last. Raises `CallOverError`."""
        heard = -1
        while heard != len(self.heard):
            heard = len(self.heard)
            await self._listen_out()
            await self.call.while_it_lasts(asyncio.sleep(AFTERWARDS_SECONDS))

    async def _say(self, text: str, *more: str, at_once: bool = False) -> None:
        await self._place()
        await (self._turn_to(asks=False) if at_once else self._take_the_word(asks=False))
        first, *others = [prompt for burst in (text, *more) for prompt in self._understood(burst)]
        self._questions += self._listener == "agent"
        await self.call.say(first.text, language=first.language)
        await self._go_on(others)

    def _understood(self, text: str) -> list[RecognizedPrompt]:
        """What speech-to-text makes of something that is said; a person understands all of it."""
        self.said.append(text)
        if self._listener != "agent" or not self.line.quality.mishears:
            return [RecognizedPrompt(text)]
        prompts = self._recognition.prompts(text)
        if prompts != [RecognizedPrompt(text)]:
            self.dialogue.misheard(
                self._now(), text, [prompt.language for prompt in prompts if prompt.language]
            )
        return prompts

    @functools.cached_property
    def _recognition(self) -> NoisyRecognition:
        return NoisyRecognition(self.line.quality, self.line.seed, self.line.language)

    async def _go_on(self, prompts: list[RecognizedPrompt]) -> None:
        """Speak on, with a pause before each prompt."""
        for prompt in prompts:
            await self.call.while_it_lasts(asyncio.sleep(BETWEEN_BURSTS_SECONDS))
            self._questions += self._listener == "agent"
            await self.call.say(prompt.text, language=prompt.language)

    async def _take_the_word(self, *, asks: bool = True) -> None:
        await self._place()
        await self._listen_out()
        await self._turn_to(asks=asks)

    async def _turn_to(self, *, asks: bool = True) -> None:
        """Look who listens; what is heard from now on is the answer, if the caller ``asks`` something."""
        self._listener = await self.call.attended()
        self._questions += asks and self._listener == "agent"
        self._since = len(self.heard)
        self.call.catch_up()

    async def _listen_out(self) -> None:
        """Hear the agent out; if it leaves with that, wait until it has. Raises `CallOverError`."""
        await self._place()
        if not self._greeted:
            self._greeted = True
            await self.call.greeted()
        if self._listener != "agent":
            return
        await self.call.heard_out(*await self.call.while_it_lasts(self.turns.over(self._questions)))
        if self.turns.leaving == "end-call":
            await self.call.ended()
        elif self.turns.leaving == "transfer":
            await self.call.left()


class RungPerson:
    """Somebody of ours who is reached when the line rings for a person."""

    def __init__(self, line: CalledLine) -> None:
        self.line = line
        self._person = Person("answers", says=["Hello, how can I help?"])
        line.people.append(self._person)

    def is_(self, kind: PersonKind) -> None:
        """From the next ring on: ``answers``, ``busy``, ``no-answer``, ``declines``, ``voicemail``."""
        self._person.kind = kind

    @property
    def heard(self) -> list[str]:
        """Everything that was said to our people: what they are told before they take the call, then more."""
        return [text for person in self.line.people for text in person.heard]

    @on_the_line
    async def says(self, text: str) -> None:
        """Say something to the caller, once they are connected."""
        await self._call.person_says(text)

    @on_the_line
    async def hears(self, words: Words) -> str:
        """Expect that something was said to them. Returns all of it."""
        caller = self.line.callers[-1]
        if not await caller._comes(lambda: _has(" ".join(self.heard), words)):
            told = " ".join(self.heard)
            raise self.failure(f"the person to hear {_shown(words)}", f"they heard {_quoted(told)}")
        return " ".join(self.heard)

    @on_the_line
    async def hangs_up(self) -> None:
        """Hang up; the caller is still there."""
        await self._call.person_hangs_up()

    def failure(self, expected: str, instead: str = "") -> CallFailure:
        return self.line.callers[-1].failure(expected, instead)

    @property
    def _call(self) -> PhoneCall:
        return self.line.callers[-1].call


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _settled(task: asyncio.Task[None]) -> None:
    await asyncio.wait({task})


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _has(text: str, words: Words) -> bool:
    if isinstance(words, str):
        return _folded(words) in _folded(text)
    return re.search(words, text) is not None


def _shown(words: Words) -> str:
    return f'"{words}"' if isinstance(words, str) else f"/{words.pattern}/"


def _quoted(text: str) -> str:
    return f'"{text}"' if text else "nothing"


def _decoded(arguments: str) -> dict[str, Any]:
    with suppress(ValueError):
        found = json.loads(arguments or "{}")
        if isinstance(found, dict):
            return found
    return {}


def _arguments(run: CalledTool) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in run.arguments.items())
