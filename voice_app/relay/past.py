"""What happened on a call before its next session, folded from the journal.

Two things may follow when a session breaks off:

- *A new session* takes the call up (`resume.xml`): the caller hears one short line, and whatever the agent
  had not said is gone.
- *Twilio comes back* to the same session (``applicationReconnect``): what was sent goes on being spoken, and
  what happened meanwhile is told afterwards. Then only what is really lost is made good (see `Lost`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from voice_app.agents.protocol import EndCall, Keys, Message, Transfer, Turn
from voice_app.journal import Entry, as_heard
from voice_app.journal.breaks import IN_ORDER
from voice_app.journal.events import (
    Acted,
    Closed,
    Connected,
    Disconnected,
    HandedOff,
    Heard,
    KeysAwaited,
    Played,
    Pressed,
    Prompted,
    Reconnected,
    Replied,
    Served,
    SessionEnded,
    SocketOpened,
    Typing,
)

MOST_RECONNECTS: Final = 10
"""So often Twilio may come back to one session; then the call is taken up anew, which is bounded as well."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Lost:
    """The session whose socket was lost, for Twilio to come back to."""

    session_id: str
    replies: int
    """The number of its next reply."""
    unplayed: Sequence[tuple[int, str]] = ()
    """The last replies, as far as they may still be playing: number and text. They are not in the history."""
    heard: str = ""
    """What is known to have been played of the first of them."""
    questions: Sequence[Turn] = ()
    """What the caller said last, if nothing was answered: to be asked again. It is not in the history."""
    cut_off: bool = False
    """The agent was in the middle of an answer, or the question was a secret: the rest is gone."""
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, frozen=True, kw_only=True)
class Past:
    """What a session has to know of those before it."""

    history: Sequence[Message] = ()
    """The conversation as heard."""
    greeting: str = ""
    """What the latest document has Twilio speak first; empty once a session has begun with it."""
    age: float = 0.0
    """Seconds since the call began."""
    keys: Keys | None = None
    """How the agent wanted keys to be collected, if it said so."""
    digits: str = ""
    """The keys of an entry that is not complete."""
    action: Transfer | EndCall | None = None
    """What the agent had decided, and what did not come about."""
    tts_language: str | None = None
    """The voice's language, if the agent has switched it."""
    transcription_language: str | None = None
    tickets: frozenset[str] = frozenset()
    """The nonces of the tickets that have opened a socket."""
    lost: Lost | None = None
    """Set while Twilio may come back to the session that was opened last."""


def past_of(entries: Sequence[Entry], *, now: float, filler: str = "", rejoin: bool = False) -> Past:
    """Fold what happened on a call.

    Args:
        entries: all of them, in order.
        now: seconds since the epoch.
        filler: what is said while an answer is awaited, and is no answer.
        rejoin: whether Twilio comes back to the session that was opened last (see `session_to_rejoin`).
    """
    fold = _Fold(filler)
    for entry in entries:
        fold.take(entry)
    history = [Message(line.role, line.content) for line in as_heard(entries)]
    return Past(
        lost=fold.lost(history) if rejoin else None,  # takes away from the history
        history=history,
        greeting=fold.greeting,
        age=max(0.0, now - entries[0].at) if entries else 0.0,
        keys=fold.keys,
        digits=fold.digits,
        action=fold.action,
        tts_language=fold.tts_language,
        transcription_language=fold.transcription_language,
        tickets=frozenset(fold.tickets),
    )


def session_to_rejoin(entries: Iterable[Entry], nonce: str) -> str | None:
    """The session that Twilio may come back to with this ticket: the latest one, if it is not over.

    Empty if its socket was lost before the setup; `None` if there is no such session.
    """
    fold = _Fold("")
    for entry in entries:
        fold.take(entry)
    if fold.tickets and fold.tickets[-1] == nonce and fold.may_rejoin:
        return fold.session_id
    return None


