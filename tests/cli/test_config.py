"""``voice-app config`` against the double of Twilio's API, over real HTTP."""

from __future__ import annotations

import copy
import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from support.commands import serving, started, voice_app
from support.double import served
from support.waiting import until
from voice_app.cli.main import app
from voice_app.sandbox.twilio import Behaviour, Fault, SandboxAccount, double_app, new_id
from voice_app.sandbox.twilio.app import serve

SID = "AC" + "1" * 32
OURS = "+15550100001"
STORE = "mem_store_" + "0" * 26
RULES = [
    {"from": "+15550100003", "to": "*", "metadata": {}},
    {"from": "*", "to": "+15550100003", "metadata": {}},
]
VOICE = {"statusTimeouts": {"inactive": 5, "closed": 30}, "captureRules": []}
Run = Callable[..., Result]


def environment(base_url: str, named: str) -> dict[str, str]:
    return {
        "TWILIO_ACCOUNT_SID": SID,
        "TWILIO_AUTH_TOKEN": "token",
        "TWILIO_VOICE_PUBLIC_DOMAIN": "voice.example.com",
        "TWILIO_PHONE_NUMBER": OURS,
        "TWILIO_CONVERSATION_CONFIGURATION_ID": named,
        "VOICE_APP_TWILIO_BASE_URL": base_url,
    }


@pytest.fixture
def account() -> SandboxAccount:
    behaviour = Behaviour(operation_seconds=float("inf"), retry_after=0)
    return SandboxAccount(SID, "token", behaviour=behaviour)


@pytest.fixture
def named(account: SandboxAccount) -> str:
    """The configuration that our TwiML names."""
    return account.add_configuration(
        displayName="voice", description="All calls", channelSettings={"VOICE": VOICE}
    )


@pytest.fixture
def other(account: SandboxAccount) -> str:
    """One with every field, and with one that nobody knows."""
    account.behaviour.undocumented |= {"somethingNew"}
    return account.add_configuration(
        displayName="messages",
        description="All messages",
        conversationGroupingType="GROUP_BY_PROFILE",
        memoryExtractionEnabled=True,
        channelSettings={
            "VOICE": VOICE,
            "SMS": {"statusTimeouts": {"inactive": 10, "closed": 60}, "captureRules": RULES},
            "WHATSAPP": {"statusTimeouts": None},
        },
        statusCallbacks=[{"url": "https://voice.example.com/orchestrator/events", "method": "POST"}],
        intelligenceConfigurationIds=["intelligence_configuration_1"],
        conversationsV1Bridge={"serviceId": "IS" + "0" * 32},
        somethingNew={"deeply": [{"kept": None}, 1.5]},
        redactionConfigurationId="redaction_1",
    )


@pytest.fixture
def run(
    account: SandboxAccount, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Run]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    with served(account) as base_url:
        for name, value in environment(base_url, named).items():
            monkeypatch.setenv(name, value)
        yield lambda *words, **more: CliRunner().invoke(app, ["config", *words], **more)


@pytest.fixture(params=["PATCH", "PUT"])
def method(request: pytest.FixtureRequest, account: SandboxAccount) -> str:
    """Accounts of both kinds."""
    account.behaviour.patch = request.param == "PATCH"
    return str(request.param)


def writes(account: SandboxAccount) -> list[str]:
    return [line[0] for line in account.requests if line[0] != "GET"]


def fields(configuration: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in configuration.items() if name not in ("version", "updatedAt")}


def make(run: Run, *words: str, **more: Any) -> Result:
    return run("create", "--name", "shop", "--memory-store", STORE, *words, **more)


# What there is


def test_list_marks_what_our_twiml_names_and_counts(run: Run, named: str, other: str) -> None:
    result = run("list")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == [named, other]
    assert "named in our TwiML" in lines[1]
    assert "VOICE, SMS (2 rules), WHATSAPP" in lines[2]
    assert lines[3] == "2 of 10 configurations."


def test_list_as_json_has_what_twilio_has(run: Run, account: SandboxAccount, other: str) -> None:
    shown = json.loads(run("list", "--json").stdout)
    assert shown == {"configurations": list(account.configurations.values())}


def test_show_tells_timeouts_and_rules(run: Run, named: str, other: str) -> None:
    shown = run("show", other).stdout
    assert "inactive after 10 min, closed after 60 min" in shown
    assert "from * to +15550100003" in shown
    assert "names this configuration" not in shown
    assert "Our TwiML names this configuration" in run("show", named).stdout


def test_show_as_json_is_exactly_what_twilio_has(run: Run, account: SandboxAccount, other: str) -> None:
    assert json.loads(run("show", other, "--json").stdout) == account.configurations[other]


