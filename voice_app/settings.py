"""Every setting, once. Values come from the environment, then from ``.env`` in the working directory."""

from __future__ import annotations

import base64
import binascii
import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX: Final = "VOICE_APP_"

SANDBOX_ACCOUNT_SID: Final = "AC" + "5a" * 16
SANDBOX_AUTH_TOKEN: Final = "sandbox-needs-no-secret"  # noqa: S105 - it opens a loopback port only
SANDBOX_DOMAIN: Final = "sandbox.localhost"
SANDBOX_NUMBER: Final = "+15550100001"


E164: Final = re.compile(r"\+[1-9]\d{6,14}")
"""A phone number as Twilio writes it, with the code of its country (ITU-T E.164)."""


class SettingsError(Exception):
    """The settings cannot be used. ``problems`` has one line each: what is wrong and what to do."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _matching(pattern: str | re.Pattern[str], looks_like: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if compiled.fullmatch(value) is None:
            raise ValueError(f"it should look like {looks_like}")
        return value

    return AfterValidator(check)


AccountSid = Annotated[str, _matching(r"AC[0-9a-fA-F]{32}", "AC and 32 hexadecimal digits")]
ApiKeySid = Annotated[str, _matching(r"SK[0-9a-fA-F]{32}", "SK and 32 hexadecimal digits")]
PhoneNumber = Annotated[str, _matching(E164, "+15550100001 (E.164)")]
ConfigurationId = Annotated[str, _matching(r"conv_configuration_\w+", "conv_configuration_…")]


NUMBER_KEYS: Final[Mapping[str, str]] = {"configuration": "conversation_configuration"}
"""Shorter names of settings in the tables of ``VOICE_APP_NUMBERS``."""


class NumberSettings(BaseModel):
    """How one number is answered. The settings hold the defaults, ``VOICE_APP_NUMBERS`` the exceptions."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    conversation_configuration: ConfigurationId | None = Field(
        None, description="the Orchestrator configuration that calls are written to"
    )
    agent: str = Field("receptionist", description="a built-in agent, or module:name")
    receptionist: Path | None = Field(None, description="TOML file of questions and answers")
    prompt: Path | None = Field(None, description="file with the instructions of the agent `chat`")
    handoff_to: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="who takes calls over, separated by commas: +1555…, sip:…, client:…, queue:…"
    )
    template: str = Field("answer.xml", description="the template that answers a call")
    greeting: str = Field(
        "Hello! You are talking with an automated assistant. How can I help you?",
        description="what is said first",
    )
    resume_greeting: str = Field(
        "Sorry, the line broke for a moment. Please go on.",
        description="what is said when a broken session is taken up again",
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
    continue_line: str = Field(
        "As I was saying,",
        description="what is said before a reply goes on that a noise had cut off; empty: it does not go on",
    )
    backchannels: Literal["ignore", "answer"] = Field(
        "ignore", description='what to do with a "mm-hm" while the agent speaks'
    )
    speculate: Literal["off", "stable"] = Field(
        "off", description="whether the agent may begin before the caller is done (sets `partialPrompts`)"
    )
    filler: str = Field("One moment, please.", description="what is said when an answer takes long")
    filler_seconds: float = Field(3, ge=0, le=60, description="after so many seconds; 0: never")
    stall_seconds: float = Field(
        20, ge=1, le=300, description="after so many seconds without a piece from the agent its turn is cut"
    )
    silence_seconds: float = Field(
        10, ge=0, le=300, description="so long a caller may be silent; 0: for ever"
    )
    silence_times: int = Field(2, ge=0, le=10, description="how often a silent caller is asked")
    silence_line: str = Field(
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
        return _words(value)

    @model_validator(mode="after")
    def _one_engine_only(self) -> Self:
        if self.transcribe == "passive" and (self.answer != "people" or self.handoff_then != "voicemail"):
            raise ValueError(
                "transcribe=passive is for numbers that no agent ever answers: it goes with answer=people "
                "and handoff_then=voicemail, because the agent brings a speech-to-text of its own"
            )
        return self


_SOURCES: Final = SettingsConfigDict(
    env_prefix=PREFIX, env_file=".env", extra="ignore", populate_by_name=True, env_ignore_empty=True
)
ModelShape = Literal[
    "no-tools", "no-system", "no-empty-content", "no-extras", "no-stream", "no-temperature",
    "short-ids", "plain-schemas", "max-tokens", "max-completion-tokens",
]  # fmt: skip
"""How the requests to a model's endpoint are changed for it: see `voice_app.agents.shapes`."""


class ModelSettings(BaseSettings):
    """The settings of the agent `chat`, which can be read without the others."""

    model_config = _SOURCES

    model: str | None = Field(None, description="the model of the agent `chat`")
    openai_base_url: str = Field(
        "https://api.openai.com/v1",
        validation_alias="OPENAI_BASE_URL",
        description="the endpoint of the agent `chat`, OpenAI's or a compatible one",
    )
    openai_api_key: SecretStr | None = Field(None, validation_alias="OPENAI_API_KEY", description="its key")
    model_headers: dict[str, SecretStr] = Field(
        default_factory=dict, description="further headers for the endpoint (JSON), e.g. an `api-key`"
    )
    model_shape: Annotated[tuple[ModelShape, ...], NoDecode] = Field(
        (), description="what the endpoint does not take, separated by commas, e.g. no-system, short-ids"
    )
    fallback_model: str | None = Field(None, description="the model to ask when the first one fails")
    fallback_base_url: str | None = Field(None, description="where it is; empty: at the same endpoint")
    fallback_api_key: SecretStr | None = Field(None, description="its key, if it is another one")
    fallback_shape: Annotated[tuple[ModelShape, ...], NoDecode] = Field(
        (), description="what its endpoint does not take"
    )
    prompt: Path | None = Field(None, description="file with the instructions of the agent `chat`")
    temperature: float | None = Field(None, ge=0, le=2, description="how inventive the model is")
    max_tokens: int | None = Field(None, ge=1, description="the most tokens of one answer")
    first_token_seconds: float = Field(
        8, gt=0, le=60, description="how long the model may take to its first word; thoughts are none"
    )
    between_tokens_seconds: float = Field(
        5, gt=0, le=60, description="how long it may take between two signs of life: words or thoughts"
    )
    after_tool_line: str = Field(
        "Thank you for waiting. What else can I do for you?",
        description="what is said when a tool has acted and the model finds no words; it claims nothing",
    )

    @field_validator("model_shape", "fallback_shape", mode="before")
    @classmethod
    def _shapes(cls, value: object) -> object:
        return _words(value)


class Settings(ModelSettings, NumberSettings):
    """The settings of the server. `docs/settings.md` has the table of all of them."""

    model_config = _SOURCES

    account_sid: AccountSid | None = Field(
        None,
        validation_alias="TWILIO_ACCOUNT_SID",
        description="the account; without it everything runs in the sandbox",
    )
    auth_token: SecretStr | None = Field(
        None, validation_alias="TWILIO_AUTH_TOKEN", description="its auth token: checks signatures"
    )
    auth_token_secondary: SecretStr | None = Field(
        None, validation_alias="TWILIO_AUTH_TOKEN_SECONDARY", description="the other token during a rotation"
    )
    webhook_shared_keys: dict[str, SecretStr] = Field(
        default_factory=dict,
        validation_alias="TWILIO_WEBHOOK_SHARED_KEYS",
        description="secrets of webhook shared keys by their id, as JSON",
    )
    api_key: ApiKeySid | None = Field(
        None,
        validation_alias="TWILIO_API_KEY",
        description="an API key for Twilio's APIs, instead of the auth token",
    )
    api_secret: SecretStr | None = Field(None, validation_alias="TWILIO_API_SECRET", description="its secret")
    phone_number: PhoneNumber | None = Field(
        None, validation_alias="TWILIO_PHONE_NUMBER", description="our number, E.164"
    )
    public_domain: str | None = Field(
        None,
        validation_alias="TWILIO_VOICE_PUBLIC_DOMAIN",
        description="the host name under which Twilio reaches us",
    )
    conversation_configuration: ConfigurationId | None = Field(
        None,
        validation_alias="TWILIO_CONVERSATION_CONFIGURATION_ID",
        description="the Orchestrator configuration that calls are written to",
    )
    region: str | None = Field(
        None,
        validation_alias="TWILIO_REGION",
        pattern=r"^[a-z]{2}\d$",
        description="Twilio's region, e.g. `ie1`",
    )
    twilio_base_url: str | None = Field(
        None, description="where Twilio's APIs are, e.g. a double on loopback"
    )

    agent: str = Field("receptionist", description="a built-in agent, or module:name")
    agent_thread: bool = Field(
        False, description="whether an agent that is a plain generator, and may block, runs in a thread"
    )
    receptionist: Path | None = Field(None, description="TOML file of questions and answers")
    templates: Path | None = Field(None, description="folder of the TwiML templates")
    allow_attributes: frozenset[str] = Field(
        frozenset(), description="TwiML attributes to accept beside the vocabulary's (a JSON list)"
    )
    allow_elements: frozenset[str] = Field(
        frozenset(), description="TwiML verbs and nouns to accept beside the vocabulary's (a JSON list)"
    )
    numbers: Path | None = Field(None, description="TOML file with one table per number")
    database_url: str = Field(
        "sqlite:///voice-app.db",
        description="where the journal is kept: SQLite for one process, `postgresql://…` for more",
    )
    spool: Path = Field(
        Path("voice-app-spool"), description="folder where entries wait while the database is away"
    )
    spool_mb: int = Field(256, ge=1, description="so many megabytes of them, for each process")
    retention_days: int = Field(
        0, ge=0, le=36_500, description="calls are erased from the journal after so many days; 0: never"
    )
    guard: Literal["strict", "lenient"] = Field(
        "strict", description="whether a configuration that cannot be read stops the start"
    )
    guard_running: Literal["alarm", "refuse"] = Field(
        "alarm",
        description="what a second speech-to-text that appears while calls run does: an alarm, or new calls "
        "go to people or `busy.xml`, as on a full server",
    )
    guard_allow: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="findings to live with, separated by commas, as RULE:what it is about"
    )
    guard_seconds: float = Field(
        300, ge=0, description="after so many seconds the check is made again; 0: on SIGHUP only"
    )
    handoff: Path | None = Field(
        None, description="TOML file of who takes calls over, with reasons, hours and numbers"
    )
    api_token: SecretStr | None = Field(
        None, min_length=16, description="the bearer token of `/api/…`; without one it is closed"
    )
    memory_seconds: float = Field(
        0.8,
        ge=0,
        le=10,
        description="how long the caller's memory is waited for, from the webhook; 0: no memory",
    )
    memory_trait_groups: str = Field(
        "Contact", description="groups of the caller's traits that the agent may know, separated by commas"
    )
    memory_phone_trait: str = Field(
        "Contact.phone",
        pattern=r"^\w+\.\w+$",
        description="the trait that the store knows people's numbers by",
    )
    close_conversation: Literal["never", "call-end"] = Field(
        "never",
        description="when we close a call's conversation: never, as the configuration's own timeouts do, or "
        "at the end of the call, if nothing else goes on in it",
    )
    report_url: str | None = Field(None, description="where a report of each call goes, by a signed POST")
    report_secret: SecretStr | None = Field(
        None, description="what reports are signed with: `whsec_` and at least 24 bytes in base64"
    )
    recordings: Path | None = Field(
        None, description="folder into which messages left by callers are fetched"
    )
    followup_seconds: float = Field(
        5, ge=0, le=3600, description="so long after a call, when late callbacks are in, its follow-ups begin"
    )
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 picks a free one")
    workers: int = Field(1, ge=1, le=64, description="processes on the port; more than one need PostgreSQL")
    max_calls: int = Field(
        0, ge=0, description="so many calls a process has with the agent at once; 0: any number"
    )
    max_lag_ms: int = Field(
        250, ge=0, description="a process that is so late with its work takes no new calls; 0: it does"
    )
    drain_seconds: float = Field(
        300, ge=0, le=14_400, description="so long calls may go on once the server is told to stop"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="how much is logged")
    relay_token_seconds: int = Field(
        60, ge=5, le=600, description="how long the address of a session may be used to open it"
    )
    setup_seconds: float = Field(
        10, gt=0, le=60, description="how long a socket may stay open without its setup message"
    )
    max_resumes: int = Field(3, ge=0, le=10, description="how often a broken session is taken up again")

    @field_validator("public_domain", mode="before")
    @classmethod
    def _only_the_host(cls, value: object) -> object:
        """People paste a URL; what is pinned is its host."""
        if not isinstance(value, str):
            return value
        host = re.sub(r"^(https|wss)://", "", value.strip(), flags=re.IGNORECASE).rstrip("/")
        if re.fullmatch(r"[A-Za-z0-9.-]+(:\d{1,5})?", host) is None:
            raise ValueError("it should be a host name such as voice.example.com")
        return host.lower()

    @field_validator("guard_allow", mode="before")
    @classmethod
    def _separated_by_commas(cls, value: object) -> object:
        return _words(value)

    @field_validator("guard_allow")
    @classmethod
    def _rule_and_subject(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for item in value:
            if re.fullmatch(r"[A-Z]{3}\d{3}:\S.*", item) is None:
                raise ValueError(f"{item!r} should look like STT102:conv_configuration_…")
        return value

    @field_validator("twilio_base_url")
    @classmethod
    def _no_slash(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("it should start with http:// or https://")
        return value.rstrip("/") if value else value

    @model_validator(mode="after")
    def _credentials_come_in_pairs(self) -> Settings:
        if (self.account_sid is None) != (self.auth_token is None):
            present, missing = ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN")
            if self.account_sid is None:
                present, missing = missing, present
            raise ValueError(f"{present} is set but {missing} is not: set both, or neither for the sandbox")
        if (self.api_key is None) != (self.api_secret is None):
            raise ValueError("TWILIO_API_KEY and TWILIO_API_SECRET go together: set both or neither")
        if self.account_sid is not None and self.public_domain is None:
            raise ValueError(
                "TWILIO_VOICE_PUBLIC_DOMAIN is missing: set it to the host name under which Twilio reaches "
                "this server, e.g. voice.example.com; signatures are checked against it"
            )
        return self

    @field_validator("report_url")
    @classmethod
    def _safe_to_send_to(cls, value: str | None) -> str | None:
        """A report has a caller's words in it."""
        return value if value is None else reportable(value)

    @field_validator("report_secret")
    @classmethod
    def _a_webhook_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            webhook_key(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _reports_are_signed(self) -> Settings:
        if self.report_url is not None and self.report_secret is None:
            raise ValueError(
                "VOICE_APP_REPORT_URL is set but VOICE_APP_REPORT_SECRET is not: reports are signed, so that "
                "whoever gets them can tell ours. `openssl rand -base64 32` makes one; put whsec_ before it"
            )
        return self

    @property
    def in_sandbox(self) -> bool:
        """Without credentials there is no Twilio: everything runs against the doubles, on loopback."""
        return self.account_sid is None or self.account_sid == SANDBOX_ACCOUNT_SID

    @property
    def has_memory(self) -> bool:
        """Whether callers are looked up in Twilio's Memory: its store comes with the configuration."""
        return self.conversation_configuration is not None and self.memory_seconds > 0

    @property
    def origin(self) -> str:
        """The public origin of our webhooks, e.g. ``https://voice.example.com``."""
        return f"https://{self.public_domain}"

    @property
    def socket_origin(self) -> str:
        """The public origin of our socket, e.g. ``wss://voice.example.com``."""
        return f"wss://{self.public_domain}"

    @property
    def signing_tokens(self) -> list[str]:
        """The auth tokens that may have signed a request: the primary one first."""
        tokens = (self.auth_token, self.auth_token_secondary)
        return [token.get_secret_value() for token in tokens if token is not None]

    def sandboxed(self) -> Settings:
        """These settings with the sandbox's account in them. Raises `SettingsError` for a public host."""
        if self.host not in ("127.0.0.1", "localhost", "::1"):
            raise SettingsError(
                [
                    f"VOICE_APP_HOST is {self.host}, but the sandbox's key is public and so it listens on "
                    "loopback only: set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or use 127.0.0.1"
                ]
            )
        return self.model_copy(
            update={
                "account_sid": SANDBOX_ACCOUNT_SID,
                "auth_token": SecretStr(SANDBOX_AUTH_TOKEN),
                "public_domain": self.public_domain or SANDBOX_DOMAIN,
                "phone_number": self.phone_number or SANDBOX_NUMBER,
            }
        )


def load(**overrides: Any) -> Settings:
    """Read the settings. Raises `SettingsError` with a line for every one that cannot be used."""
    problems = _unknown_names({**dotenv_values(".env"), **os.environ})
    try:
        settings = Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        raise SettingsError(problems + [_problem(item) for item in error.errors()]) from None
    except ValueError as error:  # pydantic-settings: a value that should have been JSON
        raise SettingsError([*problems, f"{error}: write it as JSON"]) from None
    if problems:
        raise SettingsError(problems)
    return settings


def load_model_settings() -> ModelSettings:
    """Read the settings of the agent `chat` alone. Raises `SettingsError`."""
    try:
        return ModelSettings()
    except ValidationError as error:
        raise SettingsError([_problem(item) for item in error.errors()]) from None
    except ValueError as error:  # pydantic-settings: a value that should have been JSON
        raise SettingsError([f"{error}: write it as JSON"]) from None


def number_settings(settings: Settings) -> dict[str, NumberSettings]:
    """The numbers that are answered in a way of their own. Raises `SettingsError` for a bad file."""
    if settings.numbers is None:
        return {}
    name = f"{PREFIX}NUMBERS"
    try:
        tables = tomllib.loads(settings.numbers.read_text("utf-8"))
    except OSError as error:
        raise SettingsError([f"{name}: {settings.numbers} cannot be read: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{name}: {settings.numbers} is not TOML: {error}"]) from None
    defaults = settings.model_dump(include=set(NumberSettings.model_fields))
    found: dict[str, NumberSettings] = {}
    problems: list[str] = []
    for key, table in tables.items():
        place = f"{name}: {settings.numbers}, [{key}]"
        number = plain_address(key)
        if not isinstance(table, dict):
            problems.append(f'{name}: {settings.numbers}: {key} is no table; write ["+15550100001"]')
        elif number in found:
            problems.append(f"{place}: there is a table for {number} already")
        elif re.fullmatch(E164, number) is None and ":" not in number:
            problems.append(f"{place}: a number should look like +15550100001 (E.164)")
        else:
            try:
                given = {NUMBER_KEYS.get(item, item): table[item] for item in table}
                found[number] = NumberSettings(**{**defaults, **given})
            except ValidationError as error:
                problems += [f"{place}: {_number_problem(item)}" for item in error.errors()]
    if problems:
        raise SettingsError(problems)
    return found


def _number_problem(error: Any) -> str:
    """What is wrong with one key of a number's table, or with two of them together."""
    message = error["msg"].removeprefix("Value error, ")
    return f"{error['loc'][-1]}: {message}" if error["loc"] else message


def plain_address(address: str) -> str:
    """An address as tables are keyed by it: ``whatsapp:+1 555 010 0002`` is ``+15550100002``."""
    plain = address.strip().removeprefix("whatsapp:")
    return re.sub(r"[\s().-]", "", plain) if plain.startswith("+") else plain


def reportable(url: str) -> str:
    """An address that reports may go to: https, or anything on loopback. Raises `ValueError`."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("it should look like https://example.com/calls")
    if parts.username is not None or parts.fragment:
        raise ValueError("it should have neither a user name nor a fragment (#): reports are signed instead")
    if parts.scheme == "http" and host not in ("127.0.0.1", "localhost", "::1"):
        raise ValueError("it should begin with https://: a report has the caller's words in it")
    return url


def webhook_key(secret: str) -> bytes:
    """The key in a secret of Standard Webhooks, ``whsec_`` and base64. Raises `ValueError`."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith("whsec_") or not 24 <= len(key) <= 64:
        raise ValueError(
            "it should be whsec_ and 24 to 64 bytes in base64: `openssl rand -base64 32` makes them"
        )
    return key


def environment_name(field: str) -> str:
    """The name of a setting in the environment."""
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else PREFIX + field.upper()


def _words(value: object) -> object:
    """A list that is written with commas."""
    if not isinstance(value, str):
        return value
    return tuple(filter(None, (part.strip() for part in value.split(","))))


def _unknown_names(environment: Mapping[str, Any]) -> list[str]:
    known = {environment_name(field) for field in Settings.model_fields}
    problems = []
    for name in sorted(environment):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known, 1, 0.6)
            hint = f"did you mean {near[0]}?" if near else "remove it, or see `voice-app docs settings`"
            problems.append(f"{name} is not a setting: {hint}")
    return problems


def _problem(error: Any) -> str:
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return str(message)
    place = str(error["loc"][0])
    name = environment_name(place) if place in Settings.model_fields else place
    secret = any(word in name for word in ("TOKEN", "SECRET", "KEY")) or re.search(
        r"://[^/]*@", str(error["input"])
    )
    given = "" if secret else f" (given: {error['input']!r})"
    return f"{name}: {message}{given}"
