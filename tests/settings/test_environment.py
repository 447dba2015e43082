"""The environment and ``.env``: which of them counts, and what in them is a mistake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from voice_app.settings import Settings, SettingsError, load

Loaded = Callable[..., Settings]


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loaded:
    """Reads the settings of an environment, given by names, and of a ``.env``."""
    monkeypatch.chdir(tmp_path)

    def read(env_file: str | bytes = b"", **environment: str) -> Settings:
        content = env_file.encode() if isinstance(env_file, str) else env_file
        Path(".env").write_bytes(content)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return load()

    return read


def problems(loaded: Loaded, env_file: str | bytes = b"", **environment: str) -> list[str]:
    with pytest.raises(SettingsError) as error:
        loaded(env_file, **environment)
    return error.value.problems


# --- which of them counts -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env_file", "environment", "greeting"),
    [
        ("", {}, Settings.model_fields["greeting"].default),
        ("VOICE_APP_GREETING=file", {}, "file"),
        ("VOICE_APP_GREETING=file", {"VOICE_APP_GREETING": "environment"}, "environment"),
        ("VOICE_APP_GREETING=file", {"voice_app_greeting": "environment"}, "environment"),
        ("voice_app_greeting=file", {"VOICE_APP_GREETING": "environment"}, "environment"),
        ("VOICE_APP_GREETING=file", {"VOICE_APP_GREETING": ""}, ""),
        ("VOICE_APP_GREETING=", {}, ""),
        ("export VOICE_APP_GREETING='file' # a word", {}, "file"),
        ("NAME=shop\nVOICE_APP_GREETING=Hello from the ${NAME}", {}, "Hello from the shop"),
        ("\ufeffVOICE_APP_GREETING=file", {}, "file"),
        ("VOICE_APP_GREETING=Grüße\r\n", {}, "Grüße"),
    ],
)
def test_the_environment_beats_the_file_also_when_it_is_empty(
    loaded: Loaded, env_file: str, environment: dict[str, str], greeting: str
) -> None:
    assert loaded(env_file, **environment).greeting == greeting


@pytest.mark.parametrize(
    "name", ["greeting", "resume_greeting", "handoff_line", "continue_line", "silence_line"]
)
def test_a_line_can_be_left_out(loaded: Loaded, name: str) -> None:
    assert getattr(loaded(**{f"VOICE_APP_{name.upper()}": ""}), name) == ""


def test_what_cannot_be_empty_has_its_default_then(loaded: Loaded) -> None:
    assert loaded("VOICE_APP_AGENT=chat", VOICE_APP_AGENT="").agent == "receptionist"


def test_an_empty_variable_takes_credentials_of_the_file_back(loaded: Loaded) -> None:
    file = f"TWILIO_ACCOUNT_SID=AC{'1' * 32}\nTWILIO_AUTH_TOKEN=x\nTWILIO_VOICE_PUBLIC_DOMAIN=a.example.com\n"
    assert not loaded(file).in_sandbox
    assert loaded(file, TWILIO_ACCOUNT_SID="", TWILIO_AUTH_TOKEN="").in_sandbox


# --- lines that cannot be read ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("VOICE_APP_AGENT: chat", 2),
        ("VOICE_APP_AGENT chat", 2),
        ("VOICE_APP_AGENT", 2),
        ("export VOICE_APP_AGENT", 2),
        ('VOICE_APP_GREETING="Hello', 2),
        ("VOICE_APP_GREETING='Hello", 2),
        ("VOICE_APP_GREETING='Hello' there", 2),
        ("=chat", 2),
        ("[voice-app]", 2),
        ("set VOICE_APP_AGENT=chat", 2),
    ],
)
def test_a_line_that_cannot_be_read_is_said_with_its_number(loaded: Loaded, line: str, number: int) -> None:
    text = f"# the shop\n{line}\nVOICE_APP_PORT=8001\n"
    assert problems(loaded, text) == [
        f".env, line {number}: it is not NAME=value, or a quotation mark is not closed"
    ]


def test_every_bad_line_is_said(loaded: Loaded) -> None:
    told = problems(loaded, "a b\nVOICE_APP_PORT=8001\nc d\n")
    assert [problem.split(":")[0] for problem in told] == [".env, line 1", ".env, line 3"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("VOICE_APP_PORT=1\nVOICE_APP_GREETING=Grüße\n".encode("latin-1"), 2),
        ("VOICE_APP_PORT=1\n".encode("utf-16"), 1),
        (b"\xff", 1),
    ],
)
def test_a_file_that_is_not_utf8_is_said(loaded: Loaded, content: bytes, line: int) -> None:
    assert problems(loaded, content) == [f".env is not UTF-8 (line {line}): save it as UTF-8"]


def test_a_file_that_cannot_be_opened_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").mkdir()
    with pytest.raises(SettingsError, match=r"\.env cannot be read: Is a directory"):
        load()


# --- names that were meant to be settings -------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("VOICE_APP_AGNET", "VOICE_APP_AGENT"),
        ("VOICE_APP_HANDOF_TO", "VOICE_APP_HANDOFF_TO"),
        ("VOICE_APP_ACCOUNT_SID", "TWILIO_ACCOUNT_SID"),
        ("VOICE_APP_OPENAI_API_KEY", "OPENAI_API_KEY"),
        ("VOICEAPP_AGENT", "VOICE_APP_AGENT"),
        ("VOICE-APP-AGENT", "VOICE_APP_AGENT"),
        ("VOCE_APP_HANDOFF_TO", "VOICE_APP_HANDOFF_TO"),
        ("TWILIO_CONVERSATION_CONFIGURATON_ID", "TWILIO_CONVERSATION_CONFIGURATION_ID"),
        ("TWILIO_CONVERSATIONS_CONFIGURATION_ID", "TWILIO_CONVERSATION_CONFIGURATION_ID"),
        ("TWILIO_CONVERSATION_CONFIGURATION", "TWILIO_CONVERSATION_CONFIGURATION_ID"),
        ("TWILIO_CONVERSATION_CONFIG_ID", "TWILIO_CONVERSATION_CONFIGURATION_ID"),
        ("TWILIO_CONFIGURATION_ID", "TWILIO_CONVERSATION_CONFIGURATION_ID"),
        ("TWILIO_ACCOUNT_ID", "TWILIO_ACCOUNT_SID"),
        ("TWILLIO_ACCOUNT_SID", "TWILIO_ACCOUNT_SID"),
        ("TWILIO_AUTHTOKEN", "TWILIO_AUTH_TOKEN"),
        ("TWILIO_AUTH_TOKEN_SECONDRY", "TWILIO_AUTH_TOKEN_SECONDARY"),
        ("TWILIO_API_KEY_SID", "TWILIO_API_KEY"),
        ("TWILIO_API_KEY_SECRET", "TWILIO_API_SECRET"),
        ("TWILIO_PHONE_NUMBERS", "TWILIO_PHONE_NUMBER"),
        ("TWILIO_PUBLIC_DOMAIN", "TWILIO_VOICE_PUBLIC_DOMAIN"),
        ("TWILIO_VOICE_PUBLIC_DOMAINE", "TWILIO_VOICE_PUBLIC_DOMAIN"),
        ("TWILIO_WEBHOOK_SHARED_KEY", "TWILIO_WEBHOOK_SHARED_KEYS"),
        ("OPENAI_APIKEY", "OPENAI_API_KEY"),
        ("OPEN_AI_API_KEY", "OPENAI_API_KEY"),
        ("OPENAI_KEY", "OPENAI_API_KEY"),
        ("OPENAI_API_BASE", "OPENAI_BASE_URL"),
        ("OPENAI_API_BASE_URL", "OPENAI_BASE_URL"),
        ("OPENAI_BASEURL", "OPENAI_BASE_URL"),
    ],
)
@pytest.mark.parametrize("place", ["environment", "file"])
def test_a_name_that_nearly_matches_is_an_error_with_the_name_that_was_meant(
    loaded: Loaded, name: str, meant: str, place: str
) -> None:
    given = {name: "x"} if place == "environment" else {}
    told = problems(loaded, "" if given else f"{name}=x\n", **given)
    assert told == [f"{name} is not a setting: did you mean {meant}?"]


def test_a_name_under_our_prefix_that_is_like_none_is_an_error_too(loaded: Loaded) -> None:
    assert problems(loaded, VOICE_APP_XYZZY="1") == [
        "VOICE_APP_XYZZY is not a setting: remove it, or see `voice-app docs settings`"
    ]


@pytest.mark.parametrize(
    "name",
    [
        "TWILIO_LOG_LEVEL",
        "TWILIO_MESSAGING_SERVICE_SID",
        "TWILIO_VERIFY_SERVICE_SID",
        "TWILIO_SYNC_SERVICE_SID",
        "TWILIO_WORKSPACE_SID",
        "TWILIO_PHONE_NUMBER_SID",
        "TWILIO_FROM_PHONE_NUMBER",
        "OPENAI_ORG_ID",
        "OPENAI_PROJECT_ID",
        "OPENAI_ADMIN_KEY",
        "OPENAI_API_TYPE",
        "OPENAI_API_VERSION",
        "AZURE_OPENAI_API_KEY",
        "AZURE_OPENAI_ENDPOINT",
        "PORT",
        "HOST",
    ],
)
def test_a_name_of_other_programs_is_nothing_to_us(loaded: Loaded, name: str) -> None:
    assert loaded(**{name: "x"}).agent == "receptionist"


@pytest.mark.parametrize("value", ["sk-1", ""])
def test_a_similar_name_beside_the_right_one_is_that_of_another_program(loaded: Loaded, value: str) -> None:
    loaded(OPENAI_APIKEY="sk-2", OPENAI_API_KEY=value)