@pytest.mark.parametrize("words", [["list"], ["show"]])
def test_nothing_that_twilio_says_steers_the_terminal(
    run: Run, account: SandboxAccount, words: list[str]
) -> None:
    nasty = "\x1b[2J\x07\x9b\u202e[bold]not bold[/bold][/nonsense]"
    odd = account.add_configuration(displayName=nasty, description=nasty, memoryStoreId=nasty)
    result = run(*words, *([odd] if words == ["show"] else []))
    assert result.exit_code == 0, result.exception
    assert not set("\x1b\x07\x9b\u202e") & set(result.output)
    assert "[bold]not bold[/bold][/nonsense]" in result.output


def test_diff_is_silent_about_what_is_the_same(run: Run, other: str) -> None:
    Path("same.json").write_text(run("show", other, "--json").stdout)
    result = run("diff", other, "same.json")
    assert (result.exit_code, result.stdout) == (0, "No difference.\n")


def test_diff_compares_what_a_file_says(run: Run, other: str) -> None:
    Path("wish.toml").write_text('description = "New"\n[channelSettings.SMS]\ncaptureRules = []\n')
    result = run("diff", other, "wish.toml")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "description",
        '  - "All messages"',
        '  + "New"',
        "channelSettings.SMS.statusTimeouts.inactive",
        "  - 10",
        "channelSettings.SMS.statusTimeouts.closed",
        "  - 60",
        "channelSettings.SMS.captureRules",
        "  - from +15550100003 to *",
        "  - from * to +15550100003",
        "  + []",
    ]
    turned = json.loads(run("diff", "wish.toml", other, "--json").stdout)["differences"]
    assert turned[0] == {"path": "description", "old": "New", "new": "All messages"}


def test_two_files_are_compared_without_an_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.json").write_text('{"description": "A"}')
    Path("b.toml").write_text('description = "B"')
    result = CliRunner().invoke(app, ["config", "diff", "a.json", "b.toml"])
    assert (result.exit_code, result.stdout) == (1, 'description\n  - "A"\n  + "B"\n')


def test_diff_compares_two_configurations(run: Run, named: str, other: str) -> None:
    result = run("diff", named, other)
    assert result.exit_code == 1
    assert "memoryExtractionEnabled\n  - false\n  + true\n" in result.stdout


# A new one


def test_create_shows_asks_and_makes_one_that_twiml_can_name(run: Run, account: SandboxAccount) -> None:
    before = set(account.configurations)
    result = make(run, "--capture", "SMS=+1 555 010 0003", input="y\n")
    assert result.exit_code == 0, result.output
    (made,) = set(account.configurations) - before
    assert f"Created {made}." in result.stdout
    shown, _, rest = result.stdout.partition("Create this configuration?")
    assert "channelSettings.SMS.captureRules\n  + from +15550100003 to *\n  + from * to +15550100003" in shown
    assert "Created" in rest
    stored = account.configurations[made]
    assert stored["conversationGroupingType"] == "GROUP_BY_PROFILE"
    assert stored["description"] == "Conversations of shop"
    assert stored["channelSettings"] == {
        "VOICE": VOICE,
        "SMS": {"statusTimeouts": {"inactive": 10, "closed": 60}, "captureRules": RULES},
    }


@pytest.mark.parametrize(
    ("channel", "inactive", "address"),
    [("SMS", 10, OURS), ("RCS", 10, f"rcs:{OURS}"), ("WHATSAPP", 10, f"whatsapp:{OURS}")],
)
def test_messages_are_captured_in_both_directions_with_the_recommended_timeouts(
    run: Run, account: SandboxAccount, channel: str, inactive: int, address: str
) -> None:
    made = json.loads(make(run, "--capture", f"{channel}={OURS}", "--yes", "--json").stdout)
    setting = account.configurations[made["configuration_id"]]["channelSettings"][channel]
    assert setting["statusTimeouts"] == {"inactive": inactive, "closed": 60}
    assert [(rule["from"], rule["to"]) for rule in setting["captureRules"]] == [
        (address, "*"),
        ("*", address),
    ]


def test_a_chat_has_its_own_timeouts_and_comes_through_a_bridge(run: Run, account: SandboxAccount) -> None:
    service = "IS" + "a" * 32
    made = json.loads(make(run, "--channel", "chat", "--bridge", service, "--yes", "--json").stdout)
    stored = account.configurations[made["configuration_id"]]
    assert stored["channelSettings"]["CHAT"]["statusTimeouts"] == {"inactive": 15, "closed": 60}
    assert stored["conversationsV1Bridge"] == {"serviceId": service}


@pytest.mark.parametrize("suffix", ["json", "toml"])
def test_create_takes_a_file_and_flags_beat_it(run: Run, account: SandboxAccount, suffix: str) -> None:
    texts = {
        "json": json.dumps({"displayName": "file", "description": "D", "memoryStoreId": STORE}),
        "toml": f'displayName = "file"\ndescription = "D"\nmemoryStoreId = "{STORE}"\n',
    }
    Path(f"new.{suffix}").write_text(texts[suffix])
    result = run("create", f"new.{suffix}", "--name", "flag", "--timeouts", "VOICE=none", "--yes", "--json")
    stored = account.configurations[json.loads(result.stdout)["configuration_id"]]
    assert (stored["displayName"], stored["description"]) == ("flag", "D")
    assert stored["channelSettings"] == {"VOICE": {"statusTimeouts": None, "captureRules": []}}