class _Fold:
    """What is known after each entry."""

    def __init__(self, filler: str) -> None:
        self._filler = filler
        self.greeting = ""
        self.keys: Keys | None = None
        self.digits = ""
        self.action: Transfer | EndCall | None = None
        self.tts_language: str | None = None
        self.transcription_language: str | None = None
        self.tickets: list[str] = []
        self._begin()

    def _begin(self) -> None:
        """A socket is opened for another session."""
        self.session_id = ""
        self._parameters: Mapping[str, str] = {}
        self._over = False
        self._reconnects = 0
        self._replies: dict[int, str] = {}
        self._numbers = 1
        self._played = (-1, 0)
        self._questions: list[Turn] = []
        self._answers_from = 1
        """Replies from this number on answer the question."""
        self._cut_off = False

    @property
    def may_rejoin(self) -> bool:
        """Whether the session that was opened last may go on."""
        return not self._over and self._reconnects < MOST_RECONNECTS

    def take(self, entry: Entry) -> None:
        match entry.event:
            case Served(greeting=greeting):
                self.greeting, self._over = greeting, True
            case SocketOpened(ticket=ticket):
                self.tickets.append(ticket)
                self.action = None
                self._begin()
            case Connected(session_id=session_id, parameters=parameters):
                self.session_id, self._parameters, self.greeting = session_id, parameters, ""
            case Reconnected():
                self._reconnects += 1
            case Disconnected(code=code):
                self._over |= code == IN_ORDER
            case SessionEnded() | Closed():
                self._over = True
            case KeysAwaited() as event:
                self.keys = Keys(event.length, event.terminator, event.seconds, event.sensitive)
            case Typing(digits=digits):
                self.digits = digits
            case Pressed(digits=digits):
                self.digits = ""
                self._ask(Turn(digits, "keys") if digits else None)
            case Prompted(text=text, language=language):
                self._ask(Turn(text, language=language))
            case Replied() as event:
                self._reply(event)
            case Played(reply=reply, characters=characters):
                self._played = (reply, characters)
            case Heard(reply=reply):
                self._replies.pop(reply, None)
            case Acted() as event:
                self._act(event)
            case HandedOff():
                self.action = None
            case _:
                pass

    def lost(self, history: list[Message]) -> Lost | None:
        """The session to come back to; takes out of the history what is not settled yet."""
        if not self.session_id:
            return None
        unplayed = self._unplayed(history)
        questions = self._questions if _take_questions(history, self._questions, self._filler) else []
        return Lost(
            session_id=self.session_id,
            replies=self._numbers,
            unplayed=unplayed,
            heard=self._heard(unplayed),
            questions=questions,
            cut_off=self._cut_off,
            parameters=self._parameters,
        )

    def _unplayed(self, history: list[Message]) -> list[tuple[int, str]]:
        reply, characters = self._played
        unplayed: list[tuple[int, str]] = []
        for number in sorted(self._replies, reverse=True):
            text = self._replies[number]
            over = number < reply or (number == reply and characters >= len(text))
            if over or not history or history[-1] != Message("assistant", text):
                break
            history.pop()
            unplayed.insert(0, (number, text))
        return unplayed

    def _heard(self, unplayed: Sequence[tuple[int, str]]) -> str:
        reply, characters = self._played
        return unplayed[0][1][:characters] if unplayed and unplayed[0][0] == reply else ""

    def _ask(self, turn: Turn | None) -> None:
        if isinstance(self.action, EndCall):
            self.action = None  # the caller cut into the goodbye, and stays
        self._cut_off = turn is None
        if turn is not None:
            if not self._questions:
                self._answers_from = self._numbers
            self._questions.append(turn)

    def _reply(self, event: Replied) -> None:
        self._numbers = max(self._numbers, event.reply + 1)
        self._replies[event.reply] = event.text
        if event.reply >= self._answers_from and event.text != self._filler:
            self._questions.clear()
            self._cut_off = event.more or not event.done

    def _act(self, event: Acted) -> None:
        match event.action:
            case "transfer":
                self.action = Transfer(event.detail, event.summary)
            case "end-call":
                self.action = EndCall(event.detail)
            case "switch-language":
                spoken, _, heard = event.detail.partition(" ")
                self.tts_language = spoken or self.tts_language
                self.transcription_language = heard or self.transcription_language
            case _:
                pass


def _take_questions(history: list[Message], questions: Sequence[Turn], filler: str) -> bool:
    """Take open questions out of the history. Returns whether they are at its end."""
    end = len(history)
    while end and history[end - 1] == Message("assistant", filler):
        end -= 1
    begin = end - len(questions)
    if not questions or begin < 0 or any(message.role != "user" for message in history[begin:end]):
        return False
    del history[begin:end]
    return True
