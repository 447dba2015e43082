from pathlib import Path

import pytest

from voice_app.settings import SANDBOX_DOMAIN, Settings, SettingsError, load, number_settings, plain_address

ACCOUNT = {
    "TWILIO_ACCOUNT_SID": "AC" + "1" * 32,
    "TWILIO_AUTH_TOKEN": "very-secret",
    "TWILIO_VOICE_PUBLIC_DOMAIN": "voice.example.com",
}


@pytest.fixture(autouse=True)
def _no_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return load()


def problems(monkeypatch: pytest.MonkeyPatch, **environment: str) -> list[str]:
    with pytest.raises(SettingsError) as error:
        loaded(monkeypatch, **environment)
    return error.value.problems


def test_without_credentials_it_is_the_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch)
    assert settings.in_sandbox
    assert settings.sandboxed().origin == f"https://{SANDBOX_DOMAIN}"


def test_with_credentials_it_is_the_real_server(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, **ACCOUNT)
    assert not settings.in_sandbox
    assert settings.origin == "https://voice.example.com"
    assert settings.socket_origin == "wss://voice.example.com"
    assert settings.signing_tokens == ["very-secret"]


def test_the_sandbox_listens_on_loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="loopback"):
        loaded(monkeypatch, VOICE_APP_HOST="0.0.0.0").sandboxed()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("VOICE_APP_PORT", "http", "a whole number"),
        ("VOICE_APP_PORT", "70000", "65535"),
        ("VOICE_APP_GUARD", "off", "'strict' or 'lenient'"),
        ("VOICE_APP_INTERRUPTIBLE", "yes", "'none'"),
        ("VOICE_APP_TWILIO_BASE_URL", "localhost:1", "http://"),
        ("TWILIO_CONVERSATION_CONFIGURATION_ID", "conv_conversation_1", "conv_configuration_"),
        ("TWILIO_PHONE_NUMBER", "5550100", "E.164"),
        ("TWILIO_ACCOUNT_SID", "SK1", "AC and 32 hexadecimal digits"),
    ],
)
def test_a_malformed_setting_is_named_with_what_it_should_be(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    (problem, *_) = problems(monkeypatch, **{name: value})
    assert problem.startswith(f"{name}: ")
    assert told in problem
    assert value in problem


def test_all_problems_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(problems(monkeypatch, VOICE_APP_PORT="x", VOICE_APP_GUARD="x", VOICE_APP_NOPE="x")) == 3


@pytest.mark.parametrize("missing", ACCOUNT)
def test_half_of_the_credentials_is_a_mistake(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    rest = {name: value for name, value in ACCOUNT.items() if name != missing}
    (problem,) = problems(monkeypatch, **rest)
    assert missing in problem
    assert "very-secret" not in problem


def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, **ACCOUNT)
    assert "very-secret" not in repr(settings)
    assert "very-secret" not in settings.model_dump_json()


@pytest.mark.parametrize(
    "given", ["https://Voice.Example.com/", "wss://voice.example.com", "voice.example.com"]
)
def test_a_url_is_taken_for_its_host(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    settings = loaded(monkeypatch, **{**ACCOUNT, "TWILIO_VOICE_PUBLIC_DOMAIN": given})
    assert settings.public_domain == "voice.example.com"


@pytest.mark.parametrize(
    "given", ["https://voice.example.com/path", "voice example.com", "http://voice.example.com"]
)
def test_a_domain_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    (problem,) = problems(monkeypatch, **{**ACCOUNT, "TWILIO_VOICE_PUBLIC_DOMAIN": given})
    assert "voice.example.com" in problem


def test_numbers_inherit_what_they_do_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("numbers.toml").write_text('["+15550100001"]\nlanguage = "de-DE"\n')
    settings = loaded(monkeypatch, VOICE_APP_NUMBERS="numbers.toml", VOICE_APP_GREETING="Hi")
    line = number_settings(settings)["+15550100001"]
    assert (line.language, line.greeting) == ("de-DE", "Hi")


def test_a_number_may_have_a_configuration_an_agent_and_people_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "numbers.toml").write_text(
        '["+1 555 010 0002"]\nconfiguration = "conv_configuration_two"\nagent = "chat"\nprompt = "two.md"\n'
        'receptionist = "two.toml"\nhandoff_to = ["+15550100009", "client:ann"]\n'
        '["whatsapp:+15550100003"]\nhandoff_to = "queue:help, sip:desk@example.com"\n'
        '["sip:desk@voice.example.com"]\ngreeting = "Desk."\n'
    )
    numbers = number_settings(
        loaded(monkeypatch, VOICE_APP_NUMBERS="numbers.toml", VOICE_APP_HANDOFF_TO="+15550100008")
    )
    second = numbers["+15550100002"]
    assert (second.conversation_configuration, second.agent) == ("conv_configuration_two", "chat")
    assert (second.prompt, second.receptionist) == (Path("two.md"), Path("two.toml"))
    assert second.handoff_to == ("+15550100009", "client:ann")
    assert numbers["+15550100003"].handoff_to == ("queue:help", "sip:desk@example.com")
    assert numbers["sip:desk@voice.example.com"].handoff_to == ("+15550100008",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('["+1 555 010 0002"]\n["+15550100002"]\n', "there is a table for +15550100002 already"),
        ('["15550100002"]\n', "a number should look like +15550100001 (E.164)"),
        (
            '["+15550100002"]\nconfiguration = "shop"\n',
            "]: configuration: it should look like conv_configuration_…",
        ),
        (
            '["+15550100002"]\ntranscribe = "passive"\n',
            "VOICE_APP_TRANSCRIBE, VOICE_APP_ANSWER, VOICE_APP_HANDOFF_THEN",
        ),
    ],
)
def test_a_table_of_a_number_that_cannot_be_used_is_said(
    text: str, problem: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "numbers.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        number_settings(loaded(monkeypatch, VOICE_APP_NUMBERS="numbers.toml"))
    assert len(caught.value.problems) == 1
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    "written", ["+15550100002", "+1 555 010 0002", "+1 (555) 010-0002", "whatsapp:+15550100002"]
)
def test_an_address_is_one_however_it_is_written(written: str) -> None:
    assert plain_address(written) == "+15550100002"
    assert plain_address("client:ann b") == "client:ann b"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[", "not TOML"),
        ("x = 1", "no table"),
        ('["+15550100001"]\ngreting = "x"', "greting"),
        ('["+15550100001"]\ninterruptible = "maybe"', "interruptible"),
    ],
)
def test_a_bad_file_of_numbers_is_told_with_its_place(
    monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    Path("numbers.toml").write_text(text)
    with pytest.raises(SettingsError, match=told) as error:
        number_settings(loaded(monkeypatch, VOICE_APP_NUMBERS="numbers.toml"))
    assert "numbers.toml" in error.value.problems[0]


def test_a_missing_file_of_numbers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"cannot be read"):
        number_settings(loaded(monkeypatch, VOICE_APP_NUMBERS="nowhere.toml"))


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(
        monkeypatch,
        VOICE_APP_GUARD_ALLOW="STT102:conv_configuration_1, TWI118:answer.xml,",
        VOICE_APP_HANDOFF_TO="+15550100099,client:desk",
    )
    assert settings.guard_allow == ("STT102:conv_configuration_1", "TWI118:answer.xml")
    assert settings.handoff_to == ("+15550100099", "client:desk")


@pytest.mark.parametrize("value", ["STT102", "STT102:", "stt102:x", "conv_configuration_1"])
def test_an_allowance_names_a_rule_and_what_it_is_about(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    (problem,) = problems(monkeypatch, VOICE_APP_GUARD_ALLOW=value)
    assert problem.startswith("VOICE_APP_GUARD_ALLOW: ")
    assert "should look like STT102:conv_configuration_…" in problem