@pytest.mark.parametrize("answer", ["n\n", ""])
def test_without_a_yes_nothing_is_made(run: Run, account: SandboxAccount, answer: str) -> None:
    result = make(run, input=answer)
    assert result.exit_code == (0 if answer else 2)
    assert "Nothing was done" in result.output
    assert writes(account) == []


def test_create_names_everything_that_twilio_would_refuse(run: Run, account: SandboxAccount) -> None:
    Path("bad.json").write_text(
        json.dumps(
            {
                "displayName": "not/this",
                "memoryStoreId": "store",
                "channelSettings": {"SMS": {"captureRules": [{"from": "*", "to": OURS}] * 101}},
                "statusCallbacks": [{"url": "http://voice.example.com"}] * 3,
                "intelligenceConfigurationIds": [f"intelligence_configuration_{n}" for n in range(6)],
            }
        )
    )
    result = run("create", "bad.json", "--yes")
    assert result.exit_code == 2
    for place in (
        "displayName: it should be 1 to 32 letters",
        "memoryStoreId: it should be the id of a memory store",
        "channelSettings.SMS.captureRules: List should have at most 100 items, not 101",
        "statusCallbacks: List should have at most 2 items, not 3",
        "intelligenceConfigurationIds: List should have at most 5 items, not 6",
    ):
        assert place in result.stderr
    assert writes(account) == []


def test_a_misspelt_field_is_told_and_not_sent(run: Run, account: SandboxAccount) -> None:
    Path("bad.json").write_text(json.dumps({"display_name": "shop", "memoryStoreId": STORE}))
    result = run("create", "bad.json", "--name", "shop", "--yes")
    assert result.exit_code == 2
    assert "display_name is not a field: did you mean displayName?" in result.stderr
    assert writes(account) == []


def test_the_eleventh_configuration_is_refused_unless_twilio_shall_decide(
    run: Run, account: SandboxAccount
) -> None:
    for number in range(9):
        account.add_configuration(displayName=f"number {number}")
    result = make(run, "--yes")
    assert result.exit_code == 2
    assert "The account has 10 configurations, and 10 is the limit" in result.stderr
    assert writes(account) == []
    assert "which is the most it can have" in make(run, "--yes", "--beyond-limits").stderr
    account.behaviour.max_configurations = 20
    assert make(run, "--yes", "--beyond-limits").exit_code == 0


