"""Twilio's end of a ConversationRelay session, strict about what it accepts.

Source: ``docs/protocol.md`` §2 and §3. Frames go out as Twilio's do; frames that come in are
checked, spoken, and otherwise answered with error 64107.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from voice_app.sandbox.network import WebhookError
from voice_app.sandbox.phone.conditions import GOOD_LINE, LineConditions, OneWay
from voice_app.sandbox.phone.frames import (
    DigitsFrame,
    EndFrame,
    Reconnecting,
    ReconnectSetup,
    RefusedFrameError,
    TextFrame,
    UndeliveredEvents,
    decode,
    interrupt_frame,
)
from voice_app.sandbox.phone.leg import first_of
from voice_app.sandbox.phone.twiml import TwimlVerb
from voice_app.sandbox.phone.voice import Voice
from voice_app.sandbox.twilio import Side

ABNORMAL: Final = CloseCode.ABNORMAL_CLOSURE
"""How a socket has ended that had no close frame."""
MAX_MALFORMED = 10
STALE_AFTER_SECONDS = 0.1
"""Words that arrive this long after an interruption were not under way when it was sent."""
STALE_UNTIL_SECONDS = 1.0
FINAL_AFTER_SECONDS = 0.35
"""The final prompt follows the last partial so much later, and repeats it."""


@dataclass(slots=True)
class HeardReply:
    """One stretch of speech, as the caller heard it."""

    text: str
    first_token_ms: float | None = None
    """Milliseconds from the caller's last words to the first token; `None` for what nobody asked for."""
    interrupted: bool = False
    silence_ms: float | None = None
    """Milliseconds of silence before it, since the agent or the caller last spoke; `None`: neither had."""


@dataclass(slots=True, kw_only=True)
class SessionEnding:
    """How the session ended, as Twilio reports it to the action URL."""

    status: str
    handoff_data: str | None = None
    error_code: int | None = None
    error_message: str = ""


@dataclass(slots=True, kw_only=True)
class SessionObserver:
    """What somebody who listens in wants to hear of. Each is a callback."""

    heard: Callable[[HeardReply], None]
    problem: Callable[[str], None]
    came_back: Callable[[], None] = field(default=lambda: None)
    """The socket was lost, and is open again."""
    spoken: Callable[[Side, str], None] = field(default=lambda side, text: None)
    """Every fragment as the transcript gets it: ``agent`` or ``caller``, and the words."""
    word: Callable[[str], None] = field(default=lambda word: None)
    """Every word of the agent's, as it is spoken, with the space before it."""
    frame: Callable[[Literal["sent", "received"], str], None] = field(default=lambda way, frame: None)
    """Every frame, as JSON: ``sent`` to the server, or ``received`` from it."""
    stale: Callable[[str], None] = field(default=lambda token: None)
    """Every token that belongs to what the caller has cut off, and came too late to be under way then."""


ReportedInput = Literal["none", "any"]
"""What of the caller's is reported while the agent speaks, where the TwiML does not say so: nothing since May
2025, and everything before. Source: ``docs/protocol.md`` §1.2.
"""


