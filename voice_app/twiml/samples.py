"""Made-up calls to fill templates in with, so that every branch is seen before a caller is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from msgspec.structs import replace

from voice_app.settings import NumberSettings
from voice_app.twiml.templates import FIELDS, Context, values_of

HOSTILE = "\"<&>' ]]> --> {{ 7 * 7 }} %} \N{SLIGHTLY SMILING FACE} é"
"""Text that breaks a document wherever it is not escaped."""

BARE = Context(
    call_sid="CA00000000000000000000000000000000",
    caller="+14155550100",
    number="+14155550199",
    reason="answer",
    relay_url="wss://voice.example.com/relay/sample",
    action_url="https://voice.example.com/voice/relay-ended",
    target="people",
    people=(("number", "+14155550177"), ("sip", "sip:desk@example.com"), ("client", "anna")),
    join_url="https://voice.example.com/console/join/sample",
    caller_id="+14155550100",
)
"""Only what every call has, and every handoff."""

FULL = replace(
    BARE,
    conversation_configuration="conv_configuration_00000000000000000000000000",
    greeting="Hello, how can I help?",
    resume_greeting="Sorry, we were cut off.",
    language="en-US",
    tts_language="es-ES",
    transcription_language="es-MX",
    tts_provider="ElevenLabs",
    voice="UgBBYS2sOqTuMpoF3BR0",
    transcription_provider="Deepgram",
    speech_model="nova-3-general",
    hints="Twilio, TwiML",
    languages=({"code": "es-ES", "ttsProvider": "Amazon", "voice": "Lucia-Neural", "hints": "Twilio"},),
    partial_prompts=True,
    reconnect=True,
    transcribing=True,
    transcribe=False,
    transcription_url="https://voice.example.com/transcription",
    ring_seconds=20,
    priority=5,
    whisper_url="https://voice.example.com/handoff/whisper",
    wait_url="https://voice.example.com/handoff/wait",
    announcement="One moment, please.",
    transcribe_message=True,
    recording_url="https://voice.example.com/handoff/recording",
    callback_url="https://voice.example.com/voice/callback",
    summary="Wants a refund for order 81.",
    reason_line="It is about billing.",
    queue_position=2,
    parameters={"shop": "north", "campaign": "spring"},
)
"""Everything that can be set, with a configuration."""

JOINED = replace(
    FULL,
    conversation_configuration=None,
    conversation_id="conv_conversation_00000000000000000000000000",
)
"""Everything that can be set, in a conversation that exists."""

_VOICE = (
    "language",
    "tts_language",
    "transcription_language",
    "tts_provider",
    "voice",
    "transcription_provider",
)
_VOICE_SETTINGS: Final[dict[str, Any]] = dict.fromkeys((*_VOICE, "speech_model"))
"""What says how the agent speaks and listens: made-up values of these need not fit what a template adds."""

PLAIN = replace(FULL, **_VOICE_SETTINGS)
"""Everything that can be set but voices, languages and models."""

_TARGETS: dict[str, dict[str, Any]] = {
    "WhatsApp": {
        "target": "people",
        "people": (("whatsapp", "+14155550177"),),
        "caller_id": "whatsapp:+14155550199",
    },
    "queue": {
        "target": "queue",
        "address": "support",
        "people": (),
        "transcribe": True,
        "transcribing": False,
    },
    "conference": {"target": "conference", "address": "handoff-CA0", "people": ()},
    "workflow": {
        "target": "workflow",
        "address": "WW00000000000000000000000000000000",
        "people": (),
        "task": '{"reason": "billing"}',
    },
    "studio": {
        "target": "studio",
        "address": "https://webhooks.twilio.com/v1/Accounts/AC0/Flows/FW0?Trigger=incomingCall",
        "people": (),
    },
}
_TOGETHER = frozenset({"target", "address", "people", "task", "caller_id"})
"""Fields that only make sense together."""


@dataclass(slots=True, frozen=True)
class Sample:
    """One made-up call."""

    label: str
    """What is special about it, to stand after "with"."""
    context: Context
    real: bool = False
    """Its voice, language and model are those of a number's settings."""

    @property
    def invented(self) -> bool:
        """Whether it has a voice, a language or a model that nobody chose."""
        return not self.real and any(getattr(self.context, name) is not None for name in _VOICE_SETTINGS)


