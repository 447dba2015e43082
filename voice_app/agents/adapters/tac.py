"""A callback written for Twilio Agent Connect (TAC) as an agent, without TAC.

    from voice_app.agents.adapters.tac import from_tac

    async def handle_message(message, context, memory):
        return f"You said {message}."

    agent = from_tac(handle_message)

The callback is called as TAC's ``on_message_ready`` does it (twilio-agent-connect 2.5.0): with the
message, a session, and a memory or `None`. It may be a function, a coroutine function or an async
generator function, and may return text, `None` or an async iterator of text. What TAC's handoff tool
leaves in ``context.pending_handoff_data`` becomes a `Transfer`.

The session lives as long as the call and is kept in ``call.state[SESSION]``; the memory is made of
``call.memory``. Attributes have TAC's names; one is ours:
``context.history``, the conversation as the caller heard it.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import msgspec

from voice_app.agents.messages import asked
from voice_app.agents.prompt import memory_lines
from voice_app.agents.protocol import Agent, Call, Message, Piece, Transfer, Turn

SESSION: Final = "tac.session"
"""Key in `Call.state`: the `TacSession` of the call."""


@dataclass(slots=True)
class Author:
    """TAC's ``AuthorInfo``."""

    address: str
    participant_id: str | None = None


@dataclass(slots=True)
class Profile:
    """TAC's ``ProfileResponse``."""

    id: str
    traits: dict[str, Any]
    created_at: str = ""


@dataclass(slots=True, eq=False)
class TacSession:
    """TAC's ``ConversationSession``."""

    conversation_id: str
    """The CallSid, as in TAC's relay-only mode."""
    call_sid: str | None = None
    profile_id: str | None = None
    channel: str = "VOICE"
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    profile: Profile | None = None
    author_info: Author | None = None
    ai_agent_info: Author | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    pending_handoff_data: Any = None
    cached_memory: Any = None
    history: Sequence[Message] = ()

    def build_profile_prompt(self, trait_groups: list[str] | None = None) -> str | None:
        """The profile as a section of a prompt."""
        traits = self.profile.traits if self.profile is not None else {}
        lines = [
            f"- {name}: {value}"
            for name, value in traits.items()
            if value is not None and (trait_groups is None or name in trait_groups)
        ]
        return (
            "\n".join(["## Customer Profile", "Information about this customer:", *lines]) if lines else None
        )


@dataclass(slots=True)
class Observation:
    """The part of TAC's ``ObservationInfo`` that is known here."""

    content: str
    source: str = "voice-app"
    id: str = ""
    created_at: str = ""


@dataclass(slots=True)
class Memory:
    """TAC's ``TACMemoryResponse``."""

    observations: Sequence[Observation] = ()
    summaries: Sequence[Observation] = ()
    communications: Sequence[Any] = ()
    has_memory_features: bool = True

    def build_memory_prompts(self) -> list[str]:
        """The memory as sections of a prompt."""
        sections = (
            ("## Key Observations", "Important notes about the customer:", self.observations),
            ("## Past Conversation Summaries", "Summaries of previous conversations:", self.summaries),
        )
        return [
            "\n".join([title, about, *(f"- {item.content}" for item in items)])
            for title, about, items in sections
            if items
        ]


Callback: TypeAlias = Callable[[str, TacSession, Memory | None], Any]


def from_tac(callback: Callback) -> Agent:
    """Make an agent of a callback for ``on_message_ready``."""

    async def answer(call: Call, turn: Turn) -> AsyncGenerator[Piece]:
        session = _session(call)
        reply = callback(asked(turn), session, _memory(call))
        if inspect.isawaitable(reply):
            reply = await reply
        async with aclosing(_texts(reply)) as texts:
            async for text in texts:
                yield text
        if session.pending_handoff_data is not None:
            handoff, session.pending_handoff_data = session.pending_handoff_data, None
            yield _transfer(handoff)

    return answer


async def _texts(reply: object) -> AsyncGenerator[str]:
    if isinstance(reply, str):
        if reply:
            yield reply
    elif isinstance(reply, AsyncIterable):
        try:
            async for text in reply:
                yield text
        finally:
            # A barge-in ends this generator; the callback's has to end with it, at once.
            if isinstance(reply, AsyncGenerator):
                await reply.aclose()
    elif reply is not None:
        raise TypeError(
            f"the callback returned {type(reply).__name__}: return text, None or an async iterator of text"
        )


def _session(call: Call) -> TacSession:
    session: TacSession | None = call.state.get(SESSION)
    if session is None:
        session = call.state[SESSION] = TacSession(
            profile_id=call.profile_id,
            conversation_id=call.sid,
            call_sid=call.sid,
            author_info=Author(call.caller),
            ai_agent_info=Author(call.number),
            metadata=dict(call.parameters),
            history=call.history,
        )
    return session


def _memory(call: Call) -> Memory | None:
    observations = [Observation(line) for line in memory_lines(call)]
    return Memory(observations) if observations else None


def _transfer(handoff: Any) -> Transfer:
    """What TAC would send as ``handoffData``: JSON with the attributes of the handoff."""
    data = getattr(handoff, "handoff_data", handoff)
    try:
        payload = msgspec.json.decode(data) if isinstance(data, str | bytes) else data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Transfer("handoff", str(data))
    attributes = payload.get("attributes", payload) if isinstance(payload, dict) else {}
    if not isinstance(attributes, dict):
        attributes = {}
    return Transfer(str(attributes.get("reason") or "handoff"), str(attributes.get("summary") or ""))
