"""What is said of values that cannot be used: our words, whatever the field and the value."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from voice_app.settings import (
    ModelSettings,
    NumberSettings,
    Settings,
    SettingsError,
    environment_name,
    load,
    load_model_settings,
    number_settings,
)

FOREIGN: Final = re.compile(
    r"Input should|Field required|Extra inputs|valid (string|integer|number|boolean|list|tuple|dict)"
    r"|unable to|error parsing|pattern|EnvironmentSource|Value error|pydantic",
    re.IGNORECASE,
)
"""Words of the libraries."""
BAD: Final = (
    "",
    "x" * 500,
    "-1",
    "1e400",
    "nan",
    "[",
    "[1]",
    "{}",
    "{",
    "https://user:pass@host",
    "[" * 5000,
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problems(monkeypatch: pytest.MonkeyPatch, **environment: str) -> list[str]:
    with monkeypatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            load()
        except SettingsError as error:
            return error.problems
        return []


@pytest.mark.parametrize("field", Settings.model_fields)
def test_what_is_wrong_with_a_setting_is_said_in_our_words(
    monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    name = environment_name(field)
    for value in BAD:
        for problem in problems(monkeypatch, **{name: value}):
            assert not FOREIGN.search(problem), problem
            assert len(problem) < 400
            assert "user:pass" not in problem


@pytest.mark.parametrize("value", ["[1]", "{a = 1}", "-1", "1e400", "nan", "true", '"x"', "1979-05-27"])
def test_what_is_wrong_in_a_table_is_said_in_our_words(folder: Path, value: str) -> None:
    for field in NumberSettings.model_fields:
        (folder / "numbers.toml").write_text(f'["+15550100002"]\n{field} = {value}\n')
        try:
            number_settings(Settings(numbers=Path("numbers.toml")))
        except SettingsError as error:
            for problem in error.problems:
                assert problem.startswith("VOICE_APP_NUMBERS: numbers.toml, [+15550100002]: ")
                assert not FOREIGN.search(problem), problem


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("VOICE_APP_PORT", "http", "it should be a whole number (given: 'http')"),
        ("VOICE_APP_PORT", "80.5", "it should be a whole number (given: '80.5')"),
        ("VOICE_APP_PORT", "70000", "it should be 65535 or less (given: '70000')"),
        ("VOICE_APP_PORT", "-1", "it should be 0 or more (given: '-1')"),
        ("VOICE_APP_KEYS_SECONDS", "0", "it should be more than 0 (given: '0')"),
        ("VOICE_APP_KEYS_SECONDS", "soon", "it should be a number (given: 'soon')"),
        ("VOICE_APP_RECONNECT", "perhaps", "it should be true or false (given: 'perhaps')"),
        ("VOICE_APP_GUARD", "off", "it should be 'strict' or 'lenient' (given: 'off')"),
        ("VOICE_APP_API_TOKEN", "short", "it should have 16 characters or more"),
        ("VOICE_APP_MODEL_HEADERS", "api-key: x", 'it should be a JSON object, e.g. {"name": "value"}'),
        ("VOICE_APP_MODEL_HEADERS", '{"a": 1}', "a: it should be text, in quotation marks"),
        ("VOICE_APP_MODEL_HEADERS", "[" * 5000, 'it should be a JSON object, e.g. {"name": "value"}'),
        ("TWILIO_REGION", "ireland", "it should look like ie1 (given: 'ireland')"),
        ("VOICE_APP_MEMORY_PHONE_TRAIT", "phone", "it should look like Contact.phone (given: 'phone')"),
    ],
)
def test_a_value_is_told_with_what_it_should_be(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    assert problems(monkeypatch, **{name: value}) == [f"{name}: {told}"]


def test_a_long_value_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems(monkeypatch, VOICE_APP_PORT="x" * 100_000)
    assert len(problem) < 200


SECRETS: Final = [
    environment_name(name) for name, field in Settings.model_fields.items() if "SecretStr" in str(field)
]


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("value", ["hunter2", "[hunter2", '["hunter2"]', '{"a": ["hunter2"]}'])
def test_a_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    assert "hunter2" not in str(problems(monkeypatch, **{name: value}))


def test_the_settings_of_the_model_alone_are_said_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICE_APP_MAX_TOKENS", "many")
    with pytest.raises(SettingsError, match="VOICE_APP_MAX_TOKENS: it should be a whole number"):
        load_model_settings()
    assert issubclass(Settings, ModelSettings)


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("greting", "greting is no key here: did you mean greeting?"),
        ("configuraton", "configuraton is no key here: did you mean configuration?"),
        ("voice_app_greeting", "voice_app_greeting is no key here: did you mean greeting?"),
        ("VOICE_APP_GREETING", "VOICE_APP_GREETING is no key here: did you mean greeting?"),
        ("Greeting", "Greeting is no key here: did you mean greeting?"),
        ("port", "port is set for all numbers at once, with VOICE_APP_PORT"),
        ("account_sid", "account_sid is set for all numbers at once, with TWILIO_ACCOUNT_SID"),
    ],
)
def test_a_key_that_no_number_has_is_told_with_the_one_that_was_meant(
    folder: Path, key: str, told: str
) -> None:
    (folder / "numbers.toml").write_text(f'["+15550100002"]\n{key} = 1\n')
    with pytest.raises(SettingsError) as error:
        number_settings(Settings(numbers=Path("numbers.toml")))
    assert error.value.problems == [f"VOICE_APP_NUMBERS: numbers.toml, [+15550100002]: {told}"]


@pytest.mark.parametrize(
    "value", ['["ConversationRelay.new", "Dial.other"]', "ConversationRelay.new, Dial.other"]
)
def test_lists_are_written_with_commas_or_in_json(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("VOICE_APP_ALLOW_ATTRIBUTES", value)
    assert load().allow_attributes == {"ConversationRelay.new", "Dial.other"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"x = [", "is not TOML: "),
        ("x = 'Grüße'".encode("latin-1"), "is not UTF-8 (line 1): save it as UTF-8"),
        ("x = 1".encode("utf-16"), "is not UTF-8 (line 1): save it as UTF-8"),
        (b"x = " + b"[" * 100_000, "is nested too deep to be read"),
        (b"x = " + b"{a=" * 100_000, "is nested too deep to be read"),
        (b"x = " + b"1" * 10_000, "is not TOML: "),
    ],
)
def test_a_file_that_is_no_toml_is_a_sentence(folder: Path, content: bytes, told: str) -> None:
    (folder / "numbers.toml").write_bytes(content)
    with pytest.raises(SettingsError) as error:
        number_settings(Settings(numbers=Path("numbers.toml")))
    (problem,) = error.value.problems
    assert problem.startswith(f"VOICE_APP_NUMBERS: numbers.toml {told}")


@pytest.mark.parametrize("name", ["nowhere.toml", ".", "a\0b", "x" * 5000])
def test_a_file_that_cannot_be_opened_is_a_sentence(name: str) -> None:
    with pytest.raises(SettingsError, match=r"VOICE_APP_NUMBERS: .* cannot be"):
        number_settings(Settings(numbers=Path(name)))


def test_a_byte_order_mark_is_no_harm(folder: Path) -> None:
    (folder / "numbers.toml").write_bytes('\ufeff["+15550100002"]\ngreeting = "Hi"\n'.encode())
    assert number_settings(Settings(numbers=Path("numbers.toml")))["+15550100002"].greeting == "Hi"
