"""The settings that each number may have for itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_settings import NoDecode

from voice_app.settings.values import ConfigurationId, OptionalLine, PhoneNumber, words

_VARIANTS: Final = "it should look like default=80, polite=20: names with weights, not all of them 0"
NUMBER_KEYS: Final[Mapping[str, str]] = {"configuration": "conversation_configuration"}
"""Shorter names of settings in the tables of ``VOICE_APP_NUMBERS``."""


class LanguageSettings(BaseModel):
    """How the agent speaks and listens in a further language, once it has switched to it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: str = Field(pattern=r"^(multi|[a-z]{2,3}(-[A-Za-z0-9]{2,8})*)$")
    """BCP-47 tag."""
    tts_provider: Literal["Google", "Amazon", "ElevenLabs"] | None = None
    voice: str | None = None
    transcription_provider: Literal["Google", "Deepgram"] | None = None
    speech_model: str | None = None
    hints: str | None = None


class NumberSettings(BaseModel):
    """How one number is answered. The settings hold the defaults, ``VOICE_APP_NUMBERS`` the exceptions."""

    # Built where a file of numbers is read: most servers have none.
    model_config = ConfigDict(extra="forbid", validate_assignment=True, defer_build=True)

    conversation_configuration: ConfigurationId | None = Field(
        None, description="the Orchestrator configuration that calls are written to"
    )
    agent: str = Field("receptionist", description="a built-in agent, or module:name")
    variants: dict[str, int] = Field(
        default_factory=dict,
        description="agents that share the calls, to be compared: names of `VOICE_APP_AGENTS`, or `default` "
        "for `VOICE_APP_AGENT`, each with a weight, as `default=80, polite=20`; a caller always gets the "
        "same one",
    )
    receptionist: Path | None = Field(None, description="TOML file of questions and answers")
    prompt: Path | None = Field(None, description="file with the instructions of the agent `chat`")
    handoff_to: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="who takes calls over, separated by commas: +1555…, sip:…, client:…, "
        "whatsapp:+1555…, queue:…",
    )
    template: str = Field("answer.xml", description="the template that answers a call")
    greeting: OptionalLine = Field(
        "Hello! You are talking with an automated assistant. How can I help you?",
        description="what is said first; empty: the caller begins",
    )
    disclosure: str = Field(
        "",
        description="what is said before the greeting and may not be interrupted, e.g. that the call is "
        "recorded; it is said again if it was not heard to its end",
    )
    resume_greeting: OptionalLine = Field(
        "Sorry, the line broke for a moment. Please go on.",
        description="what is said when a broken session is taken up again; empty: the agent is asked",
    )
    reconnect: bool = Field(
        False,
        description="whether Twilio comes back to a session whose socket was lost (`applicationReconnect`)",
    )
    failure_line: str = Field(
        "I am sorry, something went wrong on my side. Could you say that again?",
        description="what is said when the agent fails",
    )
    language: str | None = Field(None, description="BCP-47 tag for voice and recognition, e.g. en-US")
    tts_provider: Literal["Google", "Amazon", "ElevenLabs"] | None = Field(None, description="who speaks")
    voice: str | None = Field(None, description="the provider's voice, without a provider prefix")
    transcription_provider: Literal["Google", "Deepgram"] | None = Field(None, description="who listens")
    speech_model: str | None = Field(None, description="the recognition model, e.g. nova-3-general or flux")
    hints: str | None = Field(None, description="words to recognise, separated by commas")
    languages: tuple[LanguageSettings, ...] = Field(
        (),
        description="further languages, each a table (as JSON: a list of objects) with its `code` and, where "
        "they differ, `tts_provider`, `voice`, `transcription_provider`, `speech_model` and `hints`",
    )
    interruptible: Literal["none", "dtmf", "speech", "any"] = Field(
        "any", description="what of the caller's stops a reply"
    )
    answer: Literal["agent", "people"] = Field(
        "agent", description="who takes a call first: the agent, or the people of `VOICE_APP_HANDOFF_TO`"
    )
    transcribe: Literal["twiml", "passive"] = Field(
        "twiml",
        description="who writes down what is said to people: our TwiML, or a capture rule of a configuration",
    )
    handoff_line: OptionalLine = Field(
        "One moment, please. I am connecting you with a colleague.",
        description="what a caller hears first whom a supervisor sends to a person; empty: nothing",
    )
    whatsapp_sender: PhoneNumber | None = Field(
        None,
        description="our number on WhatsApp, from which `whatsapp:` people are rung; without: the one called",
    )
    handoff_then: Literal["voicemail", "agent"] = Field(
        "voicemail", description="what follows when nobody takes a call over"
    )
    busy: Literal["people", "message"] = Field(
        "people",
        description="who takes a new call when the server is full: the people of `VOICE_APP_HANDOFF_TO`, if "
        "there are any, or `busy.xml` with the offer to call back",
    )
    handoff_return_line: str = Field(
        "I am sorry, none of my colleagues is free right now. What can I do for you?",
        description="what the agent says when a caller comes back to it",
    )
    handoff_back_line: str = Field(
        "I am with you again. What else can I do for you?",
        description="what the agent says when a person has given the caller back to it",
    )
    continue_line: OptionalLine = Field(
        "As I was saying,",
        description="what is said before a reply goes on that a noise had cut off; empty: it does not go on",
    )
    backchannels: Literal["ignore", "answer"] = Field(
        "ignore", description='what to do with a "mm-hm" while the agent speaks'
    )
    ask_tunes_listening: bool = Field(
        False,
        description="whether a question of the agent's (`ask`) tells Twilio what to expect and to wait "
        "longer (the frames `hints` and `config`, whose layout is not confirmed)",
    )
    speculate: Literal["off", "stable"] = Field(
        "off", description="whether the agent may begin before the caller is done (sets `partialPrompts`)"
    )
    filler: str = Field("One moment, please.", description="what is said when an answer takes long")
    filler_seconds: float = Field(3, ge=0, le=60, description="after so many seconds; 0: never")
    stall_seconds: float = Field(
        20, ge=1, le=300, description="after so many seconds without a piece from the agent its turn is cut"
    )
    gather_ms: int = Field(
        100,
        ge=0,
        le=500,
        description="while Twilio has more than 1.5 s of speech ahead, words wait so many milliseconds for "
        "more of them; 0: never",
    )
    ahead_seconds: float = Field(
        120, ge=5, le=3600, description="an agent that is further ahead of its voice is made to wait"
    )
    ahead_characters: int = Field(
        8_000,
        ge=500,
        le=1_000_000,
        description="the same in characters that Twilio has not told to be played, whatever the voice's pace",
    )
    silence_seconds: float = Field(
        10, ge=0, le=300, description="so long a caller may be silent; 0: for ever"
    )
    silence_times: int = Field(2, ge=0, le=10, description="how often a silent caller is asked")
    silence_line: OptionalLine = Field(
        "Are you still there?", description="what a silent caller is asked; empty: the agent is asked"
    )
    silence_goodbye: str = Field(
        "I cannot hear you, so I will hang up now. Goodbye!", description="what ends a silent call"
    )
    max_call_seconds: float = Field(
        3600, ge=0, le=14_400, description="how long a call with the agent may last; 0: for ever"
    )
    max_call_warning: str = Field(
        "I am afraid we have only one minute left.", description="what is said a minute before that"
    )
    max_call_goodbye: str = Field(
        "I am sorry, our time is up. Goodbye!", description="what is said when the time is up"
    )
    drain_goodbye: str = Field(
        "I am sorry, I have to end our call now. Please call again in a few minutes. Goodbye!",
        description="what is said to those who are on the line when the server stops and no other takes over",
    )
    keys_length: int = Field(0, ge=0, le=100, description="so many keys are an entry; 0: any number")
    keys_terminator: Literal["", "#", "*"] = Field("#", description="the key that ends an entry")
    keys_seconds: float = Field(
        2, gt=0, le=60, description="after so many seconds without a key an entry is over"
    )

    @field_validator("handoff_to", mode="before")
    @classmethod
    def _addresses(cls, value: object) -> object:
        return words(value)

    @field_validator("variants", mode="before")
    @classmethod
    def _weights(cls, value: object) -> object:
        """``default=80, polite=20``, or a table."""
        if not isinstance(value, str):
            return value
        pairs = [re.fullmatch(r"([\w-]{1,64})\s*=\s*(\d{1,6})", part) for part in words(value)]
        if None in pairs:
            raise ValueError(_VARIANTS)
        return {pair[1]: int(pair[2]) for pair in pairs if pair is not None}

    @field_validator("variants")
    @classmethod
    def _some_weight(cls, value: dict[str, int]) -> dict[str, int]:
        if value and (min(value.values()) < 0 or not sum(value.values())):
            raise ValueError(_VARIANTS)
        return value

    @model_validator(mode="after")
    def _one_engine_only(self) -> Self:
        if self.transcribe == "passive" and (self.answer != "people" or self.handoff_then != "voicemail"):
            raise ValueError(
                "transcribe=passive is for numbers that no agent ever answers: it goes with answer=people "
                "and handoff_then=voicemail, because the agent brings a speech-to-text of its own (for all "
                "numbers: VOICE_APP_TRANSCRIBE, VOICE_APP_ANSWER, VOICE_APP_HANDOFF_THEN)"
            )
        return self
