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
    engine: str = ""
    """The speech-to-text that listens once it was run: ``relay``, ``transcription`` or none."""


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


class HandedOff(_Event, tag="handoff", frozen=True):
    """A step on the way to a person and back; see ``voice_app/handoff/machine.py``."""

    step: str
    reason: str = ""
    summary: str = ""
    target: str = ""
    attempt: int = 0


class Transcribed(_Event, tag="transcript", frozen=True):
    """Something that was said after the agent had left, as ``<Transcription>`` heard it."""

    transcription_sid: str
    sequence: int
    """Grows along one track; entries may arrive out of order, and twice."""
    speaker: str
    """``caller`` or ``person``."""
    text: str
    final: bool = True


class Transcription(_Event, tag="transcription", frozen=True):
    """A ``<Transcription>`` began, stopped, or failed."""

    transcription_sid: str
    state: str
    engine: str = ""
    detail: str = ""


class Voicemail(_Event, tag="voicemail", frozen=True):
    """The caller left a message. Told in parts: the recording, and later what was said in it."""

    recording_sid: str
    url: str = ""
    duration_s: float | None = None
    text: str = ""


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


class Notified(_Event, tag="notified", frozen=True):
    """Conversation Orchestrator told that something has changed, of whatever type."""

    event_type: str
    """E.g. ``PARTICIPANT_ADDED``; types that nobody has documented are kept too."""
    resource_id: str = ""
    at: str = ""
    """When it happened, as Twilio wrote it. Events come in any order."""
    detail: str = ""
    """What is worth knowing of the resource, but no words of people; of an unknown type its JSON, cut."""


class Analysed(_Event, tag="analysed", frozen=True):
    """An operator of Conversation Intelligence has said something about the conversation."""

    operator_id: str
    result: str
    """The text, the label, or JSON. It was made from what people said."""
    result_id: str = ""
    trigger: str = ""
    """``COMMUNICATION``, ``CONVERSATION_INACTIVE`` or ``CONVERSATION_END``."""
    at: str = ""
    """When it was made, as Twilio wrote it."""


class Called(_Event, tag="call", frozen=True):
    """Written under the id of a conversation: the call that it is about. The last one counts."""

    call_sid: str


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
    | HandedOff
    | Transcribed
    | Transcription
    | Voicemail
    | Failed
    | Disconnected
    | SessionEnded
    | Closed
    | Notified
    | Analysed
    | Called
)


class Unknown(msgspec.Struct, frozen=True):
    """An event that this version cannot read, as a newer version or another hand wrote it."""

    kind: str
    data: str
    """The JSON text, untouched."""
