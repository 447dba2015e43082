"""The JSON frames of the ConversationRelay WebSocket, as tagged unions.

Source: ``docs/protocol.md`` §2. Fields whose names are unconfirmed are not modelled;
fields that we do not know are skipped, so that Twilio can add to its frames.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec


class MalformedError(Exception):
    """A frame is not what the protocol allows. The text says what is wrong with it."""


# --- Twilio → us ---------------------------------------------------------------------------------


class _Incoming(msgspec.Struct, tag_field="type", frozen=True, gc=False):
    pass


class SetupMessage(msgspec.Struct, tag_field="type", tag="setup", frozen=True, rename="camel"):
    """First frame of a session, sent once. Missing values are empty strings."""

    call_sid: str
    account_sid: str
    session_id: str = ""
    parent_call_sid: str | None = ""
    from_: str = msgspec.field(default="", name="from")
    to: str = ""
    forwarded_from: str | None = ""
    call_type: str | None = ""
    caller_name: str | None = ""
    direction: str = "inbound"
    """``inbound`` or ``outbound-api``."""
    call_status: str | None = ""
    custom_parameters: dict[str, str] = {}


class PromptMessage(_Incoming, tag="prompt", frozen=True, rename="camel"):
    """What the caller said. A partial (``last`` false) repeats everything said so far in it."""

    voice_prompt: str
    lang: str = ""
    last: bool = True


class DtmfMessage(_Incoming, tag="dtmf", frozen=True):
    """One key press."""

    digit: str


class InterruptMessage(_Incoming, tag="interrupt", frozen=True, rename="camel"):
    """The caller cut in; everything queued at Twilio is gone."""

    utterance_until_interrupt: str = ""
    duration_until_interrupt_ms: float | str | None = None
    """Milliseconds. A number on the wire today, a string on older pages."""


class ErrorMessage(_Incoming, tag="error", frozen=True):
    """Twilio refused something that we sent, or a provider failed."""

    description: str = ""


class InfoMessage(_Incoming, tag="info", frozen=True):
    """An event that the TwiML subscribed to: ``agentSpeaking``, ``clientSpeaking``, ``tokensPlayed`` …"""

    name: str = ""
    value: object = ""


class UnknownMessage(msgspec.Struct, frozen=True):
    """A frame of a type that is newer than this program."""

    type: str


_Known: TypeAlias = SetupMessage | PromptMessage | DtmfMessage | InterruptMessage | ErrorMessage | InfoMessage
Incoming: TypeAlias = _Known | UnknownMessage

_TYPES = frozenset({"setup", "prompt", "dtmf", "interrupt", "error", "info"})
_known = msgspec.json.Decoder[_Known](_Known)
_typed = msgspec.json.Decoder(UnknownMessage)


def decode(data: str | bytes) -> Incoming:
    """One frame from Twilio. Raises `MalformedError` for anything that the protocol does not allow."""
    try:
        frame: _Known = _known.decode(data)
    except msgspec.ValidationError as error:
        return _newer(data, error)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedError(f"not JSON: {error}") from None
    except RecursionError:
        raise MalformedError("nested too deeply") from None
    return frame


def _newer(data: str | bytes, error: msgspec.ValidationError) -> Incoming:
    """A frame of a type that we do not know, or one in which a field is null: it counts as missing."""
    try:
        frame = _typed.decode(data)
        if frame.type not in _TYPES:
            return frame
        known: _Known = msgspec.convert(_without_nulls(msgspec.json.decode(data)), type=_Known)
        return known
    except msgspec.ValidationError as still:
        raise MalformedError(str(still)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedError(str(error)) from None


def _without_nulls(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: _without_nulls(item) for name, item in value.items() if item is not None}


# --- us → Twilio ---------------------------------------------------------------------------------


class TextMessage(msgspec.Struct, tag_field="type", tag="text", gc=False):
    """Words to speak. ``last`` closes the stretch of speech."""

    token: str
    last: bool = False
    interruptible: bool | msgspec.UnsetType = msgspec.UNSET
    """Whether the caller may cut in, where that differs from the TwiML."""


class PlayMessage(msgspec.Struct, tag_field="type", tag="play", gc=False):
    """An audio file to play, queued like words."""

    source: str
    loop: int = 1


class SendDigitsMessage(msgspec.Struct, tag_field="type", tag="sendDigits", gc=False):
    """Keys to send into the call, queued like words."""

    digits: str


class LanguageMessage(
    msgspec.Struct, tag_field="type", tag="language", rename="camel", omit_defaults=True, gc=False
):
    """Changes the language of the voice, of the recognition, or of both."""

    tts_language: str = ""
    transcription_language: str = ""


class ConfigMessage(msgspec.Struct, tag_field="type", tag="config", rename="camel", gc=False):
    """Changes how the session listens (``docs/protocol.md`` §2.2). The layout is not confirmed."""

    speech_timeout: int | str
    """Milliseconds of silence that end a prompt, or ``auto``."""


class HintsMessage(msgspec.Struct, tag_field="type", tag="hints", gc=False):
    """Changes what the recognition expects. The layout is not confirmed."""

    hints: str
    """Words, separated by commas."""


class EndMessage(msgspec.Struct, tag_field="type", tag="end", rename="camel", omit_defaults=True, gc=False):
    """Ends the session. Twilio closes the socket and asks the action URL."""

    handoff_data: str | None = None


ListeningMessage: TypeAlias = ConfigMessage | HintsMessage
"""What changes how the session listens."""
Outgoing: TypeAlias = (
    TextMessage | PlayMessage | SendDigitsMessage | LanguageMessage | ListeningMessage | EndMessage
)

_encode = msgspec.json.Encoder().encode


def encode(frame: Outgoing) -> str:
    """One frame for Twilio, as the text of a WebSocket message."""
    return _encode(frame).decode()
