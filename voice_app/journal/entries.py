"""What the journal hands out: one event with its place in time, and what is known of one call."""

from __future__ import annotations

import json
from typing import Final, get_args

import msgspec

from voice_app.journal.events import Event, UnknownEvent

_KINDS: Final = {type_: str(type_.__struct_config__.tag) for type_ in get_args(Event)}

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def milliseconds_of(id_: str) -> int:
    """When the entry with this id was written, in milliseconds since the epoch: by the clock of its server,
    or a later moment where that clock had gone back.
    """
    return int(id_[:8] + id_[9:13], 16)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One event of one call."""

    id: str
    """A UUIDv7: unique across machines; sorted as text it gives the order of writing."""
    at: float
    """When it was written, in seconds since the epoch."""
    call_sid: str
    event: Event | UnknownEvent
    key: str = ""
    """Another entry with the same key is left out, whoever wrote it. Empty: there is none."""


class CallRecord(msgspec.Struct, frozen=True):
    """One call, as its events tell it."""

    call_sid: str
    from_: str = msgspec.field(name="from")
    to: str
    direction: str
    status: str
    """Twilio's ``CallStatus``: ``in-progress`` until the call is closed."""
    opened_at: float
    """When the call was first heard of, in seconds since the epoch."""
    closed_at: float | None
    last_at: float
    """When its last event was written, in seconds since the epoch."""

    @property
    def duration_s(self) -> float | None:
        """Seconds from the first event to the end of the call; ``None`` while it goes on."""
        return None if self.closed_at is None else self.closed_at - self.opened_at


class ServerLoad(msgspec.Struct, frozen=True, kw_only=True):
    """What a server has to do."""

    version: str = ""
    """Of voice-app."""
    reason: str = ""
    """Why it takes no new calls; empty while it does."""
    calls: int = 0
    """With the agent, or about to be."""
    parked: int = 0
    """With people, a message or a queue, as far as this server served them."""
    max_calls: int = 0
    """0: any number."""
    lag_ms: float = 0.0
    """How late its event loop is as a rule."""
    longest_lag_ms: float = 0.0
    """The longest stall of the last minute."""


class Server(msgspec.Struct, frozen=True):
    """Another server on the same journal."""

    id: str
    state: str
    """``ready``, ``full``, ``refusing`` or ``draining``."""
    load: ServerLoad | None = None
    """`None`: it does not tell, as older versions do not."""


class Forgotten(msgspec.Struct, frozen=True):
    """What was erased of one caller."""

    call_sids: tuple[str, ...] = ()
    conversation_ids: tuple[str, ...] = ()
    """Conversations of these calls; Twilio has them too."""
    profile_ids: tuple[str, ...] = ()
    """Memory profiles that were named in what was erased."""
    events: int = 0


def load_of(data: str | None) -> ServerLoad | None:
    """The load that a server has told of; `None` if it cannot be read."""
    try:
        return None if data is None else msgspec.json.decode(data, type=ServerLoad)
    except msgspec.DecodeError:
        return None


def kind(event: Event | UnknownEvent) -> str:
    """The name under which an event is kept, e.g. ``prompt``."""
    return event.kind if type(event) is UnknownEvent else _KINDS[type(event)]


def encode(event: Event | UnknownEvent) -> str:
    """The event as JSON text, which every database takes."""
    if type(event) is UnknownEvent:
        return event.data
    try:
        return _encoder.encode(event).decode()
    except UnicodeEncodeError:  # half of a surrogate pair: one bad character must not hold up the rest
        text = json.dumps(msgspec.to_builtins(event), ensure_ascii=False)
        return text.encode(errors="replace").decode()


def decode(kind: str, data: str) -> Event | UnknownEvent:
    """The event that ``encode`` wrote; what cannot be read is kept as it is, as ``UnknownEvent``."""
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError:
        return UnknownEvent(kind, data)
