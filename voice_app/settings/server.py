"""The settings of the server: everything there is to set."""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from voice_app.settings import environment
from voice_app.settings.model import SOURCES, ModelSettings
from voice_app.settings.number import NumberSettings
from voice_app.settings.problems import SettingsError
from voice_app.settings.values import (
    AccountSid,
    ApiKeySid,
    ConfigurationId,
    PhoneNumber,
    ZoneName,
    matching,
    reportable,
    webhook_key,
    words,
)

SANDBOX_ACCOUNT_SID: Final = "AC" + "5a" * 16
SANDBOX_AUTH_TOKEN: Final = "sandbox-needs-no-secret"  # noqa: S105 - it opens a loopback port only
SANDBOX_DOMAIN: Final = "sandbox.localhost"
SANDBOX_NUMBER: Final = "+15550100001"
SANDBOX_PERSON: Final = "+15550100010"
"""Who takes callers over in the sandbox where nobody is named: the phone plays them, too."""


class Settings(ModelSettings, NumberSettings):
    """The settings of the server. `docs/settings.md` has the table of all of them."""

    model_config = SOURCES

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
    region: Annotated[str, matching(r"[a-z]{2}\d", "ie1")] | None = Field(
        None,
        validation_alias="TWILIO_REGION",
        description="Twilio's region, e.g. `ie1`",
    )
    edge: str | None = Field(
        None,
        validation_alias="TWILIO_EDGE",
        pattern=r"^[a-z]+(-[a-z0-9]+)*$",
        description="Twilio's edge, e.g. `dublin`; empty: the one that belongs to the region",
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
    allow_attributes: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(), description="TwiML attributes to accept beside the vocabulary's, separated by commas"
    )
    allow_elements: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(),
        description="TwiML verbs and nouns to accept beside the vocabulary's, separated by commas",
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
    keep_frames: int = Field(
        0,
        ge=0,
        le=100_000,
        description="so many frames of each ConversationRelay session are kept in the journal, without "
        "secrets, for the page of the call; 0: none",
    )
    timezone: ZoneName = Field(
        "UTC",
        description="days and hours of figures, and dates that lists are filtered by, are those of this "
        "zone, e.g. `Europe/Berlin`",
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
        None, min_length=16, description="a bearer token of the API, with the role `admin`"
    )
    users: Path | None = Field(
        None, description="TOML file of who may use console and API; `voice-app user add` writes it"
    )
    sign_in_hours: float = Field(12, gt=0, le=720, description="how long a sign-in to the console lasts")
    proxy_user_header: Annotated[str, matching(r"[A-Za-z0-9-]+", "X-Forwarded-User")] | None = Field(
        None, description="the header in which a proxy that people sign in to names the user"
    )
    proxy_addresses: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="addresses or networks of that proxy: from nobody else the header counts"
    )
    memory_seconds: float = Field(
        0.8,
        ge=0,
        le=10,
        description="how long a look-up of the caller's memory may take; 0: no memory",
    )
    memory_trait_groups: str = Field(
        "Contact", description="groups of the caller's traits that the agent may know, separated by commas"
    )
    memory_phone_trait: Annotated[str, matching(r"\w+\.\w+", "Contact.phone")] = Field(
        "Contact.phone",
        description="the trait that the store knows people's numbers by",
    )
    close_conversation: Literal["never", "call-end"] = Field(
        "never",
        description="when we close a call's conversation: never, as the configuration's own timeouts do, or "
        "at the end of the call, if nothing else goes on in it",
    )
    agents: Path | None = Field(
        None, description="TOML file with one table for each agent that another one can become (`Become`)"
    )
    answer_hook: str | None = Field(
        None,
        description="who decides how a call is answered: an async function, as module:name, or an address "
        "that is asked by a signed POST",
    )
    answer_secret: SecretStr | None = Field(
        None, description="what such a POST is signed with: `whsec_` and at least 24 bytes in base64"
    )
    report_url: str | None = Field(None, description="where a report of each call goes, by a signed POST")
    report_secret: SecretStr | None = Field(
        None, description="what reports are signed with: `whsec_` and at least 24 bytes in base64"
    )
    report_wait: float = Field(
        180,
        ge=0,
        le=3600,
        description="so many seconds a report waits for the transcript of a message that the caller left",
    )
    recordings: Path | None = Field(
        None, description="folder into which messages left by callers are fetched"
    )
    outcome: str | None = Field(
        None,
        description="what the model (`VOICE_APP_MODEL`) is asked about each call that is over: `default` "
        "(resolved, summary, reason, unanswered question, mood), or your own pydantic model as module:Model",
    )
    prices: Path | None = Field(
        None,
        description="TOML file of what minutes, tokens and runs cost; what it leaves out is as in the list "
        "that ships (`voice_app/calls/prices.toml`)",
    )
    budget_day: float = Field(
        0,
        ge=0,
        description="an alarm once the calls of a day (from midnight on this machine) have cost more, in the "
        "prices' currency; 0: no budget",
    )
    followup_seconds: float = Field(
        5, ge=0, le=3600, description="so long after a call, when late callbacks are in, its follow-ups begin"
    )
    call_back: bool = Field(
        False, description="whether who finds all lines busy is offered to be called back: calls that you pay"
    )
    call_back_to: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="how numbers that may be called back begin, separated by commas, e.g. `+4930, +4940`; "
        "empty: those of the country of the number that was called, without premium rates",
    )
    call_back_per_number: int = Field(2, ge=1, le=100, description="so many wishes of a number a day count")
    call_back_per_hour: int = Field(20, ge=1, description="so many calls back are placed in an hour")
    call_back_per_day: int = Field(100, ge=1, description="so many in a day")
    memory_unverified: bool = Field(
        False,
        description="whether a caller gets the memory of a number that failed its attestation (STIR/SHAKEN): "
        "anybody may be calling",
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
    log_format: Literal["auto", "text", "json"] = Field(
        "auto", description="how lines of the log look; `auto`: text on a terminal, JSON otherwise"
    )
    log_details: bool = Field(
        False,
        description="whether the log at `debug` holds what exceptions and model endpoints say, a caller's "
        "words perhaps",
    )
    trace_url: str | None = Field(
        None,
        description="where spans go, by OTLP over HTTP: `http://127.0.0.1:4318/v1/traces`, say; needs the "
        "extra `otel`",
    )
    trace_content: bool = Field(
        False, description="whether spans hold what was said, and arguments and results of tools"
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

    @field_validator(
        "call_back_to", "guard_allow", "allow_attributes", "allow_elements", "proxy_addresses", mode="before"
    )
    @classmethod
    def _separated_by_commas(cls, value: object) -> object:
        return words(value)

    @field_validator("call_back_to")
    @classmethod
    def _prefixes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for item in value:
            if re.fullmatch(r"\+[1-9]\d{0,14}", item) is None:
                raise ValueError("each should look like +4930, the beginning of a number in E.164")
        return value

    @field_validator("guard_allow")
    @classmethod
    def _rule_and_subject(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for item in value:
            if re.fullmatch(r"[A-Z]{3}\d{3}:\S.*", item) is None:
                raise ValueError("each should look like STT102:conv_configuration_…")
        return value

    @field_validator("proxy_addresses")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for item in value:
            try:
                ip_network(item)
            except ValueError:
                raise ValueError("each should look like 10.0.0.7 or 10.0.0.0/24") from None
        return value

    @field_validator("trace_url")
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("it should look like http://127.0.0.1:4318/v1/traces")
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

    @model_validator(mode="after")
    def _the_proxy_is_named(self) -> Settings:
        if (self.proxy_user_header is None) != (not self.proxy_addresses):
            raise ValueError(
                "VOICE_APP_PROXY_USER_HEADER and VOICE_APP_PROXY_ADDRESSES go together: anybody can send a "
                "header, so it counts from these addresses alone. Set both or neither"
            )
        if self.proxy_user_header is not None and self.users is None:
            raise ValueError(
                "VOICE_APP_PROXY_USER_HEADER is set but VOICE_APP_USERS is not: the file has the roles of "
                "those whom the proxy names"
            )
        return self

    @field_validator("report_url")
    @classmethod
    def _safe_to_send_to(cls, value: str | None) -> str | None:
        """A report has a caller's words in it."""
        return value if value is None else reportable(value)

    @field_validator("answer_hook")
    @classmethod
    def _asks_a_function_or_an_address(cls, value: str | None) -> str | None:
        if value is None or re.fullmatch(r"[\w.]+:[A-Za-z_][\w.]*", value):
            return value
        return reportable(value)

    @field_validator("outcome")
    @classmethod
    def _a_pydantic_model(cls, value: str | None) -> str | None:
        if value is not None and value != "default" and not re.fullmatch(r"[\w.]+:[A-Za-z_][\w.]*", value):
            raise ValueError("it should be default, or look like my_agent:Outcome")
        return value

    @field_validator("report_secret", "answer_secret")
    @classmethod
    def _a_webhook_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            webhook_key(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _the_answer_hook_is_signed(self) -> Settings:
        if "://" in (self.answer_hook or "") and self.answer_secret is None:
            raise ValueError(
                "VOICE_APP_ANSWER_HOOK is an address but VOICE_APP_ANSWER_SECRET is not set: what it is "
                "asked is signed. `openssl rand -base64 32` makes one; put whsec_ before it"
            )
        return self

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
    def console_is_open(self) -> bool:
        """Whether anybody may use console and API: in the sandbox, on loopback, where nobody is named."""
        return self.in_sandbox and self.api_token is None and self.users is None

    @property
    def has_memory(self) -> bool:
        """Whether callers are looked up in Twilio's Memory: its store comes with the configuration."""
        return self.conversation_configuration is not None and self.memory_seconds > 0

    @property
    def zone(self) -> ZoneInfo:
        """Where days begin at midnight."""
        return ZoneInfo(self.timezone)

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

    def tried_out(self) -> Settings:
        """These settings; without an account, with what `voice-app call` needs to try everything.

        That is somebody whom callers are handed to.
        """
        if self.account_sid is not None or self.handoff_to or self.handoff is not None:
            return self
        return self.model_copy(update={"handoff_to": (SANDBOX_PERSON,)})


def environment_name(field: str) -> str:
    """The name of a setting in the environment."""
    return environment.environment_name(field, Settings.model_fields[field])
