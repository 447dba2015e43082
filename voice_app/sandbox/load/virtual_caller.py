"""A caller without a voice: asks, takes in the reply as fast as it comes, and cuts in where it is told to.

How stale words are told from words under way. A reply may name the turn that it answers: the stub agent's
words begin with ``r<turn>w``. Behind an ``interrupt`` goes a ping, and behind its answer another one. When
the second answer is there, the server has read the interrupt and has had a round trip's time to act on it,
and everything that it wrote before has arrived. A word of the interrupted reply that comes
until then was *under way*; one that comes later is *stale*. Words that name no turn count as the interrupted
reply's until the next prompt is sent, and as the new reply's from then on.

A reply whose words name a turn has to name this one, and to be whole: otherwise it counts as *wrong*.

No partial prompts are sent, and every reply is spoken the moment it is complete, unless the caller means to
cut in at a later moment of it.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

import msgspec

from voice_app.sandbox.load.raw_socket import RawSocket, RawSocketError, open_socket
from voice_app.sandbox.load.target import LoadError, LoadTarget
from voice_app.sandbox.phone.frames import interrupt_frame, setup_frame
from voice_app.sandbox.phone.twiml import RefusedTwimlError, TwimlVerb, read
from voice_app.sandbox.twilio import CallStart, Transcriber

PATIENCE_SECONDS: Final = 30.0
"""A turn that takes longer is counted as unanswered."""

SECONDS_PER_WORD: Final = 0.35
"""The pace of a voice, for what is reported as heard."""

_MARK: Final = re.compile(r"\s*r(\d+)w")
_ROUND_TRIPS: Final = 2


class _Frame(msgspec.Struct):
    """A frame of the server; of all but ``text`` only the type is looked at."""

    type: str
    token: str = ""
    last: bool = False


_decode: Final = msgspec.json.Decoder(_Frame).decode
_encode: Final = msgspec.json.encode


@dataclass(slots=True)
class TurnTally:
    """What a number of callers found, together."""

    first_token_ms: list[float] = field(default_factory=list)
    """From a prompt to the first words of its reply, in milliseconds, one for each answered turn."""
    turns: int = 0
    unanswered: int = 0
    """Turns without a complete reply within `PATIENCE_SECONDS`, or whose socket went away."""
    interrupts: int = 0
    under_way: int = 0
    """Words of an interrupted reply that were under way when the server heard of it."""
    stale: int = 0
    """Words of an interrupted reply that were sent although the server had heard of it."""
    stop_ms: list[float] = field(default_factory=list)
    """From an interrupt to the last word of its reply that still came, in milliseconds; 0 if none did."""
    words_ahead: list[int] = field(default_factory=list)
    """At each interrupt: words that had come and that a voice would not have said by then."""
    wrong: int = 0
    """Complete replies that name another turn, or lack words."""


class VirtualCaller:
    """One call. It is over when `hang_up` returns."""

    def __init__(self, target: LoadTarget, call_sid: str, connect: TwimlVerb, socket: RawSocket) -> None:
        self._target = target
        self._call_sid = call_sid
        self._session_id = "VX" + secrets.token_hex(16)
        self._connect = connect
        self._socket = socket
        self._relay = connect.child("ConversationRelay") or TwimlVerb("ConversationRelay")
        events = self._relay.attributes.get("events", "").split()
        self._tells_speech = "speaker-events" in events
        self._tells_words = "tokens-played" in events
        self._transcriber: Transcriber | None = None
        self._tally = TurnTally()
        self._turn = 0
        self._asked_at: float | None = None
        self._words: list[str] = []
        self._cut_after = 0
        self._cut_seconds: float | None = None
        self._cut_timer: asyncio.TimerHandle | None = None
        self._cut_at = self._first_at = 0.0
        self._reply_words = 0
        """Words of a complete reply that names its turn; 0 until there was one."""
        self._usual = 0
        """Frames with words in the last complete reply."""
        self._over: asyncio.Future[bool] | None = None
        """The reply that is awaited; whether it was interrupted."""
        self._interrupted = False
        """The caller has cut in and not yet spoken."""
        self._stops: list[float] = []
        self._stop_place = 0
        """Where the tally of the last interrupt has its stop time."""
        self._heard_of_it = 0
        """How often the server has answered since the last interrupt."""
        self._cut_turns: set[int] = set()
        socket.on_frame = self._receive
        socket.lost.add_done_callback(self._lost)
        self._send(self._setup())

    @property
    def usual_frames(self) -> int:
        """How many frames with words the last complete reply had."""
        return self._usual

    @property
    def last_reply(self) -> str:
        """The words that have come since the last prompt."""
        return "".join(self._words)

    async def ask(self, tally: TurnTally, *, cut_after: int = 0, cut_seconds: float | None = None) -> None:
        """Ask one thing and take in the reply.

        Cut in after ``cut_after`` frames of it (0: never), or ``cut_seconds`` after its first word: then as
        Twilio does, with what a voice has said by that time, whether or not the reply is complete.
        """
        self._tally, self._cut_after, self._cut_seconds = tally, cut_after, cut_seconds
        self._turn += 1
        self._words, self._interrupted = [], False
        prompt = {
            "type": "prompt",
            "voicePrompt": f"Turn {self._turn}, please.",
            "lang": "en-US",
            "last": True,
        }
        tally.turns += 1
        if self._socket.lost.done():
            tally.unanswered += 1
            return
        self._over = asyncio.get_running_loop().create_future()
        self._asked_at = perf_counter()
        self._send(prompt)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                if await self._over:
                    for _ in range(_ROUND_TRIPS):
                        await self._socket.ping()
                        self._heard_of_it += 1
        except (TimeoutError, RawSocketError):
            tally.unanswered += 1
        finally:
            self._over = None
            if self._cut_timer is not None:
                self._cut_timer.cancel()
                self._cut_timer = None

    async def report_to(self, transcriber: Transcriber) -> None:
        """Have the call's conversation made, if the TwiML wants one: the server looks for it."""
        attributes = self._relay.attributes
        configuration = attributes.get("conversationConfiguration")
        conversation = attributes.get("conversationId")
        if configuration is None and conversation is None:
            return
        self._transcriber = transcriber
        await transcriber.call_started(
            CallStart(
                self._call_sid,
                caller=self._target.caller,
                number=self._target.number,
                configuration_id=configuration,
                conversation_id=conversation,
            )
        )

    async def hang_up(self) -> None:
        """Close the socket, as Twilio does when the caller hangs up. `goodbye` is what it tells then."""
        await self._socket.close()
        if self._transcriber is not None:
            await self._transcriber.call_ended(self._call_sid)

    def goodbye(self) -> tuple[str, dict[str, str]] | None:
        """The request that Twilio makes to the action URL after the caller has hung up, if there is one."""
        action = self._connect.attributes.get("action")
        if not action:
            return None
        ended = {"SessionId": self._session_id, "SessionStatus": "completed", "SessionDuration": "1"}
        url = self._target.network.absolute(action, self._target.webhook)
        return url, self._target.form(self._call_sid, "completed") | ended

    # --- frames ----------------------------------------------------------------------------------

    def _receive(self, data: bytes, at: float) -> None:
        frame = _decode(data)
        if frame.type != "text":
            return
        if frame.token:
            if self._cut_turns and self._is_old(frame.token):
                self._hear_too_late(frame.token, at)
                return
            self._hear(frame.token, at)
        if frame.last and self._words and not self._interrupted and self._cut_timer is None:
            self._finish()

    def _is_old(self, token: str) -> bool:
        """Whether these words belong to a reply that the caller has cut off."""
        mark = _MARK.match(token)
        return self._interrupted if mark is None else int(mark[1]) in self._cut_turns

    def _hear_too_late(self, token: str, at: float) -> None:
        """Words of a reply that was cut off."""
        words, tally = len(token.split()), self._tally
        if self._heard_of_it < _ROUND_TRIPS:
            tally.under_way += words
        else:
            tally.stale += words
        self._stops[self._stop_place] = (at - self._cut_at) * 1000

    def _hear(self, token: str, at: float) -> None:
        if self._asked_at is not None:
            self._tally.first_token_ms.append((at - self._asked_at) * 1000)
            self._asked_at, self._first_at = None, at
            if self._cut_seconds is not None:
                loop = asyncio.get_running_loop()
                self._cut_timer = loop.call_later(self._cut_seconds, self._cut_in)
            if self._tells_speech:
                self._send({"type": "info", "name": "agentSpeaking", "value": "on"})
        self._words.append(token)
        if len(self._words) == self._cut_after:
            self._cut_in()

    def _cut_in(self) -> None:
        self._cut_at = perf_counter()
        words = "".join(self._words).split()
        said = int((self._cut_at - self._first_at) / SECONDS_PER_WORD) + 1
        tally = self._tally
        tally.interrupts += 1
        tally.words_ahead.append(max(0, len(words) - said))
        self._stops, self._stop_place = tally.stop_ms, len(tally.stop_ms)
        self._stops.append(0.0)
        self._interrupted, self._heard_of_it, self._cut_timer = True, 0, None
        self._cut_turns.add(self._turn)
        heard = " ".join(words if self._cut_after else words[:said])
        self._send(interrupt_frame(heard, len(heard.split()) * SECONDS_PER_WORD))
        if self._tells_speech:
            self._send({"type": "info", "name": "agentSpeaking", "value": "off"})
        self._resolve(interrupted=True)

    def _finish(self) -> None:
        """The reply is complete; to Twilio's voice it takes no time to say it."""
        if self._over is None or self._over.done():
            return
        self._usual = len(self._words)
        words = self.last_reply.strip()
        if (mark := _MARK.match(words)) is not None:
            self._judge(int(mark[1]), len(words.split()))
        if self._tells_words:
            self._send({"type": "info", "name": "tokensPlayed", "value": words})
        if self._tells_speech:
            self._send({"type": "info", "name": "agentSpeaking", "value": "off"})
        self._resolve(interrupted=False)

    def _judge(self, turn: int, words: int) -> None:
        """Every reply of the stub has as many words as the one before, and names its turn."""
        self._reply_words = max(words, self._reply_words)
        if turn != self._turn or words < self._reply_words:
            self._tally.wrong += 1

    def _resolve(self, *, interrupted: bool) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(interrupted)

    def _lost(self, lost: asyncio.Future[str]) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_exception(RawSocketError(lost.result()))

    def _send(self, frame: dict[str, object]) -> None:
        self._socket.send(_encode(frame))

    def _setup(self) -> dict[str, object]:
        return setup_frame(
            self._relay,
            session_id=self._session_id,
            account_sid=self._target.account_sid,
            call_sid=self._call_sid,
            from_=self._target.caller,
            to=self._target.number,
            status="RINGING",
        )


async def answer(target: LoadTarget, call_sid: str, twiml: str) -> VirtualCaller:
    """Follow the TwiML that answered a call, up to its session. Raises `LoadError`."""
    try:
        verbs = read(twiml, target.vocabulary).verbs
    except RefusedTwimlError as error:
        raise LoadError(f"the answer to a call is no TwiML: {error}") from None
    for connect in verbs:
        relay = connect.child("ConversationRelay") if connect.name == "Connect" else None
        if relay is None:
            continue
        url, network = relay.attributes.get("url", ""), target.network
        try:
            headers = {"X-Twilio-Signature": network.sign(url), **network.forwarded(url)}
            socket = await open_socket(network.reachable(url), headers)
        except RawSocketError as error:
            raise LoadError(f"the session of a call could not be opened: {error}") from None
        return VirtualCaller(target, call_sid, connect, socket)
    raise LoadError(
        "the answer to a call has no <ConversationRelay> in it: the server does not put callers through to "
        "an agent, or has as many calls as it takes; it said: " + " ".join(twiml.split())[:200]
    )