def test_a_name_that_is_taken_is_refused(run: Run, account: SandboxAccount, named: str) -> None:
    result = run("create", "--name", "voice", "--memory-store", STORE, "--yes")
    assert result.exit_code == 2
    assert f"{named} is called voice already" in result.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--capture", "SMS=hello"], "'hello' is not a phone number"),
        (["--capture", "CHAT=anna"], "CHAT has no numbers"),
        (["--capture", "FAX=+15550100003"], "'FAX' is none of VOICE"),
        (["--timeouts", "SMS=ten"], "should look like SMS=10/60"),
        (["--timeouts", "SMS"], "should look like SMS=10/60"),
        (["--grouping", "mood"], "is none of profile"),
        (["nowhere.json"], "nowhere.json cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(run: Run, words: list[str], told: str) -> None:
    result = make(run, *words, "--yes")
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.json", "{"), ("a.json", "[]"), ("a.toml", "= 1"), ("a.json", b"\xff"), ("a.toml", b"\xff")],
)
def test_a_file_that_is_none_is_a_usage_error(run: Run, name: str, text: str | bytes) -> None:
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    result = run("create", name)
    assert result.exit_code == 2
    assert name in result.stderr


# Changes


def test_a_change_differs_in_that_field_alone(
    run: Run, account: SandboxAccount, other: str, method: str
) -> None:
    before = copy.deepcopy(account.configurations[other])
    result = run("set", other, "--description", "Changed", "--yes")
    assert result.exit_code == 0, result.output
    assert f"Written by {method}, and read again: version 1 → 2." in result.stdout
    assert fields(account.configurations[other]) == fields(before) | {"description": "Changed"}


def test_a_rule_is_added_beside_everything_else(
    run: Run, account: SandboxAccount, other: str, method: str
) -> None:
    before = copy.deepcopy(account.configurations[other])
    assert run("add-rule", other, "SMS", "--number", "+15550100004", "--yes").exit_code == 0
    before["channelSettings"]["SMS"]["captureRules"] += [
        {"from": "+15550100004", "to": "*", "metadata": {}},
        {"from": "*", "to": "+15550100004", "metadata": {}},
    ]
    assert fields(account.configurations[other]) == fields(before)


def test_what_was_shown_can_be_changed_and_written_back(
    run: Run, account: SandboxAccount, other: str, method: str
) -> None:
    shown = json.loads(run("show", other, "--json").stdout)
    shown["channelSettings"]["SMS"]["statusTimeouts"]["closed"] = 90
    Path("edited.json").write_text(json.dumps(shown))
    result = run("set", other, "edited.json", "--yes", "--json")
    assert result.exit_code == 0, result.output
    outcome = json.loads(result.stdout)
    assert outcome["changes"] == [{"path": "channelSettings.SMS.statusTimeouts.closed", "old": 60, "new": 90}]
    assert (outcome["method"], outcome["version"], outcome["raced"]) == (method, 2, False)
    shown["version"] = 2
    assert account.configurations[other] == shown | {"updatedAt": account.configurations[other]["updatedAt"]}


@pytest.mark.parametrize("settings", [[], "SMS", {"SMS": []}, {"SMS": {"captureRules": {}}}])
def test_settings_of_another_shape_are_a_sentence(
    run: Run, account: SandboxAccount, other: str, settings: Any
) -> None:
    Path("odd.json").write_text(json.dumps({"channelSettings": settings}))
    for words in (["create", "odd.json", "--name", "x"], ["set", other, "odd.json", "--channel", "SMS"]):
        result = run(*words, "--yes")
        assert result.exit_code == 2
        assert "  channelSettings" in result.stderr
    assert writes(account) == []


def test_what_twilio_shows_beyond_its_limits_does_not_stand_in_the_way(
    run: Run, account: SandboxAccount, other: str
) -> None:
    callback = {"url": "https://voice.example.com/x", "method": "POST"}
    account.configurations[other]["statusCallbacks"] = [callback] * 3
    Path("shown.json").write_text(run("show", other, "--json").stdout)
    assert run("set", other, "shown.json", "--description", "x", "--dry-run").exit_code == 0
    assert run("set", other, "--description", "x", "--yes").exit_code == 0


def test_a_file_that_was_made_from_an_older_version_is_refused(
    run: Run, account: SandboxAccount, other: str
) -> None:
    Path("old.json").write_text(run("show", other, "--json").stdout)
    run("set", other, "--description", "Newer", "--yes")
    result = run("set", other, "old.json", "--name", "x", "--yes")
    assert result.exit_code == 2
    assert "made from version 1" in result.stderr
    assert "is at version 2 now" in result.stderr
    assert account.configurations[other]["description"] == "Newer"


def test_a_file_about_another_configuration_is_refused(run: Run, named: str, other: str) -> None:
    Path("other.json").write_text(run("show", other, "--json").stdout)
    result = run("set", named, "other.json", "--yes")
    assert result.exit_code == 2
    assert f"The file is about {other}, not about {named}" in result.stderr


def test_fields_and_channels_can_be_removed(
    run: Run, account: SandboxAccount, other: str, method: str
) -> None:
    words = ["--unset", "statusCallbacks", "--unset", "channelSettings.WHATSAPP", "--yes"]
    assert run("set", other, *words).exit_code == 0
    stored = account.configurations[other]
    assert "statusCallbacks" not in stored
    assert list(stored["channelSettings"]) == ["VOICE", "SMS"]


def test_a_channel_is_set_up_and_its_timeouts_changed(run: Run, account: SandboxAccount, other: str) -> None:
    words = ["--channel", "rcs", "--timeouts", "SMS=20/80", "--yes"]
    assert run("set", other, *words).exit_code == 0
    settings = account.configurations[other]["channelSettings"]
    assert settings["RCS"] == {"statusTimeouts": {"inactive": 10, "closed": 60}, "captureRules": []}
    assert settings["SMS"] == {"statusTimeouts": {"inactive": 20, "closed": 80}, "captureRules": RULES}


def test_a_change_that_changes_nothing_is_not_written(run: Run, account: SandboxAccount, other: str) -> None:
    result = run("set", other, "--description", "All messages", "--yes")
    assert result.exit_code == 0
    assert "There is nothing to change" in result.stdout
    assert run("add-rule", other, "SMS", "--number", "+15550100003", "--yes").exit_code == 0
    assert writes(account) == []


def test_another_grouping_is_refused_with_the_command_that_works(
    run: Run, account: SandboxAccount, other: str
) -> None:
    result = run("set", other, "--grouping", "addresses", "--yes")
    assert result.exit_code == 1
    assert "Twilio never changes it after creation" in result.stderr
    assert writes(account) == []
    (command,) = [line for line in result.stderr.splitlines() if line.startswith("  voice-app")]
    words = shlex.split(command.replace("NEW-NAME", "messages-2"))[2:]
    made = json.loads(run(*words, "--yes", "--json").stdout)["configuration_id"]
    expected = fields(account.configurations[other]) | {
        "id": made,
        "createdAt": account.configurations[made]["createdAt"],
        "displayName": "messages-2",
        "conversationGroupingType": "GROUP_BY_PARTICIPANT_ADDRESSES",
    }
    del expected["conversationsV1Bridge"]
    assert fields(account.configurations[made]) == expected


@pytest.mark.parametrize(
    "words",
    [
        ["set", "--description", "x"],
        ["add-rule", "SMS", "--number", "+15550100009"],
        ["remove-rule", "SMS", "--number", "+15550100003"],
        ["unlink-intelligence", "intelligence_configuration_1"],
        ["delete"],
    ],
)
def test_a_dry_run_shows_everything_and_writes_nothing(
    run: Run, account: SandboxAccount, other: str, words: list[str]
) -> None:
    result = run(words[0], other, *words[1:], "--dry-run", "--json")
    assert result.exit_code == 0, result.output
    outcome = json.loads(result.stdout)
    assert outcome["written"] is False
    assert outcome["changes"]
    assert writes(account) == []


# Rules


def test_the_named_configuration_gets_no_voice_rule(run: Run, account: SandboxAccount, named: str) -> None:
    result = run("add-rule", named, "VOICE", "--number", OURS, "--yes")
    assert result.exit_code == 1
    assert "error STT101" in result.stdout
    assert "billed twice" in result.stdout
    assert "Nothing was written" in result.stderr
    assert writes(account) == []


def test_neither_do_a_file_or_a_copy_bring_it_one(run: Run, account: SandboxAccount, named: str) -> None:
    rule = {"from": "*", "to": OURS, "metadata": {"callType": "PSTN"}}
    Path("rule.json").write_text(json.dumps({"channelSettings": {"VOICE": {"captureRules": [rule]}}}))
    result = run("set", named, "rule.json", "--yes", "--json")
    assert result.exit_code == 1
    assert [finding["rule"] for finding in json.loads(result.stdout)["findings"]] == ["STT101"]
    assert writes(account) == []


def test_its_voice_rules_can_be_removed_one_by_one(run: Run, account: SandboxAccount, named: str) -> None:
    rules = [{"from": "*", "to": f"+1555010000{n}", "metadata": {"callType": "PSTN"}} for n in (1, 2)]
    account.configurations[named]["channelSettings"] = {"VOICE": VOICE | {"captureRules": rules}}
    result = run("remove-rule", named, "VOICE", "--number", OURS, "--yes")
    assert result.exit_code == 0, result.output
    assert account.configurations[named]["channelSettings"]["VOICE"]["captureRules"] == rules[1:]


def test_another_configuration_may_capture_other_lines_but_not_ours(
    run: Run, account: SandboxAccount, other: str
) -> None:
    result = run("add-rule", other, "VOICE", "--number", OURS, "--yes")
    assert result.exit_code == 1
    assert "error STT102" in result.stdout
    assert writes(account) == []
    assert run("add-rule", other, "VOICE", "--number", "+15550100009", "--yes").exit_code == 0
    assert account.configurations[other]["channelSettings"]["VOICE"]["captureRules"] == [
        {"from": "*", "to": "+15550100009", "metadata": {"callType": "PSTN"}}
    ]


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["--from", "*", "--to", "*", "--call-type", "CLIENT"], "CFG112"),
        (["--from", "*", "--to", "*", "--call-type", "CLIENT"], "CFG113"),
        (["--from", "alice", "--to", "bob"], "CFG110"),
        (["--from", "sip:ann@example.com", "--to", "*", "--call-type", "SIP"], "CFG111"),
    ],
)
def test_the_traps_are_told_in_the_words_of_the_guard(
    run: Run, other: str, words: list[str], rule: str
) -> None:
    result = run("add-rule", other, "VOICE", *words, "--dry-run", "--json")
    findings = {finding["rule"]: finding for finding in json.loads(result.stdout)["findings"]}
    assert findings[rule]["severity"] in ("warning", "error")
    if rule in ("CFG110", "CFG112"):
        assert result.exit_code == 1
        assert run("add-rule", other, "VOICE", *words, "--yes").exit_code == 1
    assert findings[rule]["evidence"]
    assert findings[rule]["fix"]


