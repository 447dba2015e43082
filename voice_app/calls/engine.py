"""What listens to a call: never more than one speech-to-text, as far as our answers tell.

A document of ours starts one or stops one. Whether Twilio has heard of it is not known at first: a server may
hang, or die, when it has written down what it answers, and then Twilio asks another one the same question.
What Twilio is seen to do next tells that it had the answer.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, cast

from voice_app.journal.entries import Entry
from voice_app.journal.events import HandedOff, Served, SocketOpened, Transcription

Engine: TypeAlias = Literal["", "relay", "transcription"]
"""The speech-to-text that listens to a call; empty: none."""


class CallEngine:
    """What listens to one call, after the events that it was given in the order of writing."""

    KINDS: Final = frozenset({Served, SocketOpened, HandedOff, Transcription})

    def __init__(self) -> None:
        self.now: Engine = ""
        """What listens now."""
        self.question = ""
        """What Twilio asks, see `ask`."""
        self.transcriptions: set[str] = set()
        """The transcriptions (``GT…``) that have begun and not ended."""
        self._answered: list[str] = [""]
        """The questions that were answered, in order; one without a name where Twilio has gone on since."""
        self._engine_asked: Engine = ""
        """What listened when the latest of them was asked first."""

    def ask(self, question: str) -> None:
        """Twilio asks this. If that is what it was answered last, it has heard nothing of the answer.

        What the answer was to start and to stop is as it was before, and has to be in this one, too.
        """
        self.question = question
        if question and question == self._answered[-1]:
            self.now = self._engine_asked

    def comes_too_late(self, event: Served) -> bool:
        """Whether a server answered that hung, when Twilio had long had its answer from another one."""
        return bool(event.question) and event.question in self._answered[:-1]

    def take(self, entry: Entry) -> None:
        """Add what happened next on the call."""
        match entry.event:
            case Served() as event:
                self._serve(event)
            case SocketOpened():
                self._go_on()
                self.now = "relay"
            case HandedOff():
                self._go_on()
            case Transcription(transcription_sid=sid, state="started"):
                if self.now == "transcription":
                    self._go_on()
                self.transcriptions.add(sid)
            case Transcription(transcription_sid=sid, state="stopped" | "error"):
                if self.now != "transcription":
                    self._go_on()
                self.transcriptions.discard(sid)
            case _:
                pass

    def _serve(self, event: Served) -> None:
        if event.question != self._answered[-1]:
            if self.comes_too_late(event):
                return
            self._engine_asked = self.now
            self._answered.append(event.question)
        self.now = cast(Engine, event.engine)

    def _go_on(self) -> None:
        """Twilio does what it was answered last."""
        if self._answered[-1]:
            self._answered.append("")
