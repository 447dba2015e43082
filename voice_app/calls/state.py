"""What is known of one call: the one fold of its events.

Whoever has to know something about a call reads its events once and folds them once, and adds what it writes
itself as it writes it:

    state = CallState.of(await journal.events(call_sid))
    state.take(journal.write(call_sid, HandedOff("requested")))
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar, cast

import msgspec

from voice_app.calls.engine import CallEngine
from voice_app.calls.handoff import Handoff, HandoffStep
from voice_app.calls.party import Parties
from voice_app.calls.resuming import LatestSession, ResumeState
from voice_app.calls.sessions import Sessions
from voice_app.calls.transcript import CallTranscript
from voice_app.journal.entries import CallRecord, Entry, milliseconds_of
from voice_app.journal.events import (
    Acted,
    AgentAssigned,
    Alerted,
    Analysed,
    AnswerAwaited,
    AnswerDecided,
    CallbackWanted,
    Called,
    CalledBack,
    Closed,
    Concluded,
    Connected,
    Conversed,
    Costed,
    Event,
    Failed,
    FollowedUp,
    HandedOff,
    KeysAwaited,
    ModelUsed,
    Noted,
    Opened,
    Pressed,
    Priced,
    Prompted,
    Recognised,
    Reconfigured,
    Reconnected,
    Remembered,
    Replied,
    Served,
    SocketOpened,
    Speculated,
    Stored,
    Supervised,
    ToolCalled,
    ToolReturned,
    Transcription,
    Typing,
    VariantChosen,
    Voicemail,
)

INVITED: Final = "invited"
"""`Acted`: we placed a call to the person who is to take this one; the detail is its CallSid."""

_E = TypeVar("_E", bound=Event)

_KEPT: Final[frozenset[type]] = frozenset(
    {
        *(Acted, AgentAssigned, Alerted, Analysed, CallbackWanted, Called, CalledBack, Closed, Conversed),
        *(Concluded, Costed, Failed, FollowedUp, Priced, Reconfigured),
        *(HandedOff, Noted, Pressed, Recognised, Remembered, Served, SocketOpened, Speculated, Stored),
        *(Supervised, Transcription, Voicemail),
    }
)
"""The kinds that `CallState.events` gives back one by one: what a call has few of."""

_OWN: Final[frozenset[type]] = frozenset(
    {
        *(Opened, Served, SocketOpened, Connected, Reconnected, Prompted, Pressed, Typing, KeysAwaited),
        *(Acted, HandedOff, ToolCalled, ToolReturned, AnswerDecided),
        *(AnswerAwaited, Replied, Failed, Supervised, VariantChosen, ModelUsed, Closed),
    }
)
"""The kinds that change what `CallState` itself holds. A call has thousands of events of other kinds."""


@dataclass(slots=True)
class ToolUse:
    """A tool that the agent's model called."""

    called: ToolCalled
    at: float
    """When it was called, in seconds since the epoch."""
    prompt: str
    """What the caller had said last."""
    lines: int
    """How many lines the caller and the agent had said by then."""
    returned: ToolReturned | None = None


@dataclass(slots=True)
class TokenCount:
    """What a model took on a call, in tokens."""

    sent: int = 0
    received: int = 0
    cached: int = 0
    """Of those that were sent."""
    estimated: bool = False
    """Whether some of it was guessed."""

    def add(self, event: ModelUsed) -> None:
        self.sent += event.sent
        self.received += event.received
        self.cached += event.cached
        self.estimated |= event.estimated