def test_what_was_wrong_before_is_not_told_again(run: Run, account: SandboxAccount, other: str) -> None:
    lonely = [{"from": "*", "to": "+15550100008", "metadata": {}}]
    account.configurations[other]["channelSettings"]["SMS"]["captureRules"] = lonely
    result = run("set", other, "--description", "x", "--yes", "--json")
    assert json.loads(result.stdout)["findings"] == []


def test_a_rule_that_is_not_there_is_named_with_those_that_are(run: Run, other: str) -> None:
    result = run("remove-rule", other, "SMS", "--from", "*", "--to", "+15550100009", "--yes")
    assert result.exit_code == 2
    assert "has no SMS rule from * to +15550100009" in result.stderr
    assert "Its SMS rules are: from +15550100003 to *; from * to +15550100003" in result.stderr


def test_a_rule_that_was_written_wrongly_can_be_removed(
    run: Run, account: SandboxAccount, other: str
) -> None:
    wrong = {"from": "+1555*", "to": "anybody", "metadata": {}}
    account.configurations[other]["channelSettings"]["SMS"]["captureRules"] = [*RULES, wrong]
    words = ["SMS", "--from", "+1555*", "--to", "anybody", "--yes"]
    assert run("remove-rule", other, *words).exit_code == 0
    assert account.configurations[other]["channelSettings"]["SMS"]["captureRules"] == RULES


