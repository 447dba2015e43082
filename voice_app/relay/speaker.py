"""The agent's voice on the call: words on their way out, and what became of them.

Every word goes through here, so that what is written, what is queued at Twilio, what is remembered and
what is journaled cannot drift apart.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import msgspec

from voice_app.agents.text import cleaned
from voice_app.calls import ReconnectState
from voice_app.calls.scripts import seconds_to_speak
from voice_app.journal import events
from voice_app.relay import frames
from voice_app.relay.conversation_log import Dialogue
from voice_app.relay.outbox import Outbox
from voice_app.relay.playback import Playback, Speech
from voice_app.relay.turn_clock import TurnClock

SECONDS_BETWEEN_RECORDS = 0.4
"""A growing reply, and how far it was played, is written to the journal at most this often."""
SECONDS_AHEAD = 1.5
"""So much speech at Twilio is enough that nobody hears the next words come a moment later."""


class Speaker:
    """Speaks in stretches: what goes out between two ``last``. ``record`` takes what the journal is told."""

    def __init__(self, dialogue: Dialogue, record: Callable[[events.Event], None], clock: TurnClock) -> None:
        self.session_id = ""
        self.playback = Playback()
        self.outbox = Outbox()
        self._dialogue = dialogue
        self._record = record
        self._clock = clock
        self._speech: Speech | None = None
        self._told: events.Replied | None = None
        """What the journal was told last."""
        self._told_characters = 0
        """So many of the open stretch it has been told."""
        self._numbers = 1  # 0 is the greeting
        self._asides: list[str] = []
        self._since = 0.0
        self._recorded = 0.0
        self._progress_recorded = 0.0
        self._first_token_ms: float | None = None

    @property
    def talking(self) -> bool:
        """A stretch of the agent's is open."""
        return self._speech is not None

    def may_gather(self, now: float) -> bool:
        """Whether the words that wait to be written may wait for more of them: nobody would hear it."""
        words, playback = self.outbox.patient_words, self.playback
        if not words or playback.ran_dry:
            return False
        return playback.is_ahead(SECONDS_AHEAD + seconds_to_speak(words), sys.maxsize, now)

    def may_wait(self, now: float) -> bool:
        """The same of words that are still to be said."""
        playback = self.playback
        if playback.ran_dry or not self.outbox.is_patient:
            return False
        return playback.is_ahead(SECONDS_AHEAD, sys.maxsize, now)

    def greet(self, text: str, now: float) -> None:
        """Twilio speaks the greeting by itself; it is remembered like everything that is said."""
        greeting = Speech(0, self.session_id, [text], closed=True)
        self._dialogue.add(greeting)
        self.playback.add(greeting)
        self.playback.sent(text, now)
        self._record_reply(events.Replied(0, self.session_id, text, done=True))

    def rejoin(self, lost: ReconnectState, now: float) -> None:
        """Go on with a session whose socket was lost: what it had sent may still be played."""
        self.session_id = lost.session_id
        self._numbers = lost.replies
        for number, text in lost.unplayed:
            speech = Speech(number, self.session_id, [text], closed=True)
            self._dialogue.add(speech)
            self.playback.add(speech)
            self.playback.sent(text, now)
        if lost.heard:
            self.playback.tokens_played(lost.heard, now)
        if lost.cut_off or lost.unplayed:
            self.outbox.close()  # the last of the stretch that was open may not have arrived

    def begin(self, since: float) -> None:
        """The next words answer something that was said at ``since``; delays are told from then."""
        self._since = self._recorded = since
        self._first_token_ms = None
        self._clock.begin(since)

    def say(self, text: str, now: float) -> bool:
        """Send words of the agent's. Returns whether there was anything to say."""
        speech = self._speech
        if speech is None:
            if not text.strip():
                return False
            speech = self._speech = self._new()
        if self._first_token_ms is None:
            self._first_token_ms = (now - self._since) * 1000
            self._clock.first_token(now)
        speech.parts.append(text)
        self.playback.sent(text, now)
        self.outbox.say(text)
        if now - self._recorded >= SECONDS_BETWEEN_RECORDS:
            self._tell(speech, now, done=False)
        return True

    def finish(self, now: float, *, more: bool = False, ends_turn: bool = False) -> None:
        """Close the open stretch with its one ``last``, and say what waited for it.

        ``more``: the agent goes on after something that takes time. ``ends_turn``: it has no more to say.
        """
        if self._speech is not None:
            self._close(now, more=more, ends_turn=ends_turn)
        elif ends_turn and self._told is not None:  # the last stretch was closed when nobody knew it yet
            self._record_reply(msgspec.structs.replace(self._told, more=False, ends_turn=True))
        asides, self._asides = self._asides, []
        for text in asides:
            self.line(text, now)

    def line(self, text: str, now: float) -> None:
        """Say something of our own as a stretch of its own; while the agent is talking, after it."""
        if not (text := cleaned(text)):
            return
        if self.talking:
            self._asides.append(text)
            return
        speech = self._new()
        speech.parts.append(text)
        speech.closed = True
        self.playback.sent(text, now)
        self.outbox.say(text)
        self.outbox.close()
        self._record_reply(events.Replied(speech.number, speech.session_id, text, done=True))

    def state(self, text: str, now: float, *, interruptible: bool = False) -> bool:
        """Say a stretch of its own at once, as a rule one that may not be interrupted.

        Returns whether there was anything to say.
        """
        if not (text := cleaned(text)):
            return False
        self._close(now)
        speech = self._new()
        speech.parts.append(text)
        speech.closed, speech.interruptible = True, interruptible
        if self._first_token_ms is None:
            self._first_token_ms = (now - self._since) * 1000
            self._clock.first_token(now)
        self.playback.sent(text, now)
        last_word = frames.TextMessage(text, last=True)
        if not interruptible:
            last_word.interruptible = False
        self.outbox.push(last_word)
        self._tell(speech, now, done=True)
        return True

    def push(self, frame: frames.Outgoing, now: float) -> None:
        """Send something other than words, after those that were said."""
        self._close(now)
        self.outbox.push(frame)

    def interrupted(self, utterance: str, played_ms: float | None, now: float) -> str:
        """The caller has cut in: nothing more is heard of what was said. Returns what was not heard of it.

        What may not be interrupted, and was thrown away with the words before it, is said again.
        """
        self.abandon(now)
        unheard: list[str] = []
        again: list[str] = []
        for speech in self.playback.interrupted(utterance):
            self._record(events.Heard(speech.number, speech.session_id, speech.text, played_ms))
            rest = speech.sent[len(speech.text) :].strip()
            if speech.interruptible:
                unheard.append(rest)
            elif rest:
                again.append(speech.sent)
        self.outbox.interrupt()
        self._asides.clear()
        for text in again:
            self.state(text, now)
        return " ".join(filter(None, unheard))

    def abandon(self, now: float, *, done: bool = True, more: bool = False, ends_turn: bool = False) -> None:
        """The agent was stopped in the middle of a stretch, by an interruption or the end of the socket."""
        if self._speech is not None:
            self._speech.closed = True
            self._tell(self._speech, now, done=done, more=more, ends_turn=ends_turn)
            self._speech = None

    def disconnected(self, now: float, *, tell: bool) -> None:
        """The socket is gone. ``tell`` what was heard of what was not played to its end."""
        self.abandon(now, done=False)
        self.outbox.clear()
        if tell:
            for speech in self.playback.lost(now):
                self._record(events.Heard(speech.number, speech.session_id, speech.text))

    # --- what was heard --------------------------------------------------------------------------

    def agent_speaking(self, on: bool, now: float) -> None:
        """Twilio began to speak, or fell silent."""
        self._tell_played(self.playback.agent_speaking(on, now))

    def tokens_played(self, text: str, now: float) -> None:
        """These words came out of the phone."""
        self._tell_played(self.playback.tokens_played(text, now))
        if now - self._progress_recorded >= SECONDS_BETWEEN_RECORDS and (known := self.playback.progress()):
            self._progress_recorded = now
            speech, characters = known
            self._played(speech, characters)

    def _tell_played(self, speech: Speech | None) -> None:
        if speech is not None:
            self._played(speech, len(speech.sent))

    def _played(self, speech: Speech, characters: int) -> None:
        sound_ms = self._clock.take_sound()
        self._record(events.Played(speech.number, speech.session_id, characters, sound_ms))

    # --- inside ----------------------------------------------------------------------------------

    def _close(self, now: float, *, more: bool = False, ends_turn: bool = False) -> None:
        if self._speech is not None:
            self.outbox.close()
            self.abandon(now, more=more, ends_turn=ends_turn)

    def _new(self) -> Speech:
        speech = Speech(self._numbers, self.session_id)
        self._numbers += 1
        self._told_characters = 0
        self._dialogue.add(speech)
        self.playback.add(speech)
        return speech

    def _tell(
        self, speech: Speech, now: float, *, done: bool, more: bool = False, ends_turn: bool = False
    ) -> None:
        self._recorded = now
        total = (now - self._since) * 1000 if done else None
        text, begin = speech.sent, 0 if done else self._told_characters
        self._told_characters = len(text)
        self._record_reply(
            events.Replied(
                speech.number,
                speech.session_id,
                text[begin:],
                done,
                self._first_token_ms,
                total,
                more,
                speech.interruptible,
                ends_turn,
                begin,
            )
        )

    def _record_reply(self, event: events.Replied) -> None:
        self._told = event
        self._record(event)
