"""The call report: everything that is known of one call, as one JSON document, version 1.

It is made from the journal alone, so the same call gives the same report on any machine, later too; what
became known in between is in the later one. Fields are only ever added within a version: readers should leave
aside what they do not know. Times are seconds since the epoch (UTC), ``…_s`` are seconds and ``…_ms``
milliseconds. Keys that were a secret are never in it, and neither are credentials.
"""

from __future__ import annotations

from typing import Final

import msgspec

VERSION: Final = 1


class _Part(msgspec.Struct):
    pass


class Said(_Part, kw_only=True):
    """One line of the conversation."""

    at: float
    who: str
    """``caller``, ``agent``, or ``person`` for somebody the caller was handed to."""
    text: str
    """What was said; of the agent, what was sent to be spoken."""
    heard: str
    """What the caller heard of it: less than ``text`` where the agent was interrupted."""
    first_token_ms: float | None = None
    total_ms: float | None = None


class Session(_Part, kw_only=True):
    """One ConversationRelay session. A call has several if the line to us broke."""

    session_id: str
    at: float
    status: str = ""
    """Twilio's ``SessionStatus``; empty if it never told."""
    error_code: str = ""
    duration_s: float | None = None


class Tool(_Part, kw_only=True):
    """A tool that the agent's model called. Without an outcome: it is not known whether it finished."""

    at: float
    name: str
    arguments: str
    outcome: str | None = None
    duration_ms: float | None = None


class HandoffStep(_Part, kw_only=True):
    """A step on the way to a person."""

    at: float
    step: str
    target: str
    attempt: int


class HandoffPart(_Part, kw_only=True):
    """How the caller was handed to people, and what came of it."""

    reason: str
    summary: str
    outcome: str
    """Where it ended: ``talking`` or ``over`` once somebody took the call, ``with-agent``, ``recording`` …"""
    accepted: bool
    """Whether somebody took the call."""
    steps: list[HandoffStep]


class Message(_Part, kw_only=True):
    """A message that the caller left."""

    recording_sid: str
    url: str
    duration_s: float | None
    text: str
    file: str | None = None
    """Its name in ``VOICE_APP_RECORDINGS``, once it was fetched."""
    size: int | None = None
    sha256: str | None = None


class Note(_Part, kw_only=True):
    """Something that happened, with a word about it."""

    at: float
    what: str
    detail: str


class Analysis(_Part, kw_only=True):
    """What an operator of Conversation Intelligence said, as far as it is known by now."""

    operator_id: str
    result: str
    trigger: str
    at: str


class Latency(_Part, kw_only=True):
    """Of all replies that have one, in milliseconds."""

    replies: int
    median: float
    worst: float


class Numbers(_Part, kw_only=True):
    """The call in figures."""

    turns: int
    """How often the caller said something or pressed keys."""
    interruptions: int
    resumes: int
    """How often a broken session was taken up again."""
    guesses_right: int
    guesses_wrong: int
    first_token_ms: Latency | None
    total_ms: Latency | None


class CallReport(_Part, kw_only=True, rename={"from_": "from"}):
    """The whole call."""

    type: str = "call.report"
    version: int = VERSION
    call_sid: str
    from_: str
    to: str
    direction: str
    status: str
    opened_at: float
    closed_at: float | None
    duration_s: float | None
    """As Twilio counts it, if it told; else from the first event to the last."""
    conversation_id: str | None
    configuration_id: str | None
    profile_id: str | None
    """Who called, in Twilio's Memory."""
    numbers: Numbers
    sessions: list[Session]
    dialogue: list[Said]
    keys: list[str]
    tools: list[Tool]
    actions: list[Note]
    handoff: HandoffPart | None
    voicemail: list[Message]
    failures: list[Note]
    analysed: list[Analysis]
    follow_ups: list[Note]


def encode(document: CallReport) -> bytes:
    """The report as JSON."""
    return msgspec.json.encode(document)
