"""One ConversationRelay session, without I/O: frames and the agent's words in, frames and commands out.

Theory of operation. The session is in one of these states, and only moves to the right:

    SETUP ──setup──▶ LIVE ──Transfer, EndCall──▶ LEAVING ──played──▶ ENDING ──▶ CLOSED
                       ▲            caller cuts in │
                       └───────────────────────────┘  (EndCall only)

Within LIVE two things go on, each at its own pace:

- *a turn*: the agent answers a prompt. There is at most one at a time; what it yields carries the
  turn's number, and words of any other turn are dropped. That is why no stale word is ever sent.
- *playback*: what went out is spoken by Twilio seconds later. `Playback` knows what is still queued
  there, so that an interruption cuts the history to what was heard.

Nothing here waits or reads a clock: every input brings ``now`` (seconds, monotonic), `deadline` says
when `tick` wants to be called, `commands` are what the connection has to do, and `data_to_send` are
the frames to write. Words that are ready at the same moment leave as one frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

import msgspec

from voice_app.agents.protocol import (
    Break,
    Call,
    EndCall,
    Message,
    Piece,
    Play,
    SendDigits,
    SwitchLanguage,
    Transfer,
    Turn,
)
from voice_app.journal import events, pressed
from voice_app.relay import frames
from voice_app.relay.playback import Playback, Speech
from voice_app.settings import Line

MAX_MALFORMED = 10
"""So many malformed frames in a row end the session (the bound that Twilio keeps for ours)."""
MAX_FAILURES = 3
"""So many failed turns in a row, and a person has to take over."""
SECONDS_TO_SPEAK_UP = 2.5
"""After an interruption: how long the caller may take to go on before an open question is answered."""
SECONDS_OF_GRACE = 5.0
"""How much longer than estimated the last words may take before the call is ended regardless."""
SECONDS_TO_CLOSE = 10.0
"""How long Twilio may take to close the socket after ``end``."""
SECONDS_BETWEEN_RECORDS = 0.4
"""A growing reply is written to the journal at most this often."""


class State(Enum):
    SETUP = auto()
    LIVE = auto()
    LEAVING = auto()
    ENDING = auto()
    CLOSED = auto()


@dataclass(slots=True, frozen=True)
class StartTurn:
    """Ask the agent; give every piece back with this number."""

    number: int
    turn: Turn


@dataclass(slots=True, frozen=True)
class StopTurn:
    """Stop asking the agent."""


@dataclass(slots=True, frozen=True)
class Close:
    """Close the socket."""

    code: int
    reason: str


@dataclass(slots=True, frozen=True)
class Record:
    """Write to the journal."""

    event: events.Event


Command: TypeAlias = StartTurn | StopTurn | Close | Record


@dataclass(slots=True)
class _Asked:
    """The caller's side of the history."""

    turn: Turn

    @property
    def text(self) -> str:
        return pressed(self.turn.text) if self.turn.kind == "keys" else self.turn.text


@dataclass(slots=True)
class _Running:
    """The turn that the agent is answering."""

    number: int
    asked: _Asked
    since: float
    speech: Speech | None = None
    spoke: bool = False
    acted: bool = False
    answered: bool = False
    """Words came since the prompt, or since the last `Break`."""
    first_token_ms: float | None = None
    recorded: float = 0.0