def test_rule_101_is_refused_before_the_write(run: Run, account: SandboxAccount, other: str) -> None:
    rules = [{"from": "*", "to": f"+1555010{n:04}", "metadata": {}} for n in range(1000, 1099)]
    account.configurations[other]["channelSettings"]["SMS"]["captureRules"] = rules
    result = run("add-rule", other, "SMS", "--number", "+15550100009", "--yes")
    assert result.exit_code == 2
    assert "would have 101 capture rules for SMS, and 100 is the limit" in result.stderr
    assert writes(account) == []


@pytest.mark.parametrize(
    "words",
    [
        ["SMS"],
        ["SMS", "--from", "*"],
        ["SMS", "--from", "*", "--to", "x"],
        ["SMS", "--number", OURS, "--to", "*"],
        ["SMS", "--number", OURS, "--call-type", "PSTN"],
        ["CHAT", "--from", "*", "--to", "anna"],
    ],
)
def test_a_rule_that_cannot_be_meant_is_a_usage_error(run: Run, other: str, words: list[str]) -> None:
    assert run("add-rule", other, *words, "--yes").exit_code == 2


# Intelligence


def test_intelligence_is_linked_up_to_five_and_unlinked(
    run: Run, account: SandboxAccount, other: str
) -> None:
    made = [new_id("intelligence_configuration_") for _ in range(5)]
    for intelligence_id in made:
        account.intelligence[intelligence_id] = {"id": intelligence_id, "rules": []}
    assert run("link-intelligence", other, *made[:4], "--yes").exit_code == 0
    linked = ["intelligence_configuration_1", *made[:4]]
    assert account.configurations[other]["intelligenceConfigurationIds"] == linked
    full = run("link-intelligence", other, made[4], "--yes")
    assert full.exit_code == 2
    assert "and 5 is the limit" in full.stderr
    assert run("unlink-intelligence", other, made[0], "--yes").exit_code == 0
    assert account.configurations[other]["intelligenceConfigurationIds"] == [linked[0], *linked[2:]]
    strange = run("unlink-intelligence", other, made[0], "--yes")
    assert strange.exit_code == 2
    assert f"{made[0]} is not linked to {other}" in strange.stderr


def test_what_does_not_exist_is_not_linked(run: Run, account: SandboxAccount, other: str) -> None:
    result = run("link-intelligence", other, new_id("intelligence_configuration_"), "--yes")
    assert result.exit_code == 2
    assert "404" in result.stderr
    assert writes(account) == []


# Deleting


def test_the_named_configuration_is_not_deleted(run: Run, account: SandboxAccount, named: str) -> None:
    result = run("delete", named, "--yes")
    assert result.exit_code == 1
    assert "our TwiML names" in result.stderr
    assert named in account.configurations


def test_another_one_is_deleted_after_the_question(run: Run, account: SandboxAccount, other: str) -> None:
    result = run("delete", other, input="y\n")
    assert result.exit_code == 0, result.output
    assert "(messages), which 0 open conversations belong to?" in result.stdout
    assert f"Deleted {other}." in result.stdout
    assert other not in account.configurations


# When it goes wrong


def test_a_failed_operation_says_why(run: Run, account: SandboxAccount, other: str) -> None:
    account.next_failure = {"type": "x", "title": "Bad request", "status": 400, "detail": "No such store."}
    result = run("set", other, "--description", "x", "--yes")
    assert result.exit_code == 1
    assert "is FAILED: Bad request: No such store" in result.stderr
    assert account.configurations[other]["description"] == "All messages"


def test_the_operation_is_watched(run: Run, account: SandboxAccount, other: str) -> None:
    account.behaviour.operation_statuses = ("PENDING", "PENDING", "RUNNING")
    lines = run("set", other, "--description", "x", "--yes").stderr.splitlines()
    assert [line.rsplit(maxsplit=1)[1] for line in lines] == ["PENDING", "RUNNING", "COMPLETED"]


def test_too_many_requests_are_waited_for(run: Run, account: SandboxAccount, other: str) -> None:
    for method in ("GET", "PATCH"):
        account.faults.add(Fault(method=method, status=429, headers={"Retry-After": "0"}))
    assert run("set", other, "--description", "x", "--yes").exit_code == 0
    assert [line[2] for line in account.requests].count(429) == 2


def test_too_many_requests_for_long_are_an_unknown(run: Run, account: SandboxAccount) -> None:
    account.faults.add(Fault(status=429, headers={"Retry-After": "90"}))
    result = run("list")
    assert result.exit_code == 3
    assert "Twilio asks to wait 90 s" in result.stderr


