"""One ConversationRelay session, without I/O: frames and the agent's words in, frames and commands out.

Theory of operation. The session is in one of these states, and only moves to the right:

    SETUP ──setup──▶ LIVE ──Transfer, EndCall──▶ LEAVING ──played──▶ ENDING ──▶ CLOSED
                       ▲            caller cuts in │
                       └───────────────────────────┘  (EndCall only)

A session that Twilio comes back to (``applicationReconnect``) begins LIVE: a setup may come, or not.

Within LIVE two things go on, each at its own pace:

- *a turn* (`Turns`): the agent answers a prompt. There is at most one at a time; what it yields carries
  the turn's number, and words of any other turn are dropped. So no stale word is ever sent.
- *playback* (`Speaker`): what went out is spoken by Twilio seconds later. `Playback` knows what is still
  queued there, so that an interruption cuts the history to what was heard.

Nothing here waits or reads a clock: every input brings ``now`` (seconds, monotonic), `deadline` says
when `tick` wants to be called, `commands` are what the connection has to do, and `data_to_send` are
the frames to write. Words that are ready at the same moment leave as one frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from enum import Enum, auto

import msgspec

from voice_app.agents.protocol import Become, Call, EndCall, Expected, Piece, Transfer, Turn
from voice_app.agents.text import cleaned
from voice_app.calls import CLOSED_IN_ORDER, HistoryLine, Parties, ReconnectState, ResumeState
from voice_app.journal import events
from voice_app.relay import frames
from voice_app.relay.backchannels import is_no_turn
from voice_app.relay.commands import Close, Command, Pull, Record, SwitchAgent
from voice_app.relay.conversation_log import Dialogue, turn_of
from voice_app.relay.dtmf import KeyEntry
from voice_app.relay.listening import Partials
from voice_app.relay.speaker import Speaker
from voice_app.relay.timers import Timers
from voice_app.relay.turn_clock import Meter, TurnClock
from voice_app.relay.turns import SECONDS_TO_SPEAK_UP, Turns
from voice_app.settings import NumberSettings

MAX_MALFORMED = 10
"""So many malformed frames in a row end the session (the bound that Twilio keeps for ours)."""
REFUSED_FRAME = "64107"
"""Twilio's code for a frame that it does not take: it is dropped, and the session goes on."""
MAX_CONFIG = 500
"""Characters that are kept of what Twilio tells of a session's configuration."""
SECONDS_OF_GRACE = 5.0
"""How much longer than estimated the last words may take before the call is ended regardless."""
SECONDS_TO_CLOSE = 10.0
"""How long Twilio may take to close the socket after ``end``."""
SECONDS_OF_PARTING = 15.0
"""So long after the end of the longest call it is ended, whatever is still to be played."""
SECONDS_OF_WARNING = 60.0
"""So long before the end of the longest call the caller is warned."""


SECONDS_TO_HEAR_OUT = 1.0
"""How long after the close frame of a socket that is given up what comes on it still counts."""
NO_METER = Meter()
"""Measures nothing."""
NOTHING_BEFORE = ResumeState()
"""What the first session of a call knows."""


class State(Enum):
    SETUP = auto()
    LIVE = auto()
    LEAVING = auto()
    ENDING = auto()
    CLOSED = auto()


