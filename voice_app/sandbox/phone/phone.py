"""A phone: places a call to a server as Twilio would, follows its TwiML, and is the caller on the line.

async with Phone(network, account_sid=…) as phone:
    async with phone.call("https://voice.example.com/voice", people=[Person("answers")]) as call:
        await call.reply()                      # the greeting
        reply = await call.ask("When are you open?")
        await call.ask("I want to speak to a person.")
        await call.bridged()
        await call.hang_up()
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Protocol, Self

import aiohttp
import msgspec

from voice_app.sandbox.network import Network
from voice_app.sandbox.phone.call import PhoneCall, PhoneSetup
from voice_app.sandbox.phone.callbacks import CallbackOrder
from voice_app.sandbox.phone.conditions import GOOD_LINE
from voice_app.sandbox.phone.endpoint import PhoneEvent
from voice_app.sandbox.phone.frames import Reconnecting
from voice_app.sandbox.phone.people import Person
from voice_app.sandbox.phone.relay import ReportedInput
from voice_app.sandbox.phone.voice import WORDS_PER_SECOND
from voice_app.sandbox.twilio import CONTROL_PATH, Instruction, Placement, RemoteTranscriber, Transcriber
from voice_app.twiml.vocabulary import VOCABULARY, Vocabulary

DEFAULT_RECONNECTING = Reconnecting()
CALL_SID = re.compile(r"CA[0-9a-f]{32}")


class Phone:
    """Places calls.

    ``words_per_second`` is the pace of every voice, and of everything else that Twilio times. ``callbacks``
    says in which order status callbacks come, ``seed`` makes their disorder repeatable. ``verified`` are
    numbers that may be shown as ``callerId`` beside the two of a call; ``queue_ahead`` is how many are in
    every queue already. ``reconnecting`` is how Twilio comes back to a session whose socket was lost, where
    the TwiML asks for that; None: it asks the action URL at once. ``reports`` is the default of
    ``reportInputDuringAgentSpeech``. ``vocabulary`` is what documents may have in them.
    ``transcriber`` writes the conversation; without it the double at ``twilio_base_url`` does.
    """

    def __init__(
        self,
        network: Network,
        *,
        account_sid: str,
        number: str = "+15550100001",
        caller: str = "+15550199999",
        words_per_second: float = WORDS_PER_SECOND,
        twilio_base_url: str | None = None,
        callbacks: CallbackOrder = "ordered",
        seed: int = 0,
        verified: Sequence[str] = (),
        queue_ahead: int = 0,
        reconnecting: Reconnecting | None = DEFAULT_RECONNECTING,
        reports: ReportedInput = "none",
        vocabulary: Vocabulary = VOCABULARY,
        transcriber: Transcriber | None = None,
    ) -> None:
        self.network = network
        self.account_sid = account_sid
        self.number = number
        self.caller = caller
        self.words_per_second = words_per_second
        self.callbacks: CallbackOrder = callbacks
        self.seed = seed
        self.verified = frozenset(verified)
        self.queue_ahead = queue_ahead
        self.reconnecting = reconnecting
        self.reports: ReportedInput = reports
        self.vocabulary = vocabulary
        self.transcriber = transcriber
        """Who writes the conversation, as Twilio does; `None` where there is no double of its APIs."""
        self.conditions = GOOD_LINE
        """What the lines of the next calls are like."""
        self._twilio_base_url = twilio_base_url
        self.calls: dict[str, PhoneCall] = {}
        """Those on the line, by CallSid."""
        self._dispatched: dict[str, ControlledCall] = {}
        """They, and the calls that the REST API has placed."""
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.http = await self._stack.enter_async_context(aiohttp.ClientSession(trust_env=False))
        if self._twilio_base_url is not None:
            self.transcriber = self.transcriber or RemoteTranscriber(self.http, self._twilio_base_url)
            dispatcher = InstructionFollower(self.http, self._twilio_base_url, self._dispatched, self._place)
            self._stack.push_async_callback(_cancel, asyncio.create_task(dispatcher.run()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def call(
        self,
        url: str,
        *,
        status_url: str = "",
        watch: Callable[[PhoneEvent], None] = lambda event: None,
        people: Sequence[Person] = (),
        caller: str = "",
    ) -> AsyncIterator[PhoneCall]:
        """Place a call to a voice webhook. It is hung up when the block ends.

        ``caller`` is the number that calls; without it the phone's own.
        ``people`` are reached one after another when the server dials or queues; behind the last of them
        nobody answers.
        """
        setup = PhoneSetup(
            network=self.network,
            http=self.http,
            account_sid=self.account_sid,
            number=self.number,
            words_per_second=self.words_per_second,
            callbacks=self.callbacks,
            seed=self.seed,
            verified=self.verified,
            queue_ahead=self.queue_ahead,
            reconnecting=self.reconnecting,
            reports=self.reports,
            vocabulary=self.vocabulary,
            transcriber=self.transcriber,
            conditions=self.conditions,
        )
        call = PhoneCall(setup, url, status_url, watch, people, caller or self.caller)
        running = asyncio.create_task(call.run())
        self.calls[call.sid] = self._dispatched[call.sid] = call
        try:
            yield call
            await call.hang_up()
            await running
        finally:
            del self.calls[call.sid], self._dispatched[call.sid]
            await _cancel(running)

    def _place(self, placement: Placement) -> None:
        """Have one of the calls take it: that whose CallSid is in it, or the only one there is.

        Another phone may have the call that is meant; then nothing happens here.
        """
        named = CALL_SID.findall(f"{placement.url} {placement.status_url} {placement.twiml}")
        mine = [call for sid, call in self.calls.items() if sid in named]
        if not named and placement.from_ == self.number and len(self.calls) == 1:
            mine = list(self.calls.values())
        if mine and placement.call_sid not in self._dispatched:
            self._dispatched[placement.call_sid] = mine[0].place(placement)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


RETRY_SECONDS = 1.0


class ControlledCall(Protocol):
    """A call that the REST API can redirect or end."""

    async def redirect(self, url: str = "", *, twiml: str | None = None, method: str = "POST") -> None: ...

    async def complete(self) -> None: ...


class _Instructions(msgspec.Struct):
    """The answer of ``/_sandbox/instructions``: what is new, and how many there are with that."""

    next: int
    instructions: list[Instruction]


class InstructionFollower:
    """Waits at the door of a double, and passes on what is meant for one of ``calls`` (by CallSid).

    ``place`` is offered every call that the REST API places.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        twilio_base_url: str,
        calls: Mapping[str, ControlledCall],
        place: Callable[[Placement], None],
    ) -> None:
        self._http = http
        self._url = f"{twilio_base_url.rstrip('/')}{CONTROL_PATH}/instructions"
        self._calls = calls
        self._place = place

    async def run(self) -> None:
        """Follow until cancelled. A double that is gone is asked again."""
        known = 0
        while True:
            try:
                answer = await self._ask(known)
            except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError):
                await asyncio.sleep(RETRY_SECONDS)
                continue
            known = answer.next
            for instruction in answer.instructions:
                await self._follow(instruction)

    async def _ask(self, known: int) -> _Instructions:
        async with self._http.get(self._url, params={"after": str(known)}) as response:
            response.raise_for_status()
            return msgspec.json.decode(await response.read(), type=_Instructions)

    async def _follow(self, instruction: Instruction) -> None:
        if instruction.placement is not None:
            self._place(instruction.placement)
            return
        call = self._calls.get(instruction.call_sid)
        if call is None:
            return
        if instruction.status is not None:
            await call.complete()
        else:
            await call.redirect(instruction.url, twiml=instruction.twiml, method=instruction.method)
