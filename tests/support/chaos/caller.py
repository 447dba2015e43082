"""A caller of a chaos run: asks, cuts in, asks for people, says goodbye, and notices everything."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final

from support.chaos.proofs import LONGEST_SILENCE
from support.chaos.story import MARK, CallStory, Span, question
from voice_app.sandbox.phone import CallOverError, HeardReply, Person, Phone, PhoneCall, PhoneEvent
from voice_app.sandbox.phone.relay import RelaySession
from voice_app.settings import Settings

ATTEMPTS: Final = 8
"""How often a caller asks the same thing."""
LONGEST_CALL_SECONDS: Final = 300.0
"""Whoever is on the line for longer has been left hanging."""
PATIENCE_SECONDS: Final = 20.0
"""How long a caller waits before asking again."""
LOOK_SECONDS: Final = 3.0
"""After so long on a new line, the caller asks again: what was said before may not have been heard."""
ENDLESS: Final = 30
"""After so many words of an answer the caller cuts in."""
PAUSE: Final = (0.3, 2.0)
HERE: Final = "Hello, here is a person."
CUTS_IN: Final = 0.25
MALFORMED: Final = 0.05
ASKS_FOR_PEOPLE: Final = 0.15
JUNK: Final = ("{", '{"type": "prompt"}', "[" * 5_000, '{"type": "nonsense", "x": 1}', '"\\ud800"', "7")
"""Frames that Twilio does not send. A session has to live with them."""
_TEMPLATES: Final = Path(__file__).parents[3] / "twiml_templates"
_LINES: Final = (
    *(str(field.default) for field in Settings.model_fields.values() if isinstance(field.default, str)),
    *(path.read_text("utf-8") for path in _TEMPLATES.glob("*.xml")),
    *(HERE, "Please ask. Goodbye, one moment"),
)
"""What has the words that a caller may hear beside answers."""
_AGAIN: Final = re.compile(r"Could you say that again|the line broke|How can I help|What can I do|Please ask")
"""After one of these a question is asked again."""
_BACK: Final = re.compile(r"none of my colleagues")
_WORD: Final = re.compile(r"[A-Za-z']+|\S+")
_KNOWN: Final = frozenset(word.lower() for line in _LINES for word in _WORD.findall(line))
_PROMPT: Final = '"type": "prompt"'
_APOLOGY: Final = re.compile(r"(?i)goodbye|sorry")


class GaveUpError(Exception):
    """The caller has lost patience."""


class ChaosCaller:
    """One call. `story` is what came of it."""

    def __init__(self, number: int, seed: int, hurry: asyncio.Event) -> None:
        self.story = CallStory(number)
        self.call: PhoneCall | None = None
        self.over = False
        self._dice = random.Random(f"caller {seed} {number}")
        self._hurry = hurry
        """Set: goodbye after the next answer."""
        self._asking = 0
        """The number of the question that is asked."""
        self._cut: set[int] = set()
        """Questions whose answers were cut off."""
        self._seen = (0, 0)
        """The session, and from where on in what it `received` there may be nothing of these."""
        self._waiting = False
        self._sound_at = 0.0
        """When something was heard, or waiting began."""
        self._words = 0
        self._told_at: float | None = None
        """When the latest of what the caller said was sent to the agent."""
        self._endless = asyncio.Event()

    async def run(self, phone: Phone, origin: str) -> None:
        """Make the call. Raises nothing of it."""
        story = self.story
        story.began = monotonic()
        people = [Person("answers" if self._dice.random() < 0.6 else "no-answer", says=[HERE])]
        caller = f"+1555{2_000_000 + story.caller}"
        async with phone.call(
            f"{origin}/voice",
            status_url=f"{origin}/voice/status",
            watch=self._watch,
            people=people,
            caller=caller,
        ) as call:
            self.call, story.call_sid = call, call.sid
            try:
                async with asyncio.timeout(LONGEST_CALL_SECONDS):
                    await self._talk(call)
            except CallOverError:
                pass
            except (GaveUpError, TimeoutError):
                story.ending = "gave up"
            self._wait(False)
            if call.over.is_set() and not story.ending:
                self._judge(call)
        for reply in call.replies:
            self._check(reply)
        story.ended = monotonic()
        story.overlaps = [f"{two.first} and {two.second}" for two in call.engine_overlaps]
        self.over, self.call = True, None

    # --- what the caller does --------------------------------------------------------------------

    async def _talk(self, call: PhoneCall) -> None:
        self._wait(True)
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await call.reply()
        self._wait(False)
        for number in range(1, self._dice.randint(3, 12) + 1):
            await asyncio.sleep(self._dice.uniform(*PAUSE))
            if self._hurry.is_set():
                break
            if self._dice.random() < MALFORMED and call.session is not None:
                await call.session.send_raw(self._dice.choice(JUNK))
            self._asking = number
            if self._dice.random() < CUTS_IN:
                await self._cut_in(call, number)
            else:
                await self._ask(call, number)
        if self._dice.random() < ASKS_FOR_PEOPLE:
            await self._ask_for_people(call)
        await self._leave(call)

    async def _ask(self, call: PhoneCall, number: int, first: int = 1) -> None:
        for attempt in range(first, ATTEMPTS + 1):
            await self._say(call, question(self.story.caller, number, attempt))
            if await self._answered(call, f"c{self.story.caller}q{number}end"):
                self.story.answers.append((monotonic(), number))
                return
        raise GaveUpError

    async def _answered(self, call: PhoneCall, end: str) -> bool:
        """Whether the whole answer is heard. Not: it has to be asked again."""
        sessions, until = len(self.story.sessions), monotonic() + PATIENCE_SECONDS
        while monotonic() < until:
            reply = await self._reply(call)
            if self._endless.is_set():
                await self._stop(call)
                return True
            if reply is None:
                if len(self.story.sessions) > sessions:
                    return False
            elif end in reply.text and not reply.interrupted:
                self._wait(False)
                return True
            elif _AGAIN.search(reply.text) and not reply.interrupted:  # else it was before the question
                return False
        return False

    async def _reply(self, call: PhoneCall) -> HeardReply | None:
        """The next reply; nothing after a while, or where an answer does not end."""
        replying, endless = asyncio.create_task(call.reply()), asyncio.create_task(self._endless.wait())
        await asyncio.wait({replying, endless}, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        endless.cancel()
        if replying.done():
            return replying.result()
        replying.cancel()
        with suppress(asyncio.CancelledError):
            return await replying
        return None

    async def _cut_in(self, call: PhoneCall, number: int) -> None:
        """Ask, and cut in after some words of the answer."""
        session, own = call.session, f"c{self.story.caller}q{number}w"
        if session is None:
            await self._ask(call, number)
            return
        call.catch_up()
        await self._say(call, question(self.story.caller, number))
        reached = session.voice.hold_after(self._dice.randint(1, 6))
        await self._until(call, lambda: reached.is_set() or call.session is not session)
        held = own in session.voice.held
        session.voice.release()
        if call.session is session and held:
            await self._stop(call)
        elif not await self._answered(call, f"c{self.story.caller}q{number}end"):
            await self._ask(call, number, 2)

    async def _until(self, call: PhoneCall, happened: Callable[[], bool]) -> None:
        """Wait for something, with patience. Raises `CallOverError`."""
        until = monotonic() + PATIENCE_SECONDS
        while not happened() and monotonic() < until:
            if call.over.is_set():
                raise CallOverError("the call is over")
            await asyncio.sleep(0.05)

    async def _stop(self, call: PhoneCall) -> None:
        """Cut in, and see that no word of the answer is sent once the server knows."""
        session = call.session
        if session is None:
            return
        self.story.interrupts += 1
        self._cut.add(self._asking)
        self._seen = (0, 0)
        await session.cut_in()
        self._wait(False)
        if await session.acknowledged():
            self._seen = id(session), len(session.received)
            await asyncio.sleep(0.3)
        call.catch_up()
        self._endless.clear()

    async def _ask_for_people(self, call: PhoneCall) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            await self._say(call, f"Caller {self.story.caller}, a person please, try {attempt}.")
            until = monotonic() + PATIENCE_SECONDS
            while monotonic() < until:
                reply = await self._reply(call)
                if reply is not None and HERE in reply.text:
                    self.story.ending = "person"
                    await call.hang_up()
                    raise CallOverError("a person has the call")
                if reply is not None and _BACK.search(reply.text):
                    return
                if reply is not None and _AGAIN.search(reply.text):
                    break

    async def _leave(self, call: PhoneCall) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            if call.over.is_set():
                return
            await self._say(call, f"Caller {self.story.caller}, goodbye, try {attempt}.")
            until, sessions = monotonic() + PATIENCE_SECONDS, len(self.story.sessions)
            while monotonic() < until:
                reply = await self._reply(call)
                if reply is not None and _AGAIN.search(reply.text):
                    break
                if reply is None and len(self.story.sessions) > sessions:
                    break
        raise GaveUpError

    async def _say(self, call: PhoneCall, text: str) -> None:
        """Say it as soon as the agent listens."""
        if (who := await call.attended()) == "recorder":
            self.story.ending = "message"
            await call.say("This is a message.")
            await call.hang_up()
            raise CallOverError("a message was left")
        if who == "person":
            self.story.ending = "person"
            await call.hang_up()
            raise CallOverError("a person has the call")
        if call.session is not None:
            self._look_for_stale(call.session)
        self._words, self._told_at = 0, None
        self._endless.clear()  # the last words of an answer that was stopped may have been counted after that
        await call.say(text)
        self._seen = id(call.session), 0
        if self._told_at is not None:  # else the socket was gone already, as they hear in a moment
            self.story.said.append((self._told_at, text))
        self._wait(True)

    # --- what the caller notices -----------------------------------------------------------------

    def _watch(self, event: PhoneEvent) -> None:
        story = self.story
        if event.kind not in ("word", "sent", "received"):
            story.timeline.append((event.at, event.kind, event.text[:200]))
        match event.kind:
            case "word":
                self._sound(event.at)
                self._words += MARK.search(event.text) is not None
                if self._words > ENDLESS:
                    self._endless.set()
            case "voice" | "person" | "sound":
                self._sound(event.at)
            case "sent" if _PROMPT in event.text:
                self._told_at = event.at
            case "session":
                story.sessions.append(event.at)
            case "broken":
                story.breaks.append(event.at)
                self._wait(True)
            case "rings" | "hung-up":
                self._wait(False)
            case "problem":
                story.problems.append((event.at, event.text))
            case _:
                pass

    def _wait(self, on: bool) -> None:
        """The caller begins to wait for words, or has what they waited for."""
        now = monotonic()
        if on and not self._waiting:
            self._sound_at = now
        elif not on:
            self._sound(now)
        self._waiting = on

    def _sound(self, at: float) -> None:
        if self._waiting and at - self._sound_at > LONGEST_SILENCE:
            self.story.silences.append(Span(self._sound_at, at))
        self._sound_at = at

    def _check(self, reply: HeardReply) -> None:
        """Whether what was heard may be heard."""
        for found in MARK.finditer(reply.text):
            if int(found[1]) != self.story.caller:
                self.story.strange.append(f"another caller's words: {found[0]}")
        words = _WORD.findall(MARK.sub(" ", reply.text))
        odd = [word for word in words if any(map(str.isalnum, word)) and word.lower() not in _KNOWN]
        if odd and not reply.interrupted:
            self.story.strange.append(f"heard: {reply.text[:120]!r}")

    def _look_for_stale(self, session: RelaySession) -> None:
        """Words of answers that were cut off, in what came since the server knew of it."""
        known, place = self._seen
        if known == id(session):
            found = MARK.finditer(session.received, place)
            self.story.stale += [mark[0] for mark in found if int(mark[2]) in self._cut]

    def _judge(self, call: PhoneCall) -> None:
        """How a call ended that the caller has not ended."""
        last = call.replies[-1].text if call.replies else ""
        leaving = self.story.said and "goodbye" in self.story.said[-1][1]
        if leaving or (call.endings and call.endings[-1].status == "ended"):
            self.story.ending = "goodbye"  # a line that breaks in it is not opened again for the rest
        else:
            self.story.ending = "apology" if _APOLOGY.search(last) else "cut off"