@pytest.mark.parametrize(
    ("fault", "code", "told"),
    [
        (Fault(status=401), 3, "Check TWILIO_ACCOUNT_SID"),
        (Fault(status=401, code=70004), 3, "give the API key the grant"),
        (Fault(status=502, html=True, times=None), 3, "a page of HTML"),
        (Fault(body="{}"), 3, "a list without"),
    ],
)
def test_errors_are_sentences_with_advice(
    run: Run, account: SandboxAccount, fault: Fault, code: int, told: str
) -> None:
    account.faults.add(fault)
    result = run("list")
    assert result.exit_code == code
    assert told in result.stderr
    assert "Traceback" not in result.output


def test_an_unknown_configuration_and_a_wrong_id_are_told(run: Run) -> None:
    missing = run("show", new_id("conv_configuration_"))
    assert (missing.exit_code, "does not exist" in missing.stderr) == (2, True)
    wrong = run("show", new_id("conv_conversation_"))
    assert wrong.exit_code == 2
    assert "it is the id of a conversation" in " ".join(wrong.stderr.replace("│", " ").split())


@pytest.mark.parametrize("by", ["display name", "unique name"])
@pytest.mark.parametrize(
    ("words", "method"),
    [
        ("show NAME", "GET"),
        ("set NAME --description changed --yes", "PATCH"),
        ("add-rule NAME SMS --number +15550100009 --yes", "PATCH"),
        ("remove-rule NAME SMS --number +15550100003 --yes", "PATCH"),
        ("unlink-intelligence NAME intelligence_configuration_1 --yes", "PATCH"),
        (f"create --from NAME --name shop --memory-store {STORE} --yes", "POST"),
        ("delete NAME --yes", "DELETE"),
    ],
)
def test_a_configuration_is_found_by_its_name(
    run: Run, account: SandboxAccount, other: str, words: str, method: str, by: str
) -> None:
    account.configurations[other]["uniqueName"] = "msg"
    name = "messages" if by == "display name" else "msg"
    result = run(*words.replace("NAME", name).split())
    assert result.exit_code == 0, result.output
    assert method in {line[0] for line in account.requests}


def test_a_name_that_none_or_several_have_changes_nothing(
    run: Run, account: SandboxAccount, other: str
) -> None:
    twin = account.add_configuration(displayName="messages")
    result = run("delete", "messages", "--yes")
    assert result.exit_code == 2
    assert f"2 configurations have the name messages: give an id, {other}, {twin}" in result.stderr
    result = run("set", "massages", "--description", "x", "--yes")
    assert result.exit_code == 2
    assert "No configuration has the name massages: `voice-app config list` shows all" in result.stderr
    assert not writes(account)


def test_one_that_a_template_names_by_its_name_is_guarded_too(
    run: Run, account: SandboxAccount, other: str, tmp_path: Path
) -> None:
    relay = '<ConversationRelay url="{{ relay_url }}" conversationConfiguration="messages"/>'
    (tmp_path / "twiml_templates").mkdir()
    (tmp_path / "twiml_templates" / "answer.xml").write_text(
        f'<Response><Connect action="{{{{ action_url }}}}">{relay}</Connect></Response>'
    )
    result = run("delete", "messages", "--yes")
    assert (result.exit_code, "our TwiML names" in result.stderr) == (1, True)
    result = run("add-rule", other, "VOICE", "--number", OURS, "--yes")
    assert (result.exit_code, "STT101" in result.stdout) == (1, True)
    assert not writes(account)


async def test_somebody_who_writes_before_the_answer_is_noticed(
    account: SandboxAccount, named: str, other: str, tmp_path: Path
) -> None:
    words = ("config", "set", other, "--description", "Mine")
    async with (
        serve(double_app(account)) as base_url,
        started(tmp_path, *words, **environment(base_url, named)) as process,
    ):
        await process.stdout.readuntil(b"[y/N]")
        account.configurations[other] |= {"description": "Theirs", "version": 2}
        out, err = await process.communicate(b"y\n")
    assert process.returncode == 1
    assert f"Somebody else changed {other} meanwhile" in err.decode()
    assert '+ "Theirs"' in out.decode()
    assert account.configurations[other]["description"] == "Theirs"


async def test_somebody_who_writes_at_the_same_time_is_reported(
    account: SandboxAccount, named: str, other: str, tmp_path: Path
) -> None:
    account.behaviour.operation_statuses = ("PENDING",) * 10
    words = ("config", "set", other, "--description", "Mine", "--yes", "--json")
    async with (
        serve(double_app(account)) as base_url,
        started(tmp_path, *words, **environment(base_url, named)) as process,
    ):
        await until(lambda: any("/Operations/" in line[1] for line in account.requests))
        account.configurations[other] |= {"displayName": "Theirs", "version": 2}
        out, err = await process.communicate()
    assert process.returncode == 1
    outcome = json.loads(out)
    assert (outcome["written"], outcome["raced"], outcome["version"]) == (True, True, 3)
    assert outcome["unexpected"] == [{"path": "displayName", "old": "messages", "new": "Theirs"}]
    assert f"Somebody else wrote to {other} at the same time" in err.decode()
    assert 'displayName\n  - "messages"\n  + "Theirs"' in err.decode()


