"""One end of a call as TwiML sees it: somebody who hears, speaks, presses keys, and may be gone any moment.

Nothing on a leg waits for anything but through `Leg.until`: a hang-up, or a redirect by the
REST API, ends every wait at once.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import aiohttp

from voice_app.sandbox.network import Network
from voice_app.sandbox.phone.callbacks import CallbackQueue
from voice_app.sandbox.phone.twiml import Jump, TwimlDocument, TwimlVerb, read
from voice_app.sandbox.phone.voice import Pace
from voice_app.twiml.vocabulary import Vocabulary


async def first_of(*waiting: Coroutine[Any, Any, Any]) -> int:
    """Wait until one is done, cancel the others, and give its place. Raises what that one raises."""
    tasks = [asyncio.create_task(coroutine) for coroutine in waiting]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        place = next(place for place, task in enumerate(tasks) if task.done())
        tasks[place].result()
        return place
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


T = TypeVar("T")

SOUND_SECONDS = 10.0
"""What ``<Play>`` plays is not fetched; it takes this long on the call."""
MAX_LOOPS = 1000
"""How often ``loop="0"`` plays."""

API_VERSION = "2010-04-01"

E164 = re.compile(r"\+[1-9]\d{6,14}")
SPELT = frozenset({"+266696687", "+7378742833", "+86282452253", "+2562533", "+8656696", "+7748283"})
"""ANONYMOUS, RESTRICTED, UNAVAILABLE, BLOCKED, UNKNOWN and PRIVATE on a keypad: the ``From`` of callers who
withhold their number."""


class LegListener(Protocol):
    """What somebody on a leg speaks to: the agent, a ``<Gather>``, another person."""

    async def say(self, text: str) -> None: ...

    async def press(self, key: str) -> None: ...


class BridgedPerson(LegListener, Protocol):
    """A person whom a caller hears, and who hears the caller."""

    async def person_says(self, text: str) -> None: ...

    def person_hangs_up(self) -> None: ...


def is_phone_number(address: str) -> bool:
    """Whether an address is a number that a call may be placed from."""
    return E164.fullmatch(address) is not None and address not in SPELT


class LegParty(Protocol):
    """Who is on a leg: the caller, or a person who was dialled."""

    def hear(self, text: str) -> None:
        """They have heard a ``<Say>``."""
        ...

    def hear_sound(self, what: str) -> None:
        """They hear a beep or music."""
        ...

    def attend(self, listener: LegListener | None) -> None:
        """From now on they are listened to, or no longer are."""
        ...

    async def prompted(self, listener: LegListener) -> None:
        """They have heard everything, and it is their turn."""
        ...

    async def silence(self, seconds: float) -> None:
        """Return when they have said and pressed nothing for ``seconds`` of the call."""
        ...


class HungUpError(Exception):
    """The party on the leg has hung up."""


class RedirectedError(Exception):
    """The REST API has sent the leg to another document."""

    def __init__(self, jump: Jump) -> None:
        super().__init__(f"the call was redirected to {jump.url or 'other TwiML'}")
        self.jump = jump


@dataclass(slots=True, kw_only=True)
class SharedCallParts:
    """What the legs of a call share."""

    network: Network
    http: aiohttp.ClientSession
    callbacks: CallbackQueue
    pace: Pace
    account_sid: str
    vocabulary: Vocabulary
    """What may be in a document."""
    problem: Callable[[str], None]
    """Called with what is not as Twilio wants it."""


@dataclass(slots=True, kw_only=True, eq=False)
class Leg:
    """One end of a call."""

    shared: SharedCallParts
    party: LegParty
    from_: str
    to: str
    direction: str = "inbound"
    parent_sid: str = ""
    sid: str = field(default_factory=lambda: "CA" + secrets.token_hex(16))
    status: str = "ringing"
    documents: list[str] = field(default_factory=list)
    """Every TwiML document that ran on it."""
    hung_up: bool = False
    _interruption: asyncio.Future[None] = field(default_factory=asyncio.Future, repr=False)

    def form(self, status: str | None = None) -> dict[str, str]:
        """What every request about this leg has in it. Source: reference §6.1."""
        fields = {
            "AccountSid": self.shared.account_sid,
            "ApiVersion": API_VERSION,
            "CallSid": self.sid,
            "CallStatus": status or self.status,
            "Direction": self.direction,
            "From": self.from_,
            "Caller": self.from_,
            "To": self.to,
            "Called": self.to,
        }
        if self.parent_sid:
            return fields | {"ParentCallSid": self.parent_sid}
        return fields | {"CallerName": ""} if self.direction == "inbound" else fields

    def absolute(self, url: str, document_url: str) -> str:
        return self.shared.network.absolute(url, document_url) if url else document_url

    def action(self, verb: TwimlVerb, url: str, form: dict[str, str]) -> Jump | None:
        """The request to the action of a verb in the document at ``url``; None where it has no action."""
        if not verb.get("action"):
            return None
        return Jump(self.absolute(verb.get("action"), url), form, verb.get("method", "POST"))

    def notify(self, verb: TwimlVerb, attribute: str, url: str, form: dict[str, str]) -> None:
        """Send a status callback to the URL in an attribute of a verb; nothing where it has none."""
        if callback := verb.get(attribute):
            method = verb.get(f"{attribute}Method", "POST")
            self.shared.callbacks.send(self.absolute(callback, url), form, method)

    async def fetch(self, jump: Jump) -> TwimlDocument:
        """The document of a jump. Raises `WebhookError` or `DocumentError`."""
        shared = self.shared
        body = jump.twiml
        if body is None:
            body = await shared.network.post(shared.http, jump.url, jump.form, jump.method)
        self.documents.append(body)
        document = read(body, shared.vocabulary)
        for problem in document.problems:
            shared.problem(problem)
        return document

    # --- how it goes away ------------------------------------------------------------------------

    def hang_up(self) -> None:
        """The party hangs up; nothing brings the leg back."""
        self.hung_up = True
        self.status = "completed"
        self._interrupt(HungUpError())

    def redirect(self, jump: Jump) -> None:
        """Send it to another document, whatever it is doing."""
        if not self.hung_up:
            self._interrupt(RedirectedError(jump))

    @property
    def interrupted(self) -> bool:
        """Whether there is nobody to go on with."""
        return self._interruption.done()

    def take_redirection(self) -> Jump | None:
        """Where it was sent to, once: it can be sent elsewhere from then on."""
        if self.hung_up or not self._interruption.done():
            return None
        error = self._interruption.exception()
        self._interruption = asyncio.Future()
        return error.jump if isinstance(error, RedirectedError) else None

    def check(self) -> None:
        """Raise `HungUpError` or `RedirectedError` if there is nobody to go on with."""
        if self._interruption.done():
            self._interruption.result()

    async def until(self, waiting: Awaitable[T]) -> T:
        """Wait for something as long as the leg is there. Raises `HungUpError` or `RedirectedError`."""
        task = asyncio.ensure_future(waiting)
        both: set[asyncio.Future[Any]] = {task, self._interruption}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        self.check()
        raise AssertionError("neither of two things that were waited for has happened")

    async def pass_time(self, seconds: float) -> None:
        """Let ``seconds`` of the call pass."""
        await self.until(asyncio.sleep(self.shared.pace.real(seconds)))

    async def listen_to(self, text: str) -> None:
        """Say something to the party, at the pace of the call."""
        await self.until(asyncio.sleep(self.shared.pace.speech(text)))
        self.party.hear(text)

    async def play(self, verb: TwimlVerb) -> None:
        """Run ``<Say>``, ``<Play>`` or ``<Pause>``. Raises `HungUpError` or `RedirectedError`."""
        if verb.name == "Pause":
            await self.pass_time(verb.seconds("length", 1))
            return
        for _ in range(int(verb.seconds("loop", 1)) or MAX_LOOPS):
            if verb.name == "Say":
                await self.listen_to(verb.text)
            else:
                self.party.hear_sound(verb.text or f"the keys {verb.get('digits')}")
                await self.pass_time(SOUND_SECONDS)

    def _interrupt(self, error: Exception) -> None:
        if self._interruption.done():
            self._interruption = asyncio.Future()
        self._interruption.set_exception(error)
        self._interruption.exception()  # seen: nobody may be waiting just now