class Session:
    """The rules of one session. See the module's docstring for how it is driven.

    ``past`` is what happened on the call before. ``agents`` are those that can have the call, by name:
    whether each speaks and listens as this session does. One that does not gets a session of its own.
    """

    def __init__(
        self,
        call: Call,
        line: NumberSettings,
        *,
        account_sid: str,
        now: float,
        past: ResumeState = NOTHING_BEFORE,
        setup_seconds: float = 10.0,
        agents: Mapping[str, bool] | None = None,
        meter: Meter = NO_METER,
    ) -> None:
        self.call = call
        self.line = line
        self.state = State.SETUP
        self.outcome = ""
        """What the session has come to, for the log: no words of the agent's or the caller's."""
        self.malformed = 0
        """Malformed frames in all; the count in a row is kept apart."""
        self._malformed_in_a_row = 0
        self.given_up = False
        """The socket was closed from here, in mid-call: what was on its way by then still counts."""
        self._close_sent_at: float | None = None
        """When the other side was told; until then all that comes was on its way."""
        self._last_is_secret = False
        """What the caller was asked for by then."""
        self._account_sid = account_sid
        self._past = past
        self._agents = agents or {}
        self._commands: list[Command] = []
        self._timers = Timers()
        self._dialogue = Dialogue(past.history)
        self._meter = meter
        self._clock = TurnClock(meter)
        self._speaker = Speaker(self._dialogue, self._record, self._clock)
        self._outbox = self._speaker.outbox
        self._turns = Turns(
            call,
            line,
            self._dialogue,
            self._speaker,
            self._timers,
            self._commands,
            leave=self._leave,
            become=self._become,
            idle=self._listen,
            asks=meter.turn,
        )
        self._keys = KeyEntry(
            call,
            self._timers,
            # A question that is asked again sets its keys again.
            before=past.keys if past.awaited is None else None,
            digits=past.digits if past.awaited is None else "",
            record=self._record,
            taken=self._take_keys,
        )
        self._partials = Partials(self._record)
        self._turns.muted = past.muted
        self._silences = 0
        self._overtime = False
        self._end: frames.EndMessage | None = None
        if past.reconnect is None:
            self._timers.set(self._setup_is_late, now + setup_seconds)
        else:
            self._rejoin(past.reconnect, now)

    # --- outputs ---------------------------------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        """When `tick` is due, on the clock that ``now`` is read from."""
        return self._timers.next

    def commands(self) -> Sequence[Command]:
        """What the connection has to do, in order. Each is given out once."""
        if not self._commands:
            return ()
        commands = self._commands[:]
        self._commands.clear()
        return commands

    @property
    def has_data(self) -> bool:
        return bool(self._outbox.frames)

    def may_wait(self, now: float) -> bool:
        """Whether words that come now may wait for more of them. See `may_gather`."""
        return self._speaker.may_wait(now)

    def may_gather(self, now: float) -> bool:
        """Whether the data may wait for more of it: Twilio has so much to speak that nobody hears it."""
        return self._speaker.may_gather(now)

    def data_to_send(self) -> str | None:
        """The next frame to write, if any. One at a time: what is not given out can still be stopped."""
        return self._outbox.next()

    # --- inputs ----------------------------------------------------------------------------------

    def receive(self, data: str | bytes, now: float) -> None:
        """A message arrived from Twilio."""
        if self.state is State.CLOSED:
            if self.given_up:
                self._receive_last(data, now)
            return
        try:
            frame = frames.decode(data)
        except frames.MalformedError as error:
            self._receive_malformed(str(error), now)
            return
        self._malformed_in_a_row = 0
        if self.state is State.SETUP:
            self._receive_first(frame, now)
            return
        match frame:
            case frames.InfoMessage():
                self._receive_info(frame.name, frame.value, now)
            case frames.PromptMessage():
                self._receive_prompt(frame, now)
            case frames.InterruptMessage():
                self._receive_interrupt(frame, now)
            case frames.DtmfMessage():
                self._receive_key(frame.digit, now)
            case frames.ErrorMessage():
                self._record(events.Failed("relay", frame.description[:500]))
                if REFUSED_FRAME in frame.description:
                    self._turns.frame_refused()
            case frames.SetupMessage() if self._past.reconnect is not None:
                self._receive_setup_again(frame, now)
            case _:
                pass  # a second setup, and whatever Twilio adds: taken in without harm

    def agent_yielded(self, number: int, piece: Piece, now: float) -> Pull:
        """The agent yielded a piece in this turn. Returns whether to ask it for the next one.

        Raises:
            TypeError: it is none.
            ValueError: Twilio does not take what is in it, or there is no such agent.
        """
        if isinstance(piece, Become) and piece.agent not in self._agents:
            known = ", ".join(self._agents) or "none"
            raise ValueError(f"there is no agent {piece.agent!r} in VOICE_APP_AGENTS; there are: {known}")
        self._keys.note_change()
        return self._turns.agent_yielded(number, piece, now)

    def agent_asked(self, number: int, words: str, expected: Expected, now: float) -> Pull:
        """The agent asks the caller something in this turn, and the next turn is the answer.

        Returns whether it was asked: a guess has to wait with it, and a turn may be over.
        """
        self._keys.note_change()
        return self._turns.agent_asked(number, words, expected, now)

    def agent_finished(self, number: int, now: float) -> None:
        """The agent has nothing more to say in this turn."""
        self._keys.note_change()
        self._turns.agent_finished(number, now)

    def agent_failed(self, number: int, error: str, now: float) -> None:
        """The agent raised an exception in this turn."""
        self._turns.agent_failed(number, error, now)

    @property
    def expects_secret(self) -> bool:
        """Whether what the caller says or presses now is a secret."""
        return self.call.keys.sensitive or self._asked_for_a_secret

    @property
    def _asked_for_a_secret(self) -> bool:
        expected = self._turns.expected
        return self._last_is_secret if expected is None else expected.secret

    @property
    def id(self) -> str:
        """Twilio's id of the session, ``VX…``; empty until the setup came."""
        return self._speaker.session_id

    @property
    def turns(self) -> int:
        """How many turns the agent was asked for, guesses not included."""
        return self._turns.asked

    def came_after(self, past: Iterable[HistoryLine]) -> None:
        """What was said on the call before the session is known after all; the agent is told from now on."""
        self._dialogue.came_after(past)

    @property
    def over(self) -> bool:
        """The socket is gone."""
        return self.state is State.CLOSED

    @property
    def leaving(self) -> bool:
        """The end of the session is decided, and perhaps on its way."""
        return self.state in (State.LEAVING, State.ENDING)

    def leave(self, action: Transfer | EndCall, now: float, line: str = "", *, at_once: bool = False) -> bool:
        """Somebody else ends the session, or has the caller handed over. Returns whether that is possible.

        The agent says no more than it has said; ``line`` is said after that. ``at_once``: nothing more is
        heard of either.
        """
        if self.state is not State.LIVE:
            return False
        if line:
            self._speaker.finish(now)
            self._speaker.line(line, now)
        self._leave(action, now)
        if at_once:
            self._end_now(now)
        return True

    def supervise(self, act: str, text: str, now: float) -> bool:
        """Somebody of ours acts on the call. Returns whether that is possible.

        ``say`` has the text spoken after what is being said, ``note`` gives it to the agent as a turn,
        ``mute`` and ``unmute`` have the agent be silent and answer again.
        """
        if self.state is not State.LIVE:
            return False
        match act:
            case "say":
                self._speaker.line(text, now)
                self._listen(now)
            case "note":
                self._turns.note(text, now)
            case "mute" if not self._turns.muted:
                self._turns.mute(now)
            case "unmute" if self._turns.muted:
                self._turns.unmute(now)
        return True

    def end(self, now: float) -> None:
        """End the session now, whatever is being said."""
        if self.state in (State.LIVE, State.LEAVING):
            self._speaker.finish(now)
            self._turns.close(now)
            self._send_end(self._end or frames.EndMessage(), now)

    def close(self, code: int, reason: str, now: float) -> None:
        """Close the socket; Twilio then asks what follows, or comes back."""
        if self.state is not State.CLOSED:
            self.given_up = self.state is not State.SETUP
            self._last_is_secret = self._asked_for_a_secret
            self._close(code, reason, now)

    def close_sent(self, now: float) -> None:
        """The socket's close frame was written, which may be seconds after `close` where an agent blocks."""
        self._close_sent_at = now

    def tick(self, now: float) -> None:
        """Time has passed."""
        self._timers.run(now)

    def disconnected(self, code: int, now: float) -> None:
        """The socket is gone."""
        if self.state is not State.CLOSED:
            self._finish(code, now)

    # --- frames ----------------------------------------------------------------------------------

    def _receive_last(self, data: str | bytes, now: float) -> None:
        """A message was on its way as the socket was given up: what was said, the next session knows.

        Later than that the caller may have said it again, to another server.
        """
        if self._close_sent_at is not None and now - self._close_sent_at > SECONDS_TO_HEAR_OUT:
            return
        with suppress(frames.MalformedError):
            if isinstance(frame := frames.decode(data), frames.PromptMessage):
                self._receive_prompt(frame, now)

    def _receive_malformed(self, error: str, now: float) -> None:
        self.malformed += 1
        self._malformed_in_a_row += 1
        self._record(events.Failed("frame", error[:200]))
        if self._malformed_in_a_row >= MAX_MALFORMED:
            self._close(1007, "Too many malformed messages in a row.", now)

    def _receive_first(self, frame: frames.Incoming, now: float) -> None:
        if not isinstance(frame, frames.SetupMessage):
            self._close(1008, "The first message must be setup.", now)
            return
        self._timers.clear()
        if not self._take_setup(frame, now):
            return
        self.state = State.LIVE
        self._limit_the_call(now)
        self._keys.resume(now)
        past = self._past
        if past.greeting:
            self._speaker.greet(past.greeting, now)
        disclosed = self._disclose(now)
        if past.awaited is not None:
            self._turns.ask_again(turn_of(past.awaited), now)
        elif past.greeting:
            self._listen(now)
        elif past.history and past.history[-1].content == self.line.resume_greeting:
            self._listen(now)  # it has been said that the line broke, and nothing since
        elif past.history:
            self._turns.ask(Turn("", "resumed"), now)
        elif disclosed:
            self._speaker.line(self.line.greeting, now)
            self._listen(now)

    def _disclose(self, now: float) -> bool:
        """Say what has to be said first, unless it was heard in an earlier session of the call."""
        disclosure = cleaned(self.line.disclosure)
        return disclosure not in self._past.stated and self._speaker.state(disclosure, now)

    def _take_setup(self, frame: frames.SetupMessage, now: float) -> bool:
        """Take the facts of a setup. Returns whether it is for this call; if not, the session ends."""
        call = self.call
        if frame.account_sid != self._account_sid or frame.call_sid != call.sid:
            what = "account" if frame.account_sid != self._account_sid else "call"
            self._record(events.Failed("setup", f"it names another {what} than the address was made for"))
            self._send_end(frames.EndMessage(), now)
            return False
        self._speaker.session_id = frame.session_id
        call.from_, call.to = frame.from_, frame.to
        call.direction = "outbound" if Parties.of(frame).outbound else "inbound"
        call.parameters = frame.custom_parameters
        self._record(events.Connected(frame.session_id, self.line.language or "", frame.custom_parameters))
        return True

    # --- coming back -----------------------------------------------------------------------------

    def _rejoin(self, lost: ReconnectState, now: float) -> None:
        """Twilio came back to a session whose socket was lost. Nobody is greeted.

        What the agent had decided is done, a question that nothing was said to is answered. The one short
        line is said only where words are gone for good: the agent was in the middle of an answer.
        """
        self.state = State.LIVE
        self.call.parameters = lost.parameters
        self._speaker.rejoin(lost, now)
        self._limit_the_call(now)
        self._keys.resume(now)
        if self._past.decided is not None:
            self._leave(_decision(self._past.decided), now)
        elif self._past.awaited is not None:
            self._turns.ask_again(turn_of(self._past.awaited), now)
        elif lost.questions:
            for question in lost.questions:
                self._turns.ask(turn_of(question), now)
        elif lost.cut_off and self.line.resume_greeting:
            self._speaker.line(self.line.resume_greeting, now)
            self._listen(now)
        elif lost.cut_off:
            self._turns.ask(Turn("", "resumed"), now)
        else:
            self._listen(now)

    def _receive_setup_again(self, frame: frames.SetupMessage, now: float) -> None:
        """The setup of a session that Twilio came back to; it may have got another id."""
        if frame.session_id == self._speaker.session_id and frame.call_sid == self.call.sid:
            return
        self._take_setup(frame, now)

    def _receive_prompt(self, frame: frames.PromptMessage, now: float) -> None:
        text = frame.voice_prompt.strip()
        if not text or self.state not in (State.LIVE, State.LEAVING):
            if text and frame.last:  # nobody answers it any more, and whoever has the call next may read it
                self._record(events.Prompted("" if self._asked_for_a_secret else text, frame.lang))
            return
        self._timers.cancel(self._silent)
        if not frame.last:
            if self.state is State.LIVE:
                self._turns.caller_speaks(now)
                self._turns.partial(text, now)
                self._partials.heard(text, now, secret=self.expects_secret)
            return
        self._partials.forget()
        if self._turns.expected is None and is_no_turn(
            text, frame.lang, self.line, self._speaker, now, cut_off=self._turns.may_go_on
        ):
            self._record(events.Overheard(text))
            self._turns.go_on(now)
        else:
            expected = self._turns.expected
            secret = expected is not None and expected.secret
            self._record(events.Prompted("" if secret else text, frame.lang))
            if self._stay():
                self._silences = 0
                self._turns.final(Turn(text, language=frame.lang, sensitive=secret), now)

    def _receive_interrupt(self, frame: frames.InterruptMessage, now: float) -> None:
        played = _milliseconds(frame.duration_until_interrupt_ms)
        self._clock.interrupted(now)
        unheard = self._speaker.interrupted(frame.utterance_until_interrupt, played, now)
        self._turns.interrupted("" if self.state is State.LEAVING else unheard, now)
        if self.state is State.LEAVING and self._speaker.playback.unfinished:
            self._wait_for_the_end(now)
        elif self.state is State.LEAVING:
            self._timers.set(self._end_now, now + (SECONDS_TO_SPEAK_UP if self._may_stay else 0.0))
        else:
            self._listen(now)

    def _receive_info(self, name: str, value: object, now: float) -> None:
        match name:
            case "agentSpeaking":
                self._clock.agent_speaking(value == "on", now)
                self._speaker.agent_speaking(value == "on", now)
                if value == "on":
                    self._timers.cancel(self._silent)
                else:
                    self._after_playback(now)
            case "tokensPlayed":
                self._speaker.tokens_played(str(value), now)
                self._after_playback(now)
            case "clientSpeaking" if value == "on":
                self._clock.caller_speaking(True, now)
                self._timers.cancel(self._silent)
                self._turns.caller_speaks(now)
            case "clientSpeaking":
                self._clock.caller_speaking(False, now)
                self._listen(now)
                self._turns.caller_is_quiet(now)
            case "configUpdated":
                told = value if isinstance(value, str) else msgspec.json.encode(value).decode()
                self._record(events.Reconfigured(told[:MAX_CONFIG]))
            case _:
                pass  # round-trip times, and whatever is subscribed to

    def _receive_key(self, key: str, now: float) -> None:
        if self.state not in (State.LIVE, State.LEAVING):
            return
        self._timers.cancel(self._silent)
        self._keys.press(key, now)

    def _take_keys(self, turn: Turn, now: float) -> None:
        if self._stay():
            self._silences = 0
            self._turns.ask(turn, now)

    # --- patience --------------------------------------------------------------------------------

    def _after_playback(self, now: float) -> None:
        """Something was played: perhaps everything was."""
        if self._speaker.playback.unfinished:
            self._listen(now)
            return
        if self.state is State.LEAVING:
            self._end_now(now)
        elif self.state is State.LIVE:
            self._turns.begin_next(now)
            self._listen(now)

    def _listen(self, now: float) -> None:
        """The caller may speak now; silence is asked about in time."""
        if self.line.silence_seconds and self.state is State.LIVE and not self._turns.busy:
            expected = self._turns.expected
            patience = max(self.line.silence_seconds, expected.patience if expected is not None else 0.0)
            self._timers.set(self._silent, self._speaker.playback.quiet_at(now) + patience)

    def _silent(self, now: float) -> None:
        """The caller has said nothing for a while. While the voice speaks on, that is no silence."""
        if self._turns.busy or self._turns.muted or self.state is not State.LIVE:
            return
        if self._speaker.playback.speaking(now):
            self._listen(now)
            return
        self._silences += 1
        self._meter.silence()
        if self._silences > self.line.silence_times:
            self._speaker.line(self.line.silence_goodbye, now)
            self._leave(EndCall("silence"), now)
        elif self.line.silence_line:
            self._speaker.line(self.line.silence_line, now)
            self._listen(now)
        else:
            self._turns.ask(Turn("", "silence"), now)

    def _limit_the_call(self, now: float) -> None:
        if longest := self.line.max_call_seconds:
            left = max(longest - self._past.age, SECONDS_OF_GRACE)
            self._timers.set(self._time_is_up, now + left)
            if left > SECONDS_OF_WARNING:
                self._timers.set(self._time_is_nearly_up, now + left - SECONDS_OF_WARNING)

    def _time_is_nearly_up(self, now: float) -> None:
        if self.state is State.LIVE:
            self._speaker.line(self.line.max_call_warning, now)

    def _time_is_up(self, now: float) -> None:
        self._overtime = True
        self._timers.set(self._end_at_last, now + SECONDS_OF_PARTING)
        if self.state is State.LIVE:
            self._speaker.finish(now)
            self._speaker.line(self.line.max_call_goodbye, now)
            self._leave(EndCall("the longest time for a call is over"), now)

    def _end_at_last(self, now: float) -> None:
        """Whatever is still to be played: the voice may be minutes behind the agent."""
        if self.state is State.LEAVING:
            self._end_now(now)

    # --- leaving ---------------------------------------------------------------------------------

    @property
    def _may_stay(self) -> bool:
        """Whether a caller who cuts into the goodbye keeps the agent: unless the call has been too long."""
        return self._end is not None and self._end.handoff_data is None and not self._overtime

    def _stay(self) -> bool:
        """Whether the caller is answered: always, but while the agent is leaving only after cutting in."""
        if self.state is State.LEAVING and self._may_stay and not self._speaker.playback.unfinished:
            self.state = State.LIVE
            self._end = None
            self._timers.cancel(self._end_now)
            self._timers.cancel(self._end_is_late)
        return self.state is State.LIVE

    def _become(self, action: Become, now: float) -> None:
        """Another agent has the call: in this session, if it speaks as this one does, or in the next."""
        self._record(events.Acted("become", action.agent))
        if self._agents[action.agent]:
            self._commands.append(SwitchAgent(action.agent))
            self._turns.go_on_with_another(now)
            return
        self.outcome = f"the agent {action.agent} has the call"
        self._end = frames.EndMessage(msgspec.json.encode({"become": action.agent}).decode())
        self._end_after_the_words(now)

    def _leave(self, action: Transfer | EndCall, now: float) -> None:
        """End the session once what was said has been played."""
        if isinstance(action, Transfer):
            data = msgspec.json.encode({"reason": action.reason, "summary": action.summary}).decode()
            self._end = frames.EndMessage(data)
            self.outcome = "the caller is handed over"
            self._record(events.Acted("transfer", action.reason, action.summary))
        else:
            self._end = frames.EndMessage()
            self.outcome = "the call was ended from here"
            self._record(events.Acted("end-call", action.reason))
        self._end_after_the_words(now)

    def _end_after_the_words(self, now: float) -> None:
        self._speaker.finish(now)
        self._last_is_secret = self._asked_for_a_secret
        self._turns.close(now)
        self._timers.cancel(self._silent)
        self.state = State.LEAVING
        if self._speaker.playback.unfinished:
            self._wait_for_the_end(now)
        else:
            self._end_now(now)

    def _wait_for_the_end(self, now: float) -> None:
        """The last words are still to be played: end after them, or when they are late."""
        self._timers.set(self._end_is_late, self._speaker.playback.quiet_at(now) + SECONDS_OF_GRACE)

    def _end_is_late(self, now: float) -> None:
        """The last words should have been played by now. While the voice speaks they are on their way.

        The grace counts from its last sign of life.
        """
        playback = self._speaker.playback
        if playback.speaking(now):
            self._wait_for_the_end(now)
        elif (due := playback.expected_end + SECONDS_OF_GRACE) > now:
            self._timers.set(self._end_is_late, due)
        else:
            self._end_now(now)

    def _end_now(self, now: float) -> None:
        if self._end is not None:
            self._send_end(self._end, now)

    def _send_end(self, end: frames.EndMessage, now: float) -> None:
        self._speaker.outbox.push(end)
        self.state = State.ENDING
        self._timers.clear()
        self._timers.set(self._close_is_late, now + SECONDS_TO_CLOSE)

    def _close_is_late(self, now: float) -> None:
        self._close(1000, "The session is over.", now)

    def _setup_is_late(self, now: float) -> None:
        self._close(1008, "No setup message came.", now)

    def _close(self, code: int, reason: str, now: float) -> None:
        self._finish(code, now)
        self._commands.append(Close(code, reason))

    def _finish(self, code: int, now: float) -> None:
        self.outcome = self.outcome or f"the socket was closed ({code})"
        told = code == CLOSED_IN_ORDER or not self.line.reconnect
        self._turns.close(now)
        self._partials.close()
        self._speaker.disconnected(now, tell=told and self.state is not State.ENDING)
        self._timers.clear()
        self._record(events.Disconnected(self._speaker.session_id, code, told))
        self.state = State.CLOSED

    def _record(self, event: events.Event) -> None:
        self._commands.append(Record(event))


def _decision(event: events.Acted) -> Transfer | EndCall:
    """What the agent had decided on before the socket was lost."""
    if event.action == "transfer":
        return Transfer(event.detail, event.summary)
    return EndCall(event.detail)


def _milliseconds(value: float | str | None) -> float | None:
    try:
        return None if value is None else float(value)
    except ValueError:
        return None