class RelaySession:
    """A session over an open socket. `run` serves it until it ends; the other methods are the caller."""

    def __init__(
        self,
        socket: ClientConnection,
        verb: TwimlVerb,
        setup: dict[str, Any],
        observer: SessionObserver,
        words_per_second: float,
        *,
        reopen: Callable[[], Awaitable[ClientConnection]],
        reconnecting: Reconnecting | None = None,
        reports: ReportedInput = "none",
        abandoned: list[ClientConnection] | None = None,
        conditions: LineConditions = GOOD_LINE,
    ) -> None:
        self.started = time.monotonic()
        self.digits_sent: list[str] = []
        self.received = ""
        """What was sent to be spoken since the caller last said something or pressed a key."""
        self._arrived = asyncio.Event()
        """Set whenever there is more of it."""
        self._socket = socket
        self._verb = verb
        self._setup = setup
        self._observer = observer
        self._ending: SessionEnding | None = None
        self._malformed = 0
        self._asked_at: float | None = None
        self._first_token_ms: float | None = None
        self._quiet_since: float | None = None
        self._silence_ms: float | None = None
        """Of the stretch that is spoken."""
        self._interrupted_at: float | None = None
        self._purge_until: float | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._reopen = reopen
        self._reconnecting = reconnecting
        self._dropped = False
        """The socket that is open, or was last, was broken off here."""
        self._reports = reports
        self._lost = asyncio.Event()
        """Set while there is no socket, as far as Twilio knows."""
        self._over = asyncio.Event()
        self._backlog = UndeliveredEvents()
        self._abandoned = [] if abandoned is None else abandoned
        """Sockets that the server believes to be open: they outlive the session."""
        self._round_trip = conditions.round_trip_seconds
        self._there, self._back = OneWay(conditions, "there"), OneWay(conditions, "back")
        self.voice = Voice(
            words_per_second,
            seconds_to_speak=conditions.seconds_to_speak,
            on_speaking=self._speaking,
            on_played=self._played,
            on_stretch=self._stretch_is_over,
            on_word=observer.word,
        )

    @property
    def session_id(self) -> str:
        """``VX…``; a new one where Twilio comes back with another setup."""
        return str(self._setup["sessionId"])

    @property
    def greeting(self) -> str:
        """What the TwiML has Twilio say first; may be empty."""
        return self._attribute("welcomeGreeting")

    # --- the session ---------------------------------------------------------------------------

    async def run(self) -> SessionEnding:
        """Serve the session; returns how it ended."""
        speaking = asyncio.create_task(self.voice.run())
        try:
            await self._send(self._setup)
            if welcome := self.greeting:
                self.voice.add(welcome, last=True)
            await self._read()
            while self._ending is None and await self._come_back():
                await self._read()
        finally:
            speaking.cancel()
            for task in self._sending:
                task.cancel()
            await asyncio.gather(speaking, *self._sending, return_exceptions=True)
            if self._socket not in self._abandoned:
                await self._socket.close()
        return self._ending or SessionEnding(
            status="failed", error_code=64105, error_message="Websocket ended"
        )

    async def _read(self) -> None:
        """Read until the socket is lost, or the session has ended."""
        await first_of(self._read_socket(), self._lost.wait())
        self._lost.set()

    async def _read_socket(self) -> None:
        socket = self._socket
        with suppress(ConnectionClosed):
            async with aclosing(self._back.arriving(socket)) as messages:
                async for data in messages:
                    self._receive(data)
                    if self._ending is not None:
                        await socket.close(1000, "Closing websocket session")
                        return
        if socket.close_code == ABNORMAL and not self._dropped and self._ending is None:
            self._observer.problem("the server's socket ended without a close frame: it has crashed")

    async def _come_back(self) -> bool:
        """Open the socket again, and deliver what could not be delivered. Returns whether that worked."""
        habits = self._reconnecting
        if habits is None or not self.comes_back:
            return False
        gives_up_at = time.monotonic() + habits.give_up_seconds
        while time.monotonic() < gives_up_at:
            with suppress(TimeoutError):
                async with asyncio.timeout(habits.every_seconds):
                    await self._over.wait()
                return False
            with suppress(WebhookError, ConnectionClosed):
                self._socket = await self._reopen()
                self._dropped = False
                await self._begin_again(habits.setup)
                self._lost.clear()
                self._observer.came_back()
                return True
        return False

    async def _begin_again(self, setup: ReconnectSetup) -> None:
        """Tell on a new socket what happened while there was none."""
        if setup == "new":
            self._setup["sessionId"] = "VX" + secrets.token_hex(16)
        if setup != "none":
            await self._socket.send(json.dumps(self._setup))
        while self._backlog:
            await self._socket.send(json.dumps(self._backlog.first))
            self._backlog.drop_first()
        if self._backlog.lost:
            self._observer.problem(f"{self._backlog.lost} events were lost while there was no socket")

    def _receive(self, data: str | bytes) -> None:
        self._observer.frame("received", data if isinstance(data, str) else data.decode(errors="replace"))
        try:
            frame = decode(data)
        except RefusedFrameError as error:
            self._refuse(data, str(error))
            return
        self._malformed = 0
        match frame:
            case TextFrame():
                self._receive_text(frame)
            case DigitsFrame():
                self.digits_sent.append(frame.digits)
            case EndFrame():
                self._ending = SessionEnding(status="ended", handoff_data=frame.handoff_data)
            case _:
                pass

    def _receive_text(self, frame: TextFrame) -> None:
        now = time.monotonic()
        self.received += frame.token
        self._arrived.set()
        if self._purge_until is not None:
            if frame.last or now > self._purge_until:
                self._purge_until = None
            if frame.last or self._purge_until is not None:
                return  # belongs to what the interruption has thrown away
        if frame.token:
            if self._asked_at is not None:
                self._first_token_ms = (now - self._asked_at) * 1000
                self._asked_at = None
            since = now - self._interrupted_at - self._round_trip if self._interrupted_at is not None else 0.0
            if STALE_AFTER_SECONDS < since < STALE_UNTIL_SECONDS:
                self._observer.problem(f"a token came {since * 1000:.0f} ms after an interruption")
                self._observer.stale(frame.token)
        self.voice.add(frame.token, last=frame.last, interruptible=frame.interruptible)

    def _refuse(self, data: str | bytes, wrong: str) -> None:
        self._malformed += 1
        shown = data if isinstance(data, str) else data.decode("utf-8", "replace")
        self._observer.problem(f"64107: the server sent a malformed frame: {wrong}: {shown[:200]}")
        description = f"Invalid message received, code: 64107, {shown[:200]}"
        self._later({"type": "error", "description": description})
        if self._malformed >= MAX_MALFORMED:
            self._ending = SessionEnding(
                status="failed", error_code=64105, error_message="Too many consecutive malformed messages."
            )

    # --- the caller ----------------------------------------------------------------------------

    async def say(self, text: str, *, cutting_in: bool = False, language: str = "") -> None:
        """The caller speaks: partial prompts if they were asked for, then the final one.

        ``language`` is what it is taken for; without it that of the TwiML.
        ``cutting_in``: the agent spoke as the caller began, and was stopped by that (`cut_in`).
        """
        during = cutting_in or self.voice.speaking
        if self.voice.speaking and self._stops_for("speech"):
            await self.cut_in()
        if during and self._attribute("reportInputDuringAgentSpeech", self._reports) not in ("any", "speech"):
            self._observer.problem(
                "the caller spoke while the agent did, and the TwiML does not have such words reported "
                '(reportInputDuringAgentSpeech="any"): they never come'
            )
            return
        await self._client_speaking("on")
        language = (
            language or self._attribute("transcriptionLanguage") or self._attribute("language", "en-US")
        )
        if self._attribute("partialPrompts") == "true":
            await self._say_partials(text, language)
        else:
            self._quiet_since = time.monotonic()
        await self._client_speaking("off")
        self._observer.spoken("caller", text)
        self._ask()
        await self._send({"type": "prompt", "voicePrompt": text, "lang": language, "last": True})

    async def press(self, key: str) -> None:
        """The caller presses a key; without ``dtmfDetection`` nobody hears of it."""
        if self.voice.speaking and self._stops_for("dtmf"):
            await self.cut_in()
        if self._attribute("dtmfDetection") != "true":
            self._observer.problem(
                "a key was pressed, but the TwiML has no dtmfDetection: nobody hears of it"
            )
            return
        self._quiet_since = time.monotonic()
        self._ask()
        await self._send({"type": "dtmf", "digit": key})

    def _ask(self) -> None:
        """What comes from now on may be an answer."""
        self._asked_at, self._interrupted_at = time.monotonic(), None
        self.received = ""

    def _stops_for(self, what: Literal["speech", "dtmf"]) -> bool:
        """Whether the caller's speech or keys stop what is being spoken now."""
        said = self.voice.interruptible
        return self._attribute("interruptible", "any") in ("any", what, "true") if said is None else said

    async def cut_in(self) -> str:
        """The caller makes a sound while the agent speaks. Returns what was heard until then."""
        begun = self.voice.unfinished
        heard = self.voice.interrupt()
        self._interrupted_at = time.monotonic()
        under_way = STALE_AFTER_SECONDS + self._round_trip
        self._purge_until = self._interrupted_at + under_way if begun else None
        await self._send(interrupt_frame(heard, self.voice.seconds(heard)))
        self._heard(heard, interrupted=True)
        return heard

    async def acknowledged(self) -> bool:
        """Wait until the server has read all that was sent so far, and had a round trip's time to act on it.

        Whether it has: the socket may be lost. What it had written before has arrived then.
        """
        with suppress(ConnectionClosed):
            return await first_of(self._round_trips(2), self._lost.wait()) == 0
        return False

    async def _round_trips(self, count: int) -> None:
        for _ in range(count):
            await (await self._socket.ping())

    async def said(self, text: str) -> None:
        """Return when the voice has said all that has come, and ``text`` has."""
        while text not in self.received:
            self._arrived.clear()
            await self._arrived.wait()
        await self.voice.fell_silent()

    async def hang_up(self) -> None:
        """The caller hangs up."""
        self._ending = SessionEnding(status="completed")
        self._over.set()
        await self._socket.close(1000, "Closing websocket session")

    @property
    def comes_back(self) -> bool:
        """Whether Twilio opens the socket again once it is lost."""
        return self._reconnecting is not None and self._attribute("applicationReconnect") == "true"

    def drop(self, *, unnoticed: bool = False) -> None:
        """The network breaks: no close frame, nothing. ``unnoticed``: the server does not even see that."""
        if unnoticed:
            self._socket.transport.pause_reading()
            self._abandoned.append(self._socket)
            self._lost.set()
        else:
            self._dropped = True
            self._socket.transport.abort()

    async def send_raw(self, data: str) -> None:
        """Send what Twilio would not, to see how the server takes it."""
        with suppress(ConnectionClosed):
            await self._socket.send(data)

    # --- inside --------------------------------------------------------------------------------

    async def _say_partials(self, text: str, language: str) -> None:
        """Partials repeat everything said so far; the last one is the whole sentence."""
        words = text.split()
        for count in [*range(2, len(words), 2), len(words)]:
            partial = " ".join(words[:count])
            await self._send({"type": "prompt", "voicePrompt": partial, "lang": language, "last": False})
            await asyncio.sleep(2 * self.voice.seconds_per_word)
        self._quiet_since = time.monotonic()
        await asyncio.sleep(FINAL_AFTER_SECONDS)

    async def _client_speaking(self, value: str) -> None:
        if "speaker-events" in self._attribute("events").split():
            await self._send({"type": "info", "name": "clientSpeaking", "value": value})

    def _played(self, text: str) -> None:
        self._observer.spoken("agent", text)
        self._info("tokens-played", "tokensPlayed", text)

    def _speaking(self, on: bool) -> None:
        now = time.monotonic()
        if not on:
            self._quiet_since = now
        elif self._quiet_since is not None:
            self._silence_ms = (now - self._quiet_since) * 1000
        self._info("speaker-events", "agentSpeaking", "on" if on else "off")

    def _stretch_is_over(self, text: str) -> None:
        if text:
            self._heard(text)

    def _heard(self, text: str, *, interrupted: bool = False) -> None:
        token, silence = self._first_token_ms, self._silence_ms
        self._first_token_ms = self._silence_ms = None
        self._observer.heard(HeardReply(text, token, interrupted, silence))

    def _info(self, subscription: str, name: str, value: str) -> None:
        wanted = f"{self._attribute('events')} {self._attribute('debug')}".split()
        if subscription in wanted:
            self._later({"type": "info", "name": name, "value": value})

    def _attribute(self, name: str, default: str = "") -> str:
        return self._verb.attributes.get(name, default)

    def _later(self, frame: Mapping[str, Any]) -> None:
        task = asyncio.create_task(self._deliver(frame))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, frame: Mapping[str, Any]) -> None:
        """Send a frame; on a late line it is under way when this returns."""
        if self._round_trip:
            self._later(frame)
        else:
            await self._deliver(frame)

    async def _deliver(self, frame: Mapping[str, Any]) -> None:
        await self._there.carry()
        if not self._lost.is_set():
            with suppress(ConnectionClosed):
                await self._socket.send(text := json.dumps(frame))
                self._observer.frame("sent", text)
                return
        self._backlog.add(frame)
