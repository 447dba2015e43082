"""What a session has to know of those before it.

Two things may follow when a session breaks off:

- *A new session* resumes the call (`resume.xml`): the caller hears one short line, and whatever the agent had
  not said is gone.
- *Twilio comes back* to the same session (``applicationReconnect``): what was sent goes on being spoken, and
  what happened meanwhile is told afterwards. Then only what is really lost is made good (`ReconnectState`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from voice_app.calls.sessions import CLOSED_IN_ORDER
from voice_app.calls.transcript import HistoryLine
from voice_app.journal.entries import Entry
from voice_app.journal.events import (
    Acted,
    AnswerAwaited,
    Closed,
    Connected,
    Disconnected,
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
)

MAX_RECONNECTS: Final = 10
"""How often Twilio may come back to one session; after that a new one resumes the call, as often as set."""

Question: TypeAlias = Prompted | Pressed
"""What the caller said, or the keys that were pressed."""


@dataclass(slots=True, frozen=True, kw_only=True)
class ReconnectState:
    """The session whose socket was lost, for Twilio to come back to."""

    session_id: str
    replies: int
    """The number of its next reply."""
    unplayed: Sequence[tuple[int, str]] = ()
    """The last replies, as far as they may still be playing: number and text. They are not in the history."""
    heard: str = ""
    """What is known to have been played of the first of them."""
    questions: Sequence[Question] = ()
    """What the caller said last, if nothing was answered: to be asked again. It is not in the history."""
    cut_off: bool = False
    """The agent was in the middle of an answer, or the question was a secret: the rest is gone."""
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, frozen=True, kw_only=True)
class ResumeState:
    """What a session has to know of the call before it."""

    history: Sequence[HistoryLine] = ()
    """The conversation as heard."""
    greeting: str = ""
    """What the latest document has Twilio speak first; empty once a session has begun with it."""
    age: float = 0.0
    """Seconds since the call began."""
    keys: KeysAwaited | None = None
    """How the agent wanted keys to be collected, if it said so."""
    digits: str = ""
    """The keys of an entry that is not complete."""
    awaited: AnswerAwaited | None = None
    """What the agent's turn began with, if it was waiting for an answer in the middle of it."""
    decided: Acted | None = None
    """The transfer or the end that the agent had decided on, and that did not come about."""
    muted: bool = False
    """The agent is not to be asked for now."""
    tts_language: str | None = None
    """The voice's language, if the agent has switched it."""
    transcription_language: str | None = None
    stated: tuple[str, ...] = ()
    """What may not be interrupted and was heard to its end."""
    reconnect: ReconnectState | None = None
    """Set while Twilio may come back to the session that was opened last."""


class LatestSession:
    """The session that was opened last, as Twilio may come back to it."""

    KINDS: Final[frozenset[type]] = frozenset(
        {
            *(Served, SocketOpened, Connected, Reconnected, Prompted, Pressed),
            *(Replied, Played, Heard, Disconnected, SessionEnded, Closed),
        }
    )
    """The kinds of events that change anything here."""

    def __init__(self) -> None:
        self._former: set[str] = set()
        """The sessions before it: what is told of them later changes nothing here."""
        self._begin()

    def _begin(self) -> None:
        self.id = ""
        self._parameters: Mapping[str, str] = {}
        self._over = False
        self._reconnects = 0
        self._texts: dict[int, str] = {}
        """The replies that were not cut, by their numbers."""
        self._next_reply = 1
        self._played = (-1, 0)
        self._exchange: list[Question | Replied] = []

    @property
    def is_awaited(self) -> bool:
        """Whether no session has begun on the latest socket, and Twilio has not gone on without one."""
        return not self.id and not self._over

    @property
    def may_reconnect(self) -> bool:
        return not self._over and self._reconnects < MAX_RECONNECTS

    def take(self, entry: Entry) -> None:
        """Add what happened next on the call."""
        match entry.event:
            case (
                Replied() | Played() | Heard() | Reconnected() | Disconnected() | SessionEnded()
            ) as event if event.session_id not in self._former:
                self._take_own(event)
            case Prompted() | Pressed() as event:
                self._exchange.append(event)
            case Served() | Closed():
                self._over = True
            case SocketOpened():
                self._former.add(self.id)
                self._begin()
            case Connected() as event:
                self.id, self._parameters = event.session_id, event.parameters
            case _:
                pass

    def _take_own(self, event: Reconnected | Disconnected | SessionEnded | Replied | Played | Heard) -> None:
        match event:
            case Replied(reply=reply) as event:
                self._next_reply = max(self._next_reply, reply + 1)
                self._texts[reply] = event.after(self._texts.get(reply, ""))
                self._exchange.append(event)
            case Played(reply=reply, characters=characters):
                self._played = (reply, characters)
            case Heard(reply=reply):
                self._texts.pop(reply, None)
            case Reconnected():
                self._reconnects += 1
            case Disconnected(code=code):
                self._over |= code == CLOSED_IN_ORDER
            case SessionEnded():
                self._over = True

    def reconnect_state(self, history: list[HistoryLine], filler: str) -> ReconnectState | None:
        """What Twilio comes back to; takes out of the history what is not settled yet."""
        if not self.id:
            return None
        unplayed = self._unplayed(history)
        questions, cut_off = self._open_questions(filler)
        return ReconnectState(
            session_id=self.id,
            replies=self._next_reply,
            unplayed=unplayed,
            heard=self._heard(unplayed),
            questions=questions if _take_questions(history, questions, filler) else [],
            cut_off=cut_off,
            parameters=self._parameters,
        )

    def _unplayed(self, history: list[HistoryLine]) -> list[tuple[int, str]]:
        reply, characters = self._played
        unplayed: list[tuple[int, str]] = []
        for number in sorted(self._texts, reverse=True):
            text = self._texts[number]
            over = number < reply or (number == reply and characters >= len(text))
            if over or not history or history[-1] != HistoryLine("assistant", text):
                break
            history.pop()
            unplayed.insert(0, (number, text))
        return unplayed

    def _heard(self, unplayed: Sequence[tuple[int, str]]) -> str:
        reply, characters = self._played
        return unplayed[0][1][:characters] if unplayed and unplayed[0][0] == reply else ""

    def _open_questions(self, filler: str) -> tuple[list[Question], bool]:
        """What nothing was said to, and whether an answer is incomplete or a secret went unanswered."""
        questions: list[Question] = []
        cut_off = False
        next_reply = answers_from = 1
        for event in self._exchange:
            match event:
                case Replied() as reply:
                    next_reply = max(next_reply, reply.reply + 1)
                    if reply.reply >= answers_from and (reply.begin or reply.text != filler):
                        questions.clear()
                        cut_off = reply.more or not reply.done
                case Pressed(digits="") | Prompted(text=""):
                    cut_off = True
                case question:
                    cut_off = False
                    if not questions:
                        answers_from = next_reply
                    questions.append(question)
        return questions, cut_off


def _take_questions(history: list[HistoryLine], questions: Sequence[Question], filler: str) -> bool:
    """Take open questions out of the history. Returns whether they are at its end."""
    end = len(history)
    while end and history[end - 1] == HistoryLine("assistant", filler):
        end -= 1
    begin = end - len(questions)
    if not questions or begin < 0 or any(line.role != "user" for line in history[begin:end]):
        return False
    del history[begin:end]
    return True
