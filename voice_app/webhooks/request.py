"""What Twilio asks, typed: made from a form whose signature is verified, or from a signed JSON body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, Self

import msgspec

from voice_app.calls import Parties
from voice_app.journal.events import Opened

WEBHOOK_FIELDS: Final = frozenset(
    {
        *("StirVerstat", "StirStatus", "CallerName", "ForwardedFrom", "ParentCallSid", "ApiVersion"),
        *("FromCity", "FromState", "FromZip", "FromCountry", "ToCity", "ToState", "ToZip", "ToCountry"),
    }
)
"""What an agent may know of a call's webhook, beside ``SipHeader_…``: no tokens."""
_SIP: Final = "SipHeader_"
MAX_WEBHOOK_VALUE: Final = 500
"""Characters that are kept of one of them."""
ENDED: Final = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
"""The statuses in which a call takes no more instructions."""
MAX_DIGITS: Final = 15
"""Of a number in a form; a longer one is none that Twilio would send."""


class CallRequest(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What Twilio asks about a call. Fields that are missing, and numbers that are malformed, have defaults.

    Source: ``docs/protocol.md`` §3 and §5.
    """

    call_sid: str
    """The leg on which Twilio asks; on a person's leg that is not the caller's call (`about`)."""
    from_: str = msgspec.field(name="From", default="")
    to: str = ""
    direction: str = "inbound"
    call_status: str = ""
    call_duration: float | None = None
    """Seconds."""
    digits: str = ""

    session_id: str = ""
    session_status: str = ""
    session_duration: float | None = None
    """Seconds."""
    error_code: str = ""
    error_message: str = ""
    error_url: str = ""
    handoff_data: str = ""

    dial_call_status: str = ""
    queue_result: str | None = None
    """`None` where no ``<Enqueue>`` has ended."""
    queue_position: int = 0
    recording_sid: str = ""
    recording_url: str = ""
    recording_duration: float | None = None
    """Seconds."""
    transcription_text: str = ""
    transcription_status: str = ""
    """Of a recording: ``completed`` or ``failed``."""

    transcription_sid: str = ""
    transcription_event: str = ""
    transcription_data: str = ""
    transcription_engine: str = ""
    transcription_error: str = ""
    transcription_error_code: str = ""
    sequence_id: int = 0
    track: str = ""
    final: bool = True

    transferred: str = msgspec.field(name="path call", default="")
    """The caller's call that our path names, where Twilio asks on a person's leg."""
    attempt: int = msgspec.field(name="path attempt", default=0)
    """Which attempt to reach a person our path names; they count from 1."""
    webhook: dict[str, str] = msgspec.field(name="webhook", default_factory=dict)
    """What else Twilio tells of the call: `WEBHOOK_FIELDS` and SIP headers."""
    hop: int = msgspec.field(name="query hop", default=0)
    """How often the call was sent on from one server to another."""

    @classmethod
    def of(cls, form: Mapping[str, str], query: Mapping[str, str], path: Mapping[str, str]) -> Self:
        """The request that a form, the query and the parameters of our own path make."""
        fields: dict[str, Any] = {name: form[name] for name in form.keys() & _TEXTS}
        for name in form.keys() & _SHAPED:
            if _fits(name, form[name]):
                fields[name] = form[name]
        kept = form.keys() & WEBHOOK_FIELDS
        if _SIP in "".join(form):
            kept |= {name for name in form if name.startswith(_SIP)}
        fields["webhook"] = {name: form[name][:MAX_WEBHOOK_VALUE] for name in sorted(kept)}
        for place, values in ("query", query), ("path", path):
            for name, value in values.items():
                if _fits(own := f"{place} {name}", value):
                    fields[own] = value
        return msgspec.convert(fields, cls, strict=False)

    @property
    def about(self) -> str:
        """The CallSid of the call that the question is about."""
        return self.transferred or self.call_sid

    @property
    def parties(self) -> Parties:
        return Parties(self.from_, self.to, self.direction)

    @property
    def opened(self) -> Opened:
        """The event that opens the call's journal."""
        return Opened(self.from_, self.to, self.direction, self.webhook)

    @property
    def ended(self) -> bool:
        """Whether the call takes no more instructions."""
        return self.call_status in ENDED


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdecimal() and len(value) <= MAX_DIGITS


def _is_flag(value: str) -> bool:
    return value in ("true", "false")


def _is_text(value: str) -> bool:
    return True


_SHAPES: Final[dict[Any, Callable[[str], bool]]] = {
    int: _is_number,
    float | None: _is_number,
    bool: _is_flag,
    str: _is_text,
    str | None: _is_text,
}
_TYPES: Final = {field.encode_name: field.type for field in msgspec.structs.fields(CallRequest)}
_FIELDS: Final = {name: _SHAPES[type_] for name, type_ in _TYPES.items() if type_ in _SHAPES}
_TEXTS: Final = frozenset(name for name, shape in _FIELDS.items() if shape is _is_text)
_SHAPED: Final = _FIELDS.keys() - _TEXTS


def _fits(name: str, value: str) -> bool:
    """Whether a request has a field of this name, and the value its shape."""
    shape = _FIELDS.get(name)
    return shape is not None and shape(value)


@dataclass(slots=True, frozen=True)
class Notice:
    """Something that Twilio reports as JSON and wants no answer to."""

    body: Mapping[str, Any]
    token: str
    """The same for every delivery of it, to whichever server."""

    def key(self, part: str = "") -> str:
        """Under what the journal keeps a part of it, once."""
        return blake2b(f"{self.token} {part}".encode(errors="replace"), digest_size=16).hexdigest()