class Session:
    """The rules of one session. See the module's docstring for how it is driven."""

    def __init__(
        self,
        call: Call,
        line: Line,
        *,
        account_sid: str,
        now: float,
        greeting: str = "",
        history: Iterable[Message] = (),
        setup_seconds: float = 10.0,
    ) -> None:
        self.call = call
        self.line = line
        self.state = State.SETUP
        self.session_id = ""
        self.malformed = 0
        """Malformed frames in all; the count in a row is kept apart."""
        self._malformed_in_a_row = 0
        self._account_sid = account_sid
        self._greeting = greeting
        self._past = list(history)
        self._log: list[_Asked | Speech] = []
        self._waiting: list[Turn] = []
        self._open_question: _Asked | None = None
        self._running: _Running | None = None
        self._turns = 0
        self._speeches = 0
        self._failures = 0
        self._end: frames.End | None = None
        self._playback = Playback()
        self._commands: list[Command] = []
        self._out: list[frames.Outgoing] = []
        self._open_on_the_wire = False
        self._timers: dict[Callable[[float], None], float] = {self._setup_is_late: now + setup_seconds}

    # --- outputs ---------------------------------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        """When `tick` is due, on the clock that ``now`` is read from."""
        return min(self._timers.values()) if self._timers else None

    def commands(self) -> list[Command]:
        """What the connection has to do, in order. Each is given out once."""
        commands, self._commands = self._commands, []
        return commands

    @property
    def has_data(self) -> bool:
        return bool(self._out)

    def data_to_send(self) -> str | None:
        """The next frame to write, if any. One at a time: what is not given out can still be stopped."""
        if not self._out:
            return None
        frame = self._out.pop(0)
        if type(frame) is frames.Text:
            self._open_on_the_wire = not frame.last
        return frames.encode(frame)

    # --- inputs from the socket ------------------------------------------------------------------

    def receive(self, data: str | bytes, now: float) -> None:
        """A message arrived from Twilio."""
        if self.state is State.CLOSED:
            return
        try:
            frame = frames.decode(data)
        except frames.MalformedError as error:
            self._receive_malformed(str(error))
            return
        self._malformed_in_a_row = 0
        if self.state is State.SETUP:
            self._receive_first(frame, now)
            return
        match frame:
            case frames.Prompt():
                self._receive_prompt(frame, now)
            case frames.Interrupt():
                self._receive_interrupt(frame, now)
            case frames.Info(name="agentSpeaking"):
                self._playback.agent_speaking(frame.value == "on")
                self._after_playback(now)
            case frames.Info(name="tokensPlayed"):
                self._playback.tokens_played(str(frame.value))
                self._after_playback(now)
            case frames.Dtmf():
                self._record(events.Pressed(frame.digit))
                self._ask(Turn(frame.digit, "keys"), now)
            case frames.Error():
                self._record(events.Failed("relay", frame.description[:500]))
            case _:
                pass  # a second setup, other events, and whatever Twilio adds: taken in without harm

    def disconnected(self, code: int, now: float) -> None:
        """The socket is gone."""
        if self.state is State.CLOSED:
            return
        self._stop(now)
        self._record(events.Disconnected(self.session_id, code))
        self._timers.clear()
        self._out.clear()
        self.state = State.CLOSED

    def tick(self, now: float) -> None:
        """Time has passed."""
        for handler in [handler for handler, due in self._timers.items() if due <= now]:
            if self._timers.pop(handler, None) is not None:
                handler(now)

    # --- inputs from the agent -------------------------------------------------------------------

    def agent_yielded(self, number: int, piece: Piece, now: float) -> bool:
        """The agent yielded a piece. Returns whether the turn goes on: if not, stop asking it."""
        running = self._running
        if running is None or running.number != number:
            return False
        if isinstance(piece, str):
            if piece:
                self._say(running, piece, now)
            return True
        self._finish_speech(now)
        match piece:
            case Break():
                running.acted, running.answered = True, False
                return True
            case Play():
                self._out.append(frames.Play(piece.url, piece.loop))
                self._record(events.Acted("play", piece.url))
            case SendDigits():
                self._out.append(frames.SendDigits(piece.digits))
                self._record(events.Acted("send-digits"))
            case SwitchLanguage():
                self._out.append(frames.Language(piece.tts, piece.transcription))
                self._record(events.Acted("switch-language", f"{piece.tts} {piece.transcription}".strip()))
            case Transfer() | EndCall():
                self._leave(piece, now)
                return False
            case _:
                raise TypeError(f"an agent yields text or actions, not {type(piece).__name__}")
        running.acted = running.answered = True
        return True

    def agent_finished(self, number: int, now: float) -> None:
        """The agent has nothing more to say in this turn."""
        running = self._running
        if running is None or running.number != number:
            return
        if not running.spoke and not running.acted:
            self.agent_failed(number, "the agent said nothing", now)
            return
        self._failures = 0
        self._finish_speech(now)
        self._running = None
        self._begin_next(now)

    def agent_failed(self, number: int, error: str, now: float) -> None:
        """The agent raised an exception, or gave no answer."""
        running = self._running
        if running is None or running.number != number:
            return
        self._record(events.Failed("agent", error[:500]))
        self._failures += 1
        if self._failures >= MAX_FAILURES:
            self._leave(Transfer("agent-failed", "The automated assistant failed repeatedly."), now)
            return
        self._finish_speech(now)
        self._say(running, self.line.failure_line, now)
        self._finish_speech(now)
        self._running = None
        self._begin_next(now)

    # --- frames ----------------------------------------------------------------------------------

    def _receive_malformed(self, error: str) -> None:
        self.malformed += 1
        self._malformed_in_a_row += 1
        self._record(events.Failed("frame", error[:200]))
        if self._malformed_in_a_row >= MAX_MALFORMED:
            self._close(1007, "Too many malformed messages in a row.")

    def _receive_first(self, frame: frames.Incoming, now: float) -> None:
        if not isinstance(frame, frames.Setup):
            self._close(1008, "The first message must be setup.")
            return
        self._timers.clear()
        if frame.account_sid != self._account_sid or frame.call_sid != self.call.sid:
            what = "account" if frame.account_sid != self._account_sid else "call"
            self._record(events.Failed("setup", f"it names another {what} than the address was made for"))
            self._send_end(frames.End(), now)
            return
        self.state = State.LIVE
        self.session_id = frame.session_id
        call = self.call
        call.from_, call.to = frame.from_, frame.to
        call.direction = "outbound" if frame.direction.startswith("outbound") else "inbound"
        call.parameters = frame.custom_parameters
        self._record(events.Connected(frame.session_id, self.line.language or ""))
        if self._greeting:
            greeting = Speech(self._next_speech(), [self._greeting], closed=True)
            self._log.append(greeting)
            self._playback.add(greeting)
            self._playback.sent(len(self._greeting), now)
            self._record(events.Replied(greeting.number, self.session_id, self._greeting, done=True))

    def _receive_prompt(self, frame: frames.Prompt, now: float) -> None:
        text = frame.voice_prompt.strip()
        if not frame.last or not text:
            return
        self._record(events.Prompted(text, frame.lang))
        self._ask(Turn(text, language=frame.lang), now)

    def _receive_interrupt(self, frame: frames.Interrupt, now: float) -> None:
        for speech in self._playback.interrupted(frame.utterance_until_interrupt):
            speech.closed = True
            played = _milliseconds(frame.duration_until_interrupt_ms)
            self._record(events.Heard(speech.number, self.session_id, speech.text, played))
        self._out = [item for item in self._out if isinstance(item, frames.Language | frames.End)]
        if self._open_on_the_wire:
            self._out.append(frames.Text("", last=True))
        running = self._running
        if running is not None:
            if not running.answered:
                self._open_question = running.asked
                self._timers[self._answer_open_question] = now + SECONDS_TO_SPEAK_UP
            self._stop(now)
        if self.state is State.LEAVING:
            self._timers[self._end_now] = now + (SECONDS_TO_SPEAK_UP if self._may_stay else 0.0)

    # --- turns -----------------------------------------------------------------------------------

    def _ask(self, turn: Turn, now: float) -> None:
        """The caller wants an answer: begin the turn, or let it join or wait."""
        if self.state is State.LEAVING and self._may_stay and not self._playback.unfinished:
            self.state = State.LIVE  # the goodbye was cut off: the caller has more to say
            self._end = None
            self._timers.pop(self._end_now, None)
        if self.state is not State.LIVE:
            return
        running = self._running
        if running is not None and not running.spoke and not running.acted:
            self._stop(now)
            self._open_question = running.asked
        self._waiting.append(turn)
        if self._running is None:
            self._begin_next(now)

    def _begin_next(self, now: float) -> None:
        if not self._waiting or self.state is not State.LIVE:
            return
        if self.line.interruptible in ("none", "dtmf") and self._playback.speaking(now):
            self._timers[self._begin_turn] = max(self._playback.quiet_at, now) + 1.0
            return
        self._begin_turn(now)

    def _begin_turn(self, now: float) -> None:
        """Answer what is waiting, as one turn."""
        if not self._waiting or self._running is not None or self.state is not State.LIVE:
            return
        self._timers.pop(self._begin_turn, None)
        self._timers.pop(self._answer_open_question, None)
        open_question, self._open_question = self._open_question, None
        if open_question is not None and self._log and self._log[-1] is open_question:
            self._log.pop()
            self._waiting.insert(0, open_question.turn)
        turn = self._waiting.pop(0)
        while self._waiting and self._waiting[0].kind == turn.kind:
            later = self._waiting.pop(0)
            glue = " " if turn.kind == "speech" else ""
            turn = Turn(f"{turn.text}{glue}{later.text}", turn.kind, later.language)
        asked = _Asked(turn)
        self._write_history()
        self._log.append(asked)
        self._start(asked, now)

    def _answer_open_question(self, now: float) -> None:
        """The caller cut in and then said nothing: the question that was asked is still open."""
        asked, self._open_question = self._open_question, None
        if asked is not None and self._running is None and self.state is State.LIVE:
            self._write_history()
            self._start(asked, now)

    def _start(self, asked: _Asked, now: float) -> None:
        self._turns += 1
        self._running = _Running(self._turns, asked, now, recorded=now)
        self._commands.append(StartTurn(self._turns, asked.turn))

    def _stop(self, now: float) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        self._record_reply(running, now, done=True)
        self._commands.append(StopTurn())

    def _write_history(self) -> None:
        said = [Message("user" if isinstance(item, _Asked) else "assistant", item.text) for item in self._log]
        self.call.history[:] = self._past + [message for message in said if message.content]

    # --- speech ----------------------------------------------------------------------------------

    def _say(self, running: _Running, text: str, now: float) -> None:
        speech = running.speech
        if speech is None:
            speech = running.speech = Speech(self._next_speech())
            self._log.append(speech)
            self._playback.add(speech)
        if not running.spoke:
            running.first_token_ms = (now - running.since) * 1000
        running.spoke = running.answered = True
        speech.parts.append(text)
        self._playback.sent(len(text), now)
        out = self._out
        if out and type(tail := out[-1]) is frames.Text and not tail.last:
            tail.token += text
        else:
            out.append(frames.Text(text))
        if now - running.recorded >= SECONDS_BETWEEN_RECORDS:
            self._record_reply(running, now, done=False)

    def _finish_speech(self, now: float) -> None:
        """Close the stretch of speech with its one ``last``."""
        running = self._running
        if running is None or running.speech is None:
            return
        speech = running.speech
        speech.closed = True
        out = self._out
        if out and type(tail := out[-1]) is frames.Text and not tail.last:
            tail.last = True
        else:
            out.append(frames.Text("", last=True))
        self._record_reply(running, now, done=True)
        running.speech = None

    def _record_reply(self, running: _Running, now: float, *, done: bool) -> None:
        speech = running.speech
        if speech is None:
            return
        running.recorded = now
        total = (now - running.since) * 1000 if done else None
        self._record(
            events.Replied(speech.number, self.session_id, speech.sent, done, running.first_token_ms, total)
        )

    def _next_speech(self) -> int:
        if self._speeches == 0 and not self._greeting:
            self._speeches = 1  # 0 is the greeting's number
        self._speeches += 1
        return self._speeches - 1

    def _after_playback(self, now: float) -> None:
        if self._playback.unfinished:
            return
        if self.state is State.LEAVING:
            self._end_now(now)
        elif self._running is None:
            self._begin_next(now)

    # --- leaving ---------------------------------------------------------------------------------

    @property
    def _may_stay(self) -> bool:
        """Whether a caller who cuts into the goodbye keeps the agent."""
        return self._end is not None and self._end.handoff_data is None

    def _leave(self, action: Transfer | EndCall, now: float) -> None:
        """End the session once what was said has been played."""
        if isinstance(action, Transfer):
            data = msgspec.json.encode({"reason": action.reason, "summary": action.summary}).decode()
            self._end = frames.End(data)
            self._record(events.Acted("transfer", action.reason))
        else:
            self._end = frames.End()
            self._record(events.Acted("end-call", action.reason))
        self._finish_speech(now)
        self._stop(now)
        self._waiting.clear()
        self.state = State.LEAVING
        if self._playback.unfinished:
            self._timers[self._end_now] = max(self._playback.quiet_at, now) + SECONDS_OF_GRACE
        else:
            self._end_now(now)

    def _end_now(self, now: float) -> None:
        if self._end is not None:
            self._send_end(self._end, now)

    def _send_end(self, end: frames.End, now: float) -> None:
        self._out.append(end)
        self.state = State.ENDING
        self._timers.clear()
        self._timers[self._close_is_late] = now + SECONDS_TO_CLOSE

    def _close_is_late(self, now: float) -> None:
        self._close(1000, "The session is over.")

    def _setup_is_late(self, now: float) -> None:
        self._close(1008, "No setup message came.")

    def _close(self, code: int, reason: str) -> None:
        if self._running is not None:
            self._running = None
            self._commands.append(StopTurn())
        self._record(events.Disconnected(self.session_id, code))
        self._commands.append(Close(code, reason))
        self._timers.clear()
        self._out.clear()
        self.state = State.CLOSED

    def _record(self, event: events.Event) -> None:
        self._commands.append(Record(event))


def _milliseconds(value: float | str | None) -> float | None:
    try:
        return None if value is None else float(value)
    except ValueError:
        return None