def samples(
    mentioned: Mapping[str, Collection[str]],
    settings: Mapping[str, Any] | None = None,
    read: Collection[str] = FIELDS,
) -> Iterator[Sample]:
    """The calls to try, each with a different set of fields.

    ``mentioned`` holds, by field, the words that a template compares it with: each is tried. ``settings`` are
    the fields that are the same on every call; without any, they are made up. ``read`` are the fields that
    the template looks at.
    """
    for sample in _invented(mentioned, read):
        if settings is None:
            yield sample
        else:
            joined = {"conversation_configuration": None} if sample.context.conversation_id else {}
            yield Sample(sample.label, replace(sample.context, **(dict(settings) | joined)), real=True)


def _invented(mentioned: Mapping[str, Collection[str]], read: Collection[str]) -> Iterator[Sample]:
    seeds = [
        Sample("everything set and a configuration", FULL),
        Sample("everything set and a conversation_id", JOINED),
        Sample("everything set but voices, and a configuration", PLAIN),
        Sample("everything set but voices, and a conversation_id", replace(JOINED, **_VOICE_SETTINGS)),
        Sample("nothing set that may be left out", BARE),
        Sample("hostile text", _hostile()),
    ]
    seeds += [Sample(f"a {target}", replace(PLAIN, **changes)) for target, changes in _TARGETS.items()]
    yield from seeds
    for name, words in sorted(mentioned.items()):
        if isinstance(getattr(FULL, name, None), str) and name not in _TOGETHER:
            for word in sorted(words):
                changed: dict[str, Any] = {name: word}
                for seed in seeds:
                    yield Sample(f"{name} = {word!r} and {seed.label}", replace(seed.context, **changed))
    yield from _one_at_a_time(read)


def settings_of(settings: NumberSettings) -> dict[str, Any]:
    """The fields that the settings of a number decide, and no language that an agent switched to."""
    return _VOICE_SETTINGS | values_of(settings)


def samples_of(number: str, settings: NumberSettings) -> Iterator[Sample]:
    """The calls to try for one number, with all that its settings say. Without a number: for every other."""
    values = settings_of(settings) | ({"number": number} if number else {})
    label = f"the settings of {number}" if number else "the settings"
    joined = {"conversation_configuration": None, "conversation_id": JOINED.conversation_id}
    yield Sample(label, replace(FULL, **values), real=True)
    yield Sample(f"{label} and a conversation_id", replace(FULL, **(values | joined)), real=True)
    yield Sample(f"{label} and no more", replace(BARE, **values), real=True)
    for code in (language.code for language in settings.languages):
        switched = values | values_of(settings, code, code)
        yield Sample(f"{label} and the language {code}", replace(FULL, **switched), real=True)
    for target, changes in _TARGETS.items():
        yield Sample(f"{label} and a {target}", replace(FULL, **(values | changes)), real=True)


def _one_at_a_time(read: Collection[str]) -> Iterator[Sample]:
    for name in sorted(read):
        absent, present = getattr(BARE, name), getattr(FULL, name)
        if absent == present:
            continue
        yield Sample(f"only {name} set", replace(BARE, **{name: present}))
        yield Sample(f"everything set but {name}", replace(FULL, **{name: absent}))


def _hostile() -> Context:
    return replace(
        FULL,
        caller=f"sip:{HOSTILE}",
        greeting=HOSTILE,
        resume_greeting=HOSTILE,
        hints=HOSTILE,
        summary=HOSTILE,
        parameters={HOSTILE: HOSTILE},
    )
