"""The speech-to-text engines that listen to a call, and every moment at which two of them did.

An engine is the agent's session, a ``<Transcription>``, or a ``<Gather input="speech">``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from voice_app.sandbox.phone.leg import Leg
from voice_app.sandbox.phone.transcription import KNOWN_ENGINES, TranscriptionStream, TranscriptWriter
from voice_app.sandbox.phone.twiml import TwimlVerb
from voice_app.sandbox.twilio import RELAY_ENGINE, Side


@dataclass(slots=True, eq=False)
class SttEngine:
    """An engine that listens, or listened, to the call. Times are of the monotonic clock."""

    name: str
    """The TwiML that started it, and its id."""
    started: float = field(default_factory=lambda: time.monotonic())
    stopped: float | None = None


@dataclass(slots=True, frozen=True)
class EngineOverlap:
    """Two engines listened to one call: speech-to-text was billed twice from ``at`` on."""

    first: str
    second: str
    at: float


class EngineTimeline:
    """The timeline of a call's engines. ``problem`` is called with each overlap (STT104)."""

    def __init__(self, problem: Callable[[str], None]) -> None:
        self.engines: list[SttEngine] = []
        """Every engine of the call, in the order in which they started."""
        self.overlaps: list[EngineOverlap] = []
        self._problem = problem

    def start(self, name: str) -> SttEngine:
        engine = SttEngine(name)
        for other in self.running:
            self.overlaps.append(EngineOverlap(other.name, name, engine.started))
            self._problem(f"STT104: {name} starts while {other.name} is listening: both are billed")
        self.engines.append(engine)
        return engine

    def stop(self, engine: SttEngine) -> None:
        if engine.stopped is None:
            engine.stopped = time.monotonic()

    @property
    def running(self) -> list[SttEngine]:
        return [engine for engine in self.engines if engine.stopped is None]

    @contextmanager
    def listening(self, name: str) -> Iterator[None]:
        """An engine that listens while the block runs."""
        engine = self.start(name)
        try:
            yield
        finally:
            self.stop(engine)


WRITTEN_SECONDS: Final = 1.0


class ActiveEngines:
    """Who listens to the leg of a caller. `spoken` is what there is to hear."""

    def __init__(self, leg: Leg, transcript: TranscriptWriter, problem: Callable[[str], None]) -> None:
        self.timeline = EngineTimeline(problem)
        self.transcript = transcript
        self._leg = leg
        self._problem = problem
        self._transcriptions: dict[TranscriptionStream, SttEngine] = {}

    def spoken(self, side: Side, text: str) -> None:
        """Something was said on the call."""
        for transcription in self._transcriptions:
            transcription.spoken(side, text)
        self.transcript.spoken(side, text)

    @asynccontextmanager
    async def session(self, relay: TwimlVerb, session_id: str) -> AsyncIterator[None]:
        """The agent's session listens while the block runs; then all of it is written down.

        A double that takes longer than `WRITTEN_SECONDS` does not hold the call up: Twilio's does not either.
        """
        engine = self.timeline.start(f"<ConversationRelay> {session_id}")
        self._attach(relay, RELAY_ENGINE)
        try:
            yield
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(WRITTEN_SECONDS):
                    await self.transcript.settle()
            self._release(engine)

    def start(self, verb: TwimlVerb) -> bool:
        """``<Start><Transcription>``; tells whether one was started."""
        transcription = self._begin(verb)
        if transcription is None:
            return False
        self._transcriptions[transcription] = self.timeline.start(transcription.title)
        self._attach(verb, f"{transcription.provider}:{transcription.model}")
        return True

    def stop(self, verb: TwimlVerb) -> None:
        """``<Stop><Transcription>``: ends exactly the one with that name."""
        name = verb.get("name")
        named = [transcription for transcription in self._transcriptions if transcription.name == name]
        if not name or not named:
            running = ", ".join(transcription.title for transcription in self._transcriptions)
            self._problem(
                f"<Stop><Transcription name={name!r}>: there is none of that name; "
                f"running: {running or 'none'}"
            )
            return
        self._end(named[0])
        named[0].stop()

    def fail(self, code: int, message: str) -> None:
        """Every transcription breaks."""
        for transcription in list(self._transcriptions):
            self._end(transcription)
            transcription.fail(code, message)

    def close(self) -> None:
        """The call is over."""
        for transcription in list(self._transcriptions):
            self._end(transcription)
            transcription.stop()

    def _begin(self, verb: TwimlVerb) -> TranscriptionStream | None:
        name = verb.get("name")
        if name and any(running.name == name for running in self._transcriptions):
            self._problem(f"<Start><Transcription name={name!r}>: one of that name is running already")
            return None
        engine = verb.get("transcriptionEngine", "google")
        if engine.lower() not in KNOWN_ENGINES:
            self._problem(f"32650: <Transcription transcriptionEngine={engine!r}> is none of Twilio's")
            return None
        identity = {"AccountSid": self._leg.shared.account_sid, "CallSid": self._leg.sid}
        return TranscriptionStream(verb, identity, self._leg.shared.callbacks)

    def _end(self, transcription: TranscriptionStream) -> None:
        self._release(self._transcriptions.pop(transcription))

    def _attach(self, verb: TwimlVerb, engine: str) -> None:
        configuration, conversation = verb.get("conversationConfiguration"), verb.get("conversationId")
        self.transcript.attach(configuration or None, conversation or None, engine)

    def _release(self, engine: SttEngine) -> None:
        self.timeline.stop(engine)
        if not self.timeline.running:
            self.transcript.detach()
