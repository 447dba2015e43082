"""What can happen on a call. An event is a fact: it is written once and never changed."""

from __future__ import annotations

from typing import TypeAlias

import msgspec


class _Event(msgspec.Struct, frozen=True, tag_field="kind", omit_defaults=True):
    pass


class Opened(_Event, tag="opened", frozen=True):
    """Twilio asked what to do with a call."""

    from_: str = msgspec.field(default="", name="from")
    to: str = ""
    direction: str = ""


class Served(_Event, tag="served", frozen=True):
    """TwiML went out."""

    template: str
    reason: str
    greeting: str = ""
    """The ``welcomeGreeting`` in it, which Twilio speaks when the session begins."""


class Connected(_Event, tag="connected", frozen=True):
    """A ConversationRelay session began."""

    session_id: str
    language: str = ""


class Conversed(_Event, tag="conversation", frozen=True):
    """The Orchestrator conversation of the call is known."""

    conversation_id: str
    configuration_id: str = ""


class Prompted(_Event, tag="prompt", frozen=True):
    """The caller said something, final."""

    text: str
    language: str = ""


class Pressed(_Event, tag="keys", frozen=True):
    """The caller pressed keys. ``digits`` is empty where they are a secret."""

    digits: str


class Overheard(_Event, tag="overheard", frozen=True):
    """The caller made a sound that asks for no answer, while the agent spoke."""

    text: str


class Speculated(_Event, tag="speculated", frozen=True):
    """The agent began on words that were not final; the final ones told whether the guess was right."""

    hit: bool
    saved_ms: float = 0.0
    """Milliseconds by which the first token came earlier."""


class Replied(_Event, tag="reply", frozen=True):
    """The agent's words so far. Repeated with the same ``reply`` while it grows; the last one counts."""

    reply: int
    """Number of the reply in its session; 0 is the greeting."""
    session_id: str
    text: str
    """What was sent to be spoken."""
    done: bool = False
    first_token_ms: float | None = None
    """Milliseconds from the prompt to the first token on the wire."""
    total_ms: float | None = None
    """Milliseconds from the prompt to the last token on the wire."""


class Heard(_Event, tag="heard", frozen=True):
    """An interruption cut what had been sent: what the caller heard of one reply. Empty: nothing."""

    reply: int
    session_id: str
    text: str
    played_ms: float | None = None
    """Milliseconds of speech until the interruption, as Twilio measured them."""


class Acted(_Event, tag="action", frozen=True):
    """The agent did something other than speaking."""

    action: str
    detail: str = ""


class Failed(_Event, tag="failure", frozen=True):
    """Something went wrong while a caller was on the line."""

    what: str
    detail: str = ""


class Disconnected(_Event, tag="disconnected", frozen=True):
    """A ConversationRelay session is over, as its socket saw it."""

    session_id: str
    code: int = 0


class SessionEnded(_Event, tag="session-ended", frozen=True):
    """A ConversationRelay session is over, as Twilio reported it to the action URL."""

    session_id: str
    status: str
    duration_s: float | None = None
    error_code: str = ""
    error_message: str = ""
    handoff_data: str = ""


class Closed(_Event, tag="closed", frozen=True):
    """The call is over."""

    status: str
    duration_s: float | None = None


Event: TypeAlias = (
    Opened
    | Served
    | Connected
    | Conversed
    | Prompted
    | Pressed
    | Overheard
    | Speculated
    | Replied
    | Heard
    | Acted
    | Failed
    | Disconnected
    | SessionEnded
    | Closed
)


class Unknown(msgspec.Struct, frozen=True):
    """An event that this version cannot read, as a newer version or another hand wrote it."""

    kind: str
    data: str
    """The JSON text, untouched."""