class CallState:
    """Everything that is known of a call after the events that it was given, in the order of writing."""

    def __init__(self) -> None:
        self.unread = False
        """The journal could not be read: what is not known here may have happened all the same."""
        self.began_at: float | None = None
        """When the first event was written, in seconds since the epoch; `None` without any."""
        self.last_at = 0.0
        """When the latest one was."""
        self.ended_at: float | None = None
        """When it was first told that the call is over."""
        self.first_id = ""
        """The id of the first entry."""
        self.last_id = ""
        """The id of the entry that was taken last."""
        self.answer: AnswerDecided | None = None
        """How the agent's author wants this call to be answered."""
        self.agent = ""
        """Which of ``VOICE_APP_AGENTS`` has the call; empty: that of the number."""
        self.variant = ""
        """Which of ``VOICE_APP_VARIANTS`` the call was given to; empty: to none."""
        self.becoming = False
        """Whether that agent is still to get a session of its own, or may have gone on in the one before."""
        self.webhook: Mapping[str, str] = {}
        """What Twilio told of the call as it was opened, beside its parties."""
        self.opened = False
        """Whether it is known that Twilio asked what to do with the call, and so who calls whom."""
        self.parties = Parties()
        self.engine = CallEngine()
        self.handoff = Handoff()
        self.chosen_target = ""
        """Who is to be rung first, as somebody of ours wants it for this handoff."""
        self._next_target = ""
        self.handoff_requested_at: float | None = None
        """When a person was asked for last, in seconds since the epoch."""
        self.greeting = ""
        """What the latest document has Twilio speak first; empty once a session has begun with it."""
        self.keys: KeysAwaited | None = None
        """How the agent wanted keys to be collected, if it said so."""
        self.digits = ""
        """The keys of an entry that is not complete."""
        self.tts_language: str | None = None
        """The voice's language, if the agent has switched it."""
        self.transcription_language: str | None = None
        self.decided: Acted | None = None
        """The transfer or the end that the agent has decided on, and that has not come about."""
        self.awaited: AnswerAwaited | None = None
        """What the agent's turn began with, while it waits for an answer in the middle of it."""
        self.muted = False
        """Whether the agent is not asked, because somebody of ours wants it so."""
        self.sockets = 0
        """How many sockets sessions of this call have had, on all machines."""
        self.tools: dict[tuple[int, str], ToolUse] = {}
        """By round and id, in the order of calling."""
        self.tokens: defaultdict[str, TokenCount] = defaultdict(TokenCount)
        """What models took, by their names."""
        self.sessions = Sessions()
        self.transcript = CallTranscript(self.sessions)
        self._latest = LatestSession()
        self._prompt = ""
        self._entries: defaultdict[type, list[Entry]] = defaultdict(list)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Self:
        """Fold all that happened on a call, in the order of writing."""
        state = cls()
        for entry in entries:
            state.take(entry)
        return state

    @classmethod
    def between(cls, parties: Parties) -> Self:
        """What is known of a call of which nothing is but who calls whom."""
        state = cls()
        state.parties = parties
        return state

    # --- what was told of one kind of event ------------------------------------------------------

    def events(self, kind: type[_E]) -> list[_E]:
        """The events of one kind, in the order of writing. Not every kind is kept: see ``_KEPT``."""
        return [event for _, event in self.timed(kind)]

    def timed(self, kind: type[_E]) -> list[tuple[float, _E]]:
        """The same, each with the time of its writing in seconds since the epoch."""
        if kind not in _KEPT:
            raise ValueError(f"the fold of a call does not keep {kind.__name__} events one by one")
        return [(entry.at, cast(_E, entry.event)) for entry in self._entries.get(kind, ())]

    def last(self, kind: type[_E]) -> _E | None:
        """The latest event of a kind."""
        found = self.events(kind)
        return found[-1] if found else None

    # --- what follows from them ------------------------------------------------------------------

    @property
    def served(self) -> bool:
        """Whether a document of ours went out."""
        return bool(self._entries.get(Served))

    @property
    def connected(self) -> bool:
        """Whether the caller has been connected with the agent."""
        return any(session.connected for session in self.sessions)

    @property
    def is_over(self) -> bool:
        """Whether the call is known to be over."""
        return bool(self._entries.get(Closed))

    @property
    def with_agent(self) -> bool:
        """Whether a session of the agent's goes on, as far as is known."""
        return self.sessions.goes_on

    @property
    def conversation_id(self) -> str | None:
        """The Orchestrator conversation of the call, ``conv_conversation_…``."""
        conversed = self.last(Conversed)
        return None if conversed is None else conversed.conversation_id

    @property
    def joined(self) -> str | None:
        """The conversation that the first document to name one joined: it was there before the call."""
        named = (event for event in self.events(Served) if event.configuration or event.conversation)
        first = next(named, None)
        return None if first is None or first.configuration else first.conversation

    @property
    def configuration_id(self) -> str | None:
        """The configuration that our documents named; else, that of the conversation."""
        if named := [event.configuration for event in self.events(Served) if event.configuration]:
            return named[-1]
        conversed = self.last(Conversed)
        return None if conversed is None else conversed.configuration_id or None

    @property
    def profile_id(self) -> str | None:
        """Who calls, in Twilio's Memory."""
        recognised = self.last(Recognised)
        return None if recognised is None else recognised.profile_id

    @property
    def stated(self) -> tuple[str, ...]:
        """What may not be interrupted and was heard to its end."""
        return tuple(line.text for line in self.transcript.statements() if line.heard_whole)

    @property
    def tickets(self) -> frozenset[str]:
        """The nonces of the session tokens that have opened a socket."""
        return frozenset(event.ticket for event in self.events(SocketOpened))

    @property
    def webhook_failures(self) -> int:
        """How often Twilio had no use for an answer of ours, and asked the fallback URL."""
        return sum(event.what == "webhook" for event in self.events(Failed))

    @property
    def awaited_transcripts(self) -> frozenset[str]:
        """The recordings of messages that Twilio was asked to write down, and has told nothing of."""
        if not any(served.transcript for served in self.events(Served)):
            return frozenset()
        messages = self.events(Voicemail)
        told = {message.recording_sid for message in messages if message.text or message.transcription}
        return frozenset(message.recording_sid for message in messages) - told

    @property
    def invited(self) -> str | None:
        """The CallSid of the call that we placed to a person last."""
        invited = [event.detail for event in self.events(Acted) if event.action == INVITED]
        return invited[-1] if invited else None

    def reports(self, session_id: str) -> int:
        """How often Twilio has reported the end of this session."""
        session = self.sessions.get(session_id)
        return 0 if session is None else session.reports

    def awaits_session(self, ticket: str) -> bool:
        """Whether the latest socket was opened with this ticket, and no session is known to have begun on it,
        nor that Twilio has gone on without one.
        """
        opened = self.last(SocketOpened)
        return opened is not None and opened.ticket == ticket and self._latest.is_awaited

    def session_to_rejoin(self, ticket: str) -> str | None:
        """The session that Twilio may come back to with this ticket: the latest one, if it is not over.

        Empty if its socket was lost before the setup; `None` if there is no such session.
        """
        opened = self.last(SocketOpened)
        if opened is None or opened.ticket != ticket or not self._latest.may_reconnect:
            return None
        return self._latest.id

    def resume_state(self, now: float, *, filler: str = "", reconnect: bool = False) -> ResumeState:
        """What the next session has to know.

        Args:
            now: seconds since the epoch.
            filler: what is said while an answer is awaited, and is no answer.
            reconnect: whether Twilio comes back to the session that was opened last (`session_to_rejoin`).
        """
        history = self.transcript.as_heard()
        return ResumeState(
            # Takes away from the history, so it comes first.
            reconnect=self._latest.reconnect_state(history, filler) if reconnect else None,
            history=history,
            greeting=self.greeting,
            age=self._age(now),
            keys=self.keys,
            digits=self.digits,
            awaited=self.awaited,
            decided=self.decided,
            tts_language=self.tts_language,
            transcription_language=self.transcription_language,
            stated=self.stated,
            muted=self.muted,
        )

    def _age(self, now: float) -> float:
        """How long ago the call began, in seconds.

        The clocks of two servers tell, one of which may have been an hour wrong: nobody's call ends for that.
        Ids go on where a clock goes back, and a clock comes back where ids have gone ahead.
        """
        if self.began_at is None:
            return 0.0
        written = milliseconds_of(self.last_id) - milliseconds_of(self.first_id)
        return max(0.0, min(now - self.began_at, written / 1000 + now - self.last_at))

    def assume_rung(self, attempt: int) -> None:
        """Twilio asks about an attempt to reach somebody: if it cannot be known here, it was made elsewhere.

        What the two say is then written down, as far as we know: it is stopped before the agent listens.
        """
        if self.unread and attempt:
            self.engine.now = "transcription"
            if self.handoff.attempt < attempt:
                self.handoff = self.handoff.ringing(attempt)

    def assume_with_agent(self, session_id: str) -> None:
        """Twilio tells for the first time that a session of the agent's is over: whoever was rung before, as
        far as is known here, has not taken the call.
        """
        if self.unread and self.reports(session_id) <= 1:
            self.engine.now = "relay"
            self.handoff = self.handoff.given_back()

    # --- the fold --------------------------------------------------------------------------------

    def take(self, entry: Entry) -> None:
        """Add what happened next on the call."""
        if self.began_at is None:
            self.began_at, self.first_id = entry.at, entry.id
        self.last_id, self.last_at = entry.id, entry.at
        kind = type(entry.event)
        if kind in _KEPT:
            self._entries[kind].append(entry)
        if kind in Sessions.KINDS:
            self.sessions.take(entry)
        if kind in CallTranscript.KINDS:
            self.transcript.take(entry)
        if kind in CallEngine.KINDS:
            self.engine.take(entry)
        if kind in LatestSession.KINDS:
            self._latest.take(entry)
        if kind in _OWN:
            self._take_own(entry)

    def _take_own(self, entry: Entry) -> None:
        match entry.event:
            case Opened() as event if not self.opened:
                self.opened, self.parties = True, Parties.of(event)
                self.webhook = event.webhook
            case AnswerDecided() as event:
                self.answer, self.agent = event, event.agent
            case VariantChosen() as event:
                self.variant, self.agent = event.variant, event.agent
            case Served() as event if not self.engine.comes_too_late(event):
                self.greeting = event.greeting
            case SocketOpened():
                # Whatever is known of who was rung before.
                self.handoff = self.handoff.given_back()
                self.sockets += 1
                self.decided = None
                self.becoming = False
            case Connected():
                self.greeting = ""
            case Reconnected():
                self.sockets += 1
            case Prompted(text=text):
                self._prompt = text
                self._stay()
            case Pressed():
                self.digits = ""
                self._stay()
            case Typing(digits=digits):
                self.digits = digits
            case KeysAwaited() as event:
                self.keys = event
            case AnswerAwaited() as event:
                self.awaited = event
            case Replied(ends_turn=True) | Failed(what="agent"):
                self.awaited = None
            case Acted() as event:
                self._act(event)
            case HandedOff() as event:
                self._hand_off(event, entry.at)
            case Supervised(act="mute" | "unmute" as act):
                self.muted = act == "mute"
            case Supervised(act="handoff", target=target):
                self._next_target = target
            case ToolCalled() as event:
                use = ToolUse(event, entry.at, self._prompt, self.transcript.with_the_agent)
                self.tools[event.round, event.id] = use
            case ToolReturned() as event if (use_ := self.tools.get((event.round, event.id))) is not None:
                use_.returned = event
            case ModelUsed() as event:
                self.tokens[event.model].add(event)
            case Closed() if self.ended_at is None:
                self.ended_at = entry.at
            case _:
                pass

    def _stay(self) -> None:
        """A caller who cuts into the goodbye stays."""
        if self.decided is not None and self.decided.action == "end-call":
            self.decided = None

    def _act(self, event: Acted) -> None:
        match event.action:
            case "transfer" | "end-call":
                self.decided, self.awaited = event, None
            case "become":
                self.awaited = None
                self.agent, self.becoming = event.detail, True
                self.tts_language = self.transcription_language = None
            case "switch-language":
                spoken, _, heard = event.detail.partition(" ")
                self.tts_language = spoken or self.tts_language
                self.transcription_language = heard or self.transcription_language
            case _:
                pass

    def _hand_off(self, event: HandedOff, at: float) -> None:
        self.decided = None
        self.handoff = self.handoff.after(event)
        if event.step == HandoffStep.REQUESTED:
            self.handoff_requested_at = at
            self.chosen_target, self._next_target = self._next_target, ""


def call_document(call: CallRecord, entries: Sequence[Entry]) -> dict[str, Any]:
    """All that is known of a call, for JSON.

    ``dialogue`` is who said what, with what of it was heard; ``history`` is the same as a model is told it.
    """
    said = CallState.of(entries).transcript
    told: dict[str, Any] = msgspec.to_builtins(
        {"call": call, "history": said.as_heard(), "dialogue": said.lines(), "events": entries}
    )
    return told