# Which account


async def test_without_an_account_it_says_what_to_set(tmp_path: Path) -> None:
    result = await voice_app(tmp_path, "config", "list")
    assert result.code == 2
    assert "TWILIO_ACCOUNT_SID" in result.err
    assert "--url" in result.err


async def test_the_sandbox_of_a_running_server_can_be_worked_on(tmp_path: Path) -> None:
    async with serving(tmp_path) as base_url:
        listed = await voice_app(tmp_path, "config", "list", "--url", base_url, "--json")
        (sandbox,) = json.loads(listed.out)["configurations"]
        words = ("VOICE", "--from", "*", "--to", "+15550100001", "--url", base_url, "--yes")
        refused = await voice_app(tmp_path, "config", "add-rule", sandbox["id"], *words)
    assert refused.code == 1
    assert "STT101" in refused.out


async def test_a_sandbox_that_is_not_there_is_told(tmp_path: Path) -> None:
    result = await voice_app(tmp_path, "config", "list", "--url", "http://127.0.0.1:9")
    assert (result.code, "Start `voice-app serve`" in result.err) == (3, True)
    result = await voice_app(tmp_path, "config", "list", "--url", "localhost")
    assert (result.code, "is no URL" in result.err) == (2, True)


# Plans


def portfolio(numbers: int, channels: str = "") -> None:
    lines = [f"+1555010{number:04}{channels}" for number in range(1000, 1000 + numbers)]
    Path("numbers.csv").write_text("\n".join(lines))


def test_101_numbers_take_two_configurations_and_the_commands_make_them(
    run: Run, account: SandboxAccount
) -> None:
    portfolio(101)
    result = run("plan", "numbers.csv", "--memory-store", STORE)
    assert result.exit_code == 0, result.output
    assert "101 numbers in 2 configurations" in result.stdout
    commands = [shlex.split(line) for line in result.stdout.splitlines() if line.startswith("voice-app")]
    made = [json.loads(run(*words[2:], "--yes", "--json").stdout) for words in commands]
    counts = [
        len(account.configurations[item["configuration_id"]]["channelSettings"]["VOICE"]["captureRules"])
        for item in made
    ]
    assert counts == [100, 1]


def test_messages_take_two_rules_a_number(run: Run) -> None:
    portfolio(101)
    result = run("plan", "numbers.csv", "--channel", "sms", "--json")
    plan = json.loads(result.stdout)
    assert [item["rules"] for item in plan["configurations"]] == [{"SMS": 100}, {"SMS": 100}, {"SMS": 2}]
    assert plan["fits"]


def test_a_portfolio_that_no_account_can_hold_is_told(run: Run) -> None:
    portfolio(101)
    result = run("plan", "numbers.csv", "--existing", "9")
    assert result.exit_code == 1
    assert "can have 10 configurations and it has 9 already: this needs 2" in result.stderr


def test_bad_lines_are_named(run: Run) -> None:
    Path("numbers.csv").write_text("number,channels\n+15550100002,SMS\nhello,\n+1 555 010 0002,\n,SMS\n")
    result = run("plan", "numbers.csv")
    assert result.exit_code == 2
    assert [line.strip().partition(": ")[0] for line in result.stderr.splitlines()[1:]] == [
        "numbers.csv:3",
        "numbers.csv:4",
        "numbers.csv:5",
    ]
    assert result.stdout == ""


def test_a_number_that_an_agent_of_ours_answers_is_not_captured(run: Run) -> None:
    Path("numbers.csv").write_text(f"+15550100002\n{OURS}\n")
    result = run("plan", "numbers.csv")
    assert result.exit_code == 2
    assert f"\n  numbers.csv:2: {OURS} is answered by this server" in result.stderr
    assert run("plan", "numbers.csv", "--channel", "SMS").exit_code == 0


def test_a_portfolio_may_come_from_standard_input(run: Run) -> None:
    result = run("plan", "-", "--region", "US", "--channel", "WHATSAPP", input="(555) 010-0002\n")
    assert "--capture WHATSAPP=+15550100002" in result.stdout


@pytest.mark.parametrize("words", [["nowhere.csv"], ["numbers.csv", "--name", "no/name"]])
def test_a_plan_that_cannot_be_made_is_a_usage_error(run: Run, words: list[str]) -> None:
    portfolio(1)
    assert run("plan", *words).exit_code == 2


@pytest.mark.parametrize(
    "command",
    [
        *("create", "show", "list", "diff", "set", "link-intelligence", "unlink-intelligence"),
        *("add-rule", "remove-rule", "delete", "plan"),
    ],
)
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = CliRunner().invoke(app, ["config", command, "--help"])
    assert result.exit_code == 0
    assert f"Example: voice-app config {command}" in result.output
