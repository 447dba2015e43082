"""Whose turn it is: prompts become turns of the agent, and what the agent yields becomes speech.

There is at most one turn at a time. A prompt that arrives meanwhile

- joins it, while nothing has come of it: both are asked as one;
- waits, once the agent has said or done something; what waits is asked as one turn afterwards.

A turn may be begun on a guess, before the prompt is final. Then its pieces are held, and the agent is
not asked for more once it wants to act. When the final prompt comes, the guess is adopted or dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from voice_app.agents.asking import forget_answers, recall_answers
from voice_app.agents.protocol import (
    Become,
    Break,
    Call,
    EndCall,
    Expected,
    Piece,
    Say,
    Ssml,
    SwitchLanguage,
    Transfer,
    Turn,
)
from voice_app.calls.scripts import glue
from voice_app.journal import events
from voice_app.relay.actions import checked, frame_of
from voice_app.relay.commands import Command, ContinueTurn, Pull, Record, StartTurn, StopTurn
from voice_app.relay.conversation_log import Asked, Dialogue
from voice_app.relay.listening import Listening
from voice_app.relay.preemption import SECONDS_UNTIL_STABLE, Guesses
from voice_app.relay.speaker import Speaker
from voice_app.relay.speech_text import Speakable, spoken
from voice_app.relay.timers import Timers
from voice_app.settings import NumberSettings

MAX_FAILURES = 3
"""So many failed turns in a row, and a person has to take over."""
SECONDS_TO_SPEAK_UP = 2.5
"""After an interruption: how long the caller may take to say something before the agent goes on."""
SECONDS_AFTER_THE_VOICE = 1.0
"""Where the voice may not be interrupted: how long after it the next answer begins."""
SECONDS_TO_LOOK_AGAIN = 1.0
"""How often it is seen to whether the voice has caught up with an agent that was too far ahead of it."""


@dataclass(slots=True, eq=False)
class _Running:
    """The turn that the agent is answering."""

    number: int
    asked: Asked
    since: float
    alive_at: float
    """When the last piece came. Looked at when the time for a stall is over, not set anew for every word."""
    speakable: Speakable
    spoke: bool = False
    acted: bool = False
    answered: bool = False
    """Something came since the prompt, or since the last `Break`."""
    filled: bool = False
    over: bool = False
    """The agent has ended by itself."""
    error: str = ""
    held: list[Piece] | None = None
    """For a guess: what the agent yielded so far."""
    held_characters: int = 0
    waits_for_the_voice: bool = False
    """It is not asked for more until the voice has caught up with what it has said."""
    first_piece_at: float | None = None


@dataclass(slots=True, frozen=True)
class _CutOff:
    """A reply that an interruption has cut off."""

    unheard: str
    unfinished: bool
    """The agent had more to say."""


class Turns:
    """Asks the agent, one turn at a time.

    ``leave`` is called when the agent wants to end the session, ``become`` when another one is to have the
    call, ``idle`` when there is nothing left to
    answer; ``commands`` is where the connection finds what it has to do.
    """

    def __init__(
        self,
        call: Call,
        line: NumberSettings,
        dialogue: Dialogue,
        speaker: Speaker,
        timers: Timers,
        commands: list[Command],
        *,
        leave: Callable[[Transfer | EndCall, float], None],
        become: Callable[[Become, float], None],
        idle: Callable[[float], None],
        asks: Callable[[str], None],
    ) -> None:
        """``asks`` hears the kind of every turn that is no guess, or a right one."""
        self._call = call
        self._line = line
        self._dialogue = dialogue
        self._speaker = speaker
        self._timers = timers
        self._commands = commands
        self._leave = leave
        self._become = become
        self._idle = idle
        self._asks = asks
        self._running: _Running | None = None
        self._waiting: list[Turn] = []
        self._notes: list[Turn] = []
        """For the agent to know once nothing else waits to be answered."""
        self.muted = False
        """The agent is asked nothing: what the caller says waits."""
        self._open_question: _Running | None = None
        self._cut_off: _CutOff | None = None
        self._held_back = False
        """What waits is not begun: the caller has cut in, and nobody knows yet with what."""
        self._guesses = Guesses()
        self._count = 0
        self.asked = 0
        """Turns so far that were no guess, or a right one."""
        self._failures = 0
        self._language = line.language or ""
        self._origin: Asked | None = None
        """What the turn began with that runs now, or waits for an answer."""
        self._listening = Listening(line, speaker)
        self.expected: Expected | None = None
        """Set while an agent waits for an answer in the middle of its turn: the next turn is that answer."""

    @property
    def busy(self) -> bool:
        """The agent is answering something (a guess does not count)."""
        return self._running is not None and self._running.held is None

    # --- the caller ------------------------------------------------------------------------------

    def ask(self, turn: Turn, now: float) -> None:
        """The caller wants an answer: begin the turn, or let it join or wait."""
        running = self._running
        if running is not None and not running.spoke and not running.acted:
            self.stop(now)
            self._open_question = running
        self._waiting.append(turn)
        self._held_back = False
        self.begin_next(now)

    def ask_again(self, turn: Turn, now: float) -> None:
        """A break came between a question of the agent's and the answer: begin the turn again.

        The caller is only asked for what they had not answered before, as far as this server knows.
        """
        recall_answers(self._call)
        self._start(Asked(turn), now, again=True)

    def final(self, turn: Turn, now: float) -> None:
        """A final prompt has come: send what a right guess has ready, or ask."""
        self._timers.cancel(self._guess)
        running, right = self._running, self._guesses.right(turn.text)
        self._guesses.reset()
        if running is not None and running.held is not None:
            if right and not running.error:
                self._adopt(running, turn, now)
                return
            self._drop_guess(now)
        self.ask(turn, now)

    def partial(self, text: str, now: float) -> None:
        """The caller has got so far; perhaps that is all."""
        if self._line.speculate == "off" or self.expected is not None or self.muted:
            return
        begin = self._guesses.partial(text)
        if self._guesses.outdated():
            self._drop_guess(now)
        self._timers.set(self._guess, now + SECONDS_UNTIL_STABLE)
        if begin:
            self._begin_guess(now)

    def interrupted(self, unheard: str, now: float) -> None:
        """The caller has cut in: the turn is over.

        If it was a noise, and no words follow, the agent goes on: a question that got no answer is answered,
        and what was ``unheard`` of a reply is said. Until then nothing is, also to what was asked before.
        """
        running = self._running
        if running is not None and running.held is None:
            if not running.answered:
                self._open_question = running
            self.stop(now)
        else:
            running = None
        if self._line.continue_line and unheard:
            self._cut_off = _CutOff(unheard, unfinished=running is not None and not running.over)
        self._held_back = bool(self._waiting)
        if self.may_go_on:
            self._timers.set(self._go_on, now + SECONDS_TO_SPEAK_UP)

    @property
    def may_go_on(self) -> bool:
        """Something was cut off, and nobody has said yet why."""
        return self._open_question is not None or self._cut_off is not None or self._held_back

    def caller_speaks(self, now: float) -> None:
        """The caller makes a sound: what it is will be told. Until then nothing goes on."""
        self._timers.cancel(self._go_on)

    def caller_is_quiet(self, now: float) -> None:
        """The caller makes no sound any more: if no words come of it, the agent goes on."""
        if self.may_go_on and not self.busy:
            self._timers.set(self._go_on, now + SECONDS_TO_SPEAK_UP)

    def go_on(self, now: float) -> None:
        """The caller wants the agent to go on where it was cut off."""
        self._timers.cancel(self._go_on)
        self._go_on(now)

    def note(self, text: str, now: float) -> None:
        """Somebody of ours has something for the agent to know. An answer that it waits for is not this."""
        self._notes.append(Turn(text, "note"))
        self.begin_next(now)

    def mute(self, now: float) -> None:
        """Ask the agent nothing more; what it has not said is left unsaid."""
        running = self._running
        self.muted = True
        if running is not None and running.held is None and not running.answered:
            self._open_question = running
        self.stop(now)
        self._speaker.finish(now)
        self._timers.cancel(self._go_on)

    def unmute(self, now: float) -> None:
        """Ask the agent again: first what the caller has said meanwhile, or had not been answered."""
        self.muted = False
        self.begin_next(now)
        if self._running is None:
            self._go_on(now)
        if self._running is None:
            self._idle(now)

    def begin_next(self, now: float) -> None:
        """Answer what is waiting, as one turn, unless the voice has to finish first."""
        if self._running is not None or self.muted or self._held_back:
            return
        if not self._waiting:
            if not self._notes or self.expected is not None:
                return
            self._waiting, self._notes = self._notes, []
        playback = self._speaker.playback
        may_cut_in = self._line.interruptible not in ("none", "dtmf") and not playback.uninterruptible
        if not may_cut_in and playback.speaking(now):
            self._timers.set(self.begin_next, playback.quiet_at(now) + SECONDS_AFTER_THE_VOICE)
            return
        self._timers.cancel(self.begin_next)
        self._timers.cancel(self._go_on)
        self._cut_off = None
        asked = Asked(self._next_turn())
        self.asked += 1
        self._asks(asked.turn.kind)
        self._start(asked, now)
        self._dialogue.add(asked)

    def go_on_with_another(self, now: float) -> None:
        """Another agent has the call: it is asked what waits, or to go on."""
        self.stop(now)
        self._speaker.finish(now)
        self._failures = 0
        if not self._waiting:
            self._waiting.append(Turn("", "resumed"))
        self.begin_next(now)

    def stop(self, now: float) -> None:
        """Stop asking the agent, whatever it is at."""
        running, self._running = self._running, None
        if running is not None:
            self._timers.cancel(self._stalled)
            self._timers.cancel(self._fill)
            if not running.over:
                self._commands.append(StopTurn())

    def close(self, now: float) -> None:
        """Nothing is asked any more."""
        self.stop(now)
        if self.expected is not None:
            self.expected = None
            self._commands.append(StopTurn())
        self._waiting.clear()
        self._notes.clear()
        self._open_question = None
        self._cut_off = None
        for handler in (self._guess, self.begin_next, self._go_on):
            self._timers.cancel(handler)

    # --- the agent -------------------------------------------------------------------------------

    def agent_yielded(self, number: int, piece: Piece, now: float) -> Pull:
        """The agent yielded a piece. Returns whether to ask it for the next one.

        Raises:
            TypeError: it is none.
            ValueError: Twilio does not take what is in it.
        """
        running = self._running
        if running is None or running.number != number:
            return Pull.STOP
        if type(piece) is not str:
            piece = checked(piece)
        running.alive_at = now
        if running.held is None:
            pull = self._take(running, piece, now)
            return self._wait_for_the_voice(running, now) if pull is Pull.ON else pull
        running.held.append(piece)
        if running.first_piece_at is None:
            running.first_piece_at = now
        if not isinstance(piece, str | Ssml):
            return Pull.WAIT
        running.held_characters += len(piece if isinstance(piece, str) else piece.text)
        return Pull.ON if running.held_characters <= self._line.ahead_characters else Pull.WAIT

    def agent_asked(self, number: int, words: str, expected: Expected, now: float) -> Pull:
        """The agent asks the caller something, and goes on with the next turn.

        What waited to be answered was said before the question, and is only remembered. A guess has to wait
        with it, and an earlier turn may not ask.
        """
        running = self._running
        if running is None or running.number != number:
            return Pull.STOP
        if running.held is not None:
            return Pull.WAIT
        self._say(running, running.speakable.flush(), now)
        self._say(running, words, now)
        for turn in self._waiting:
            self._dialogue.add(Asked(turn))
        self._waiting.clear()
        running.over = True
        self.expected = expected
        self._failures = 0
        self._finish(now)
        self._listening.expect(expected, now)
        if self._origin is not None:
            self._commands.append(Record(_awaited(self._origin.turn)))
        return Pull.ON

    def frame_refused(self) -> None:
        """Twilio has not taken a frame of ours."""
        self._listening.refused()

    def agent_finished(self, number: int, now: float) -> None:
        """The agent has nothing more to say in this turn."""
        running = self._running
        if running is None or running.number != number:
            return
        running.over = True
        if running.held is not None:
            return
        self._say(running, running.speakable.flush(), now)
        # What was said before a tool is an answer, too: to deny it after the tool has acted would be wrong.
        # A note need not be answered at all.
        if not running.answered and not running.spoke and running.asked.turn.kind != "note":
            self.agent_failed(number, "the agent said nothing", now)
            return
        self._failures = 0
        self._finish(now)

    def agent_failed(self, number: int, error: str, now: float) -> None:
        """The agent raised an exception, or gave no answer."""
        running = self._running
        if running is None or running.number != number:
            return
        running.over = True
        running.error = error or "failed"
        if running.held is not None:
            return
        self._commands.append(Record(events.Failed("agent", error[:500])))
        self._failures += 1
        self._speaker.finish(now)
        if self._failures >= MAX_FAILURES:
            self._leave(Transfer("agent-failed", "The automated assistant failed repeatedly."), now)
            return
        self._speaker.line(self._line.failure_line, now)
        self._finish(now)

    # --- inside ----------------------------------------------------------------------------------

    def _next_turn(self) -> Turn:
        """What waits and belongs together; a question that was left open comes first."""
        unanswered, self._open_question = self._open_question, None
        if unanswered is not None and not unanswered.acted and self._dialogue.retract(unanswered.asked):
            self._waiting.insert(0, unanswered.asked.turn)
        turn = self._waiting.pop(0)
        while self._waiting and self._waiting[0].kind == turn.kind:
            turn = _joined(turn, self._waiting.pop(0))
        return turn

    def _go_on(self, now: float) -> None:
        """The caller cut in and then said nothing: the question is still open, or the reply not over."""
        if self.muted:
            return
        self._held_back = False
        if self._waiting and not self.busy:
            self.begin_next(now)
            return
        unanswered, self._open_question = self._open_question, None
        cut_off, self._cut_off = self._cut_off, None
        if self.busy:
            return
        if unanswered is not None:
            self._start(unanswered.asked, now)
        elif cut_off is not None:
            self._speaker.line(f"{self._line.continue_line} {cut_off.unheard}", now)
            if cut_off.unfinished:
                self.ask(Turn("", "resumed"), now)
            else:
                self._idle(now)

    def _start(self, asked: Asked, now: float, *, again: bool = False) -> _Running:
        self._count += 1
        if self.expected is not None:
            self._listening.expect(None, now)
        else:
            self._origin = asked
            if not again:
                forget_answers(self._call)
        self._call.history[:] = self._dialogue.history(without=asked)
        running = self._running = _Running(self._count, asked, now, now, Speakable(self._language))
        # The turn of a question's answer has a beginning already: nothing joins it.
        running.acted, self.expected = self.expected is not None, None
        self._speaker.begin(now)
        self._wait_with_filler(running, now)
        self._timers.set(self._stalled, now + self._line.stall_seconds)
        self._commands.append(StartTurn(self._count, asked.turn))
        return running

    def _take(self, running: _Running, piece: Piece, now: float) -> Pull:
        """Speak or do what the agent has yielded."""
        if isinstance(piece, str):
            self._say(running, running.speakable.feed(piece), now)
            return Pull.ON
        self._say(running, running.speakable.flush(), now)
        match piece:
            case Ssml():
                self._say(running, piece.text, now)
                return Pull.ON
            case Break():
                self._speaker.finish(now, more=True)
                running.acted, running.answered = True, False
                self._wait_with_filler(running, now)
                return Pull.ON
            case Transfer() | EndCall():
                self._leave(piece, now)
                return Pull.STOP
            case Become():
                self._become(piece, now)
                return Pull.STOP
            case Say():
                if self._speaker.state(
                    spoken(piece.text, self._language), now, interruptible=piece.interruptible
                ):
                    self._timers.cancel(self._fill)
                    running.spoke = True
            case _:
                if isinstance(piece, SwitchLanguage) and piece.tts:
                    running.speakable.language = self._language = piece.tts
                frame, done = frame_of(piece)
                self._speaker.push(frame, now)
                self._commands.append(Record(done))
        running.acted = running.answered = True
        return Pull.ON

    def _say(self, running: _Running, text: str, now: float) -> None:
        if text and self._speaker.say(text, now):
            if not running.answered:
                self._timers.cancel(self._fill)
            running.spoke = running.answered = True

    def _finish(self, now: float) -> None:
        """The turn is over: go on with what waits."""
        self._speaker.finish(now, ends_turn=True)
        self._running = None
        self._timers.cancel(self._stalled)
        self._timers.cancel(self._fill)
        self.begin_next(now)
        if self._running is None:
            self._idle(now)

    def _wait_for_the_voice(self, running: _Running, now: float) -> Pull:
        """Whether the agent may say more at once: not where the voice is far behind it."""
        line = self._line
        if not self._speaker.playback.is_ahead(line.ahead_seconds, line.ahead_characters, now):
            return Pull.ON
        running.waits_for_the_voice = True
        self._timers.set(self._look_for_the_voice, now + SECONDS_TO_LOOK_AGAIN)
        return Pull.WAIT

    def _look_for_the_voice(self, now: float) -> None:
        running = self._running
        if running is None or not running.waits_for_the_voice:
            return
        running.alive_at = now  # it is we who make it wait: that is no stall
        if self._wait_for_the_voice(running, now) is Pull.ON:
            running.waits_for_the_voice = False
            self._commands.append(ContinueTurn())

    def _wait_with_filler(self, running: _Running, now: float) -> None:
        if self._line.filler_seconds and not running.filled:
            self._timers.set(self._fill, now + self._line.filler_seconds)

    def _fill(self, now: float) -> None:
        """The answer takes long: say so, once a turn."""
        running = self._running
        if running is not None and running.held is None:
            running.filled = True
            self._speaker.line(self._call.filler, now)

    def _stalled(self, now: float) -> None:
        """Nothing came from the agent for too long."""
        running = self._running
        if running is None:
            return
        if (due := running.alive_at + self._line.stall_seconds) > now:
            self._timers.set(self._stalled, due)
            return
        if running.held is not None:
            self._drop_guess(now)
            return
        if not running.over:
            self._commands.append(StopTurn())
        self.agent_failed(running.number, "the agent stalled", now)

    # --- speculation -----------------------------------------------------------------------------

    def _guess(self, now: float) -> None:
        """Nothing followed the latest partial: perhaps the caller is done."""
        if self._guesses.quiet():
            self._begin_guess(now)

    def _begin_guess(self, now: float) -> None:
        """Ask the agent in private about words that are not final."""
        if self.busy or self.muted or self._waiting or self._open_question is not None:
            return
        self._drop_guess(now)
        self._guesses.begin()
        running = self._start(Asked(Turn(self._guesses.text)), now)
        running.held = []
        self._timers.cancel(self._fill)

    def _drop_guess(self, now: float) -> None:
        if self._running is not None and self._running.held is not None:
            self._commands.append(Record(events.Speculated(hit=False)))
            self.stop(now)

    def _adopt(self, running: _Running, turn: Turn, now: float) -> None:
        """The guess was right: send what is waiting."""
        head_start = now - running.since
        first = running.first_piece_at
        saved = head_start if first is None else min(head_start, first - running.since)
        self._commands += [Record(events.Speculated(hit=True, saved_ms=saved * 1000)), ContinueTurn()]
        held, running.held = running.held or [], None
        running.asked.turn = turn
        self.asked += 1
        self._asks(turn.kind)
        self._dialogue.add(running.asked)
        self._speaker.begin(now)
        self._wait_with_filler(running, now)
        for piece in held:
            self._take(running, piece, now)
        if running.over:
            self.agent_finished(running.number, now)


def _awaited(origin: Turn) -> events.AnswerAwaited:
    if origin.sensitive:
        return events.AnswerAwaited("", "resumed")
    return events.AnswerAwaited(origin.text, origin.kind, origin.language)


def _joined(turn: Turn, later: Turn) -> Turn:
    between = glue(turn.text, later.text) if turn.kind == "speech" else "\n" if turn.kind == "note" else ""
    text = f"{turn.text}{between}{later.text}"
    return Turn(text, turn.kind, later.language, sensitive=turn.sensitive or later.sensitive)
