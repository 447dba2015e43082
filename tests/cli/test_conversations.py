"""``voice-app conversations`` against the double of Twilio's API, over real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner, Result

from support.commands import serving, voice_app
from support.double import served
from voice_app.cli.main import app
from voice_app.sandbox.twilio import (
    SUMMARY,
    Behaviour,
    CallStart,
    Fault,
    LocalTranscriber,
    SandboxAccount,
    new_id,
)
from voice_app.sandbox.twilio.conversation_store import set_status

SID = "AC" + "1" * 32
CALL = "CA" + "{:032x}"
CALLER, NUMBER = "+15550100002", "+15550100001"
REPLY = "We are open all day, from nine to six. Do come by!"
Run = Callable[..., Result]


class Clock:
    """Seconds since the epoch, set by hand."""

    def __init__(self) -> None:
        self.now = 1_767_261_600.0  # 2026-01-01T10:00:00Z

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def account(clock: Clock) -> SandboxAccount:
    behaviour = Behaviour(operation_seconds=float("inf"), retry_after=0)
    return SandboxAccount(SID, "token", behaviour=behaviour, clock=clock)


@pytest.fixture
def configuration(account: SandboxAccount) -> str:
    summaries = {"operators": [{"id": SUMMARY}], "triggers": [{"on": "CONVERSATION_END"}]}
    linked = account.add_intelligence(rules=[summaries])["id"]
    return account.add_configuration(
        displayName="voice",
        channelSettings={"VOICE": {"statusTimeouts": {"inactive": 5000, "closed": 9000}, "captureRules": []}},
        intelligenceConfigurationIds=[linked],
    )


@pytest.fixture
def run(account: SandboxAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TZ", "UTC")
    with served(account) as base_url:
        for name, value in {
            "TWILIO_ACCOUNT_SID": SID,
            "TWILIO_AUTH_TOKEN": "token",
            "TWILIO_VOICE_PUBLIC_DOMAIN": "voice.example.com",
            "VOICE_APP_TWILIO_BASE_URL": base_url,
        }.items():
            monkeypatch.setenv(name, value)
        yield lambda *words, **more: CliRunner().invoke(app, ["conversations", *words], **more)


@pytest.fixture
def called(account: SandboxAccount, configuration: str, clock: Clock) -> Callable[..., str]:
    """Somebody phones, and a minute later the next may."""
    calls = iter(range(1, 100))

    def call(*words: str, caller: str = "") -> str:
        async def happen() -> str:
            number = next(calls)
            phone, sid = LocalTranscriber(account), CALL.format(number)
            conversation_id = await phone.call_started(
                CallStart(
                    sid,
                    caller=caller or f"+1555019{number:04}",
                    number=NUMBER,
                    configuration_id=configuration,
                )
            )
            assert conversation_id is not None
            for index, text in enumerate(words):
                await phone.spoken(sid, "caller" if index % 2 == 0 else "agent", text)
                clock.now += 7
            await phone.call_ended(sid)
            return conversation_id

        clock.now += 60
        return asyncio.run(happen())

    return call


def changed(account: SandboxAccount, configuration: str, clock: Clock) -> None:
    """The configuration gets its next version."""
    clock.now += 60
    stored = account.configurations[configuration]
    stored |= {"version": stored["version"] + 1, "updatedAt": account.now()}


def statuses(account: SandboxAccount) -> list[str]:
    return [conversation.status for conversation in account.conversations.values()]


# Reading


def test_the_newest_conversation_is_listed_first(run: Run, called: Callable[..., str]) -> None:
    older, newer = called("Hello?"), called("Hello?")
    lines = run("list").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == [newer, older]
    assert NUMBER in lines[1]
    assert lines[3] == "2 conversations."


@pytest.mark.parametrize("partial", [False, True])
def test_a_list_is_filtered_by_channel(
    run: Run, account: SandboxAccount, called: Callable[..., str], partial: bool
) -> None:
    account.behaviour.partial_lists = partial
    called("Hello?")
    texted = called("Hello?")
    for person in account.conversations[texted].participants.values():
        for place in person["addresses"]:
            place["channel"] = "SMS"
    assert run("list", "--channel", "sms").stdout.splitlines()[1].split()[0] == texted
    assert "1 conversation." in run("list", "--channel", "VOICE").stdout
    wrong = run("list", "--channel", "FAX")
    assert wrong.exit_code == 2
    assert "VOICE, SMS" in wrong.stderr


@pytest.mark.parametrize("partial", [False, True])
def test_a_list_is_filtered_by_status_call_configuration_and_date(
    run: Run,
    account: SandboxAccount,
    called: Callable[..., str],
    configuration: str,
    clock: Clock,
    partial: bool,
) -> None:
    account.behaviour.partial_lists = partial
    first = called("Hello?")
    clock.now += 86_400
    second = called("Hello?")
    set_status(account, account.conversations[first], "CLOSED")

    def ids(*words: str) -> list[str]:
        found = json.loads(run("list", "--json", *words).stdout)["conversations"]
        return [item["id"] for item in found]

    assert ids() == [second, first]
    assert ids("--status", "closed") == [first]
    assert ids("--status", "ACTIVE", "--status", "INACTIVE") == [second]
    assert ids("--channel-id", CALL.format(2)) == [second]
    assert ids("--config", configuration) == ids("--config", "voice") == [second, first]
    assert ids("--config", new_id("conv_configuration_")) == []
    assert ids("--since", "2026-01-02") == [second]
    assert ids("--until", "2026-01-01") == [first]
    assert ids("--since", "2026-01-01T09:00+00:00", "--until", "2026-01-01T12:00+00:00") == [first]
    assert ids("--limit", "1") == [second]


def test_what_the_limit_hides_is_counted(run: Run, called: Callable[..., str]) -> None:
    for _ in range(3):
        called("Hello?")
    assert "3 conversations, 2 more with --limit 3." in run("list", "--limit", "1").stdout


@pytest.mark.parametrize("words", [["--since", "yesterday"], ["--status", "OPEN"], ["--limit", "0"]])
def test_a_filter_that_cannot_be_meant_is_a_usage_error(run: Run, words: list[str]) -> None:
    assert run("list", *words).exit_code == 2


def test_show_is_a_dialogue_with_whole_replies(run: Run, called: Callable[..., str]) -> None:
    conversation_id = called("Are you open?", REPLY, "Thank you!", caller=CALLER)
    result = run("show", conversation_id)
    assert result.exit_code == 0
    head, _, spoken = result.stdout.partition("\n\n")
    assert conversation_id in head
    assert f"customer       {CALLER}" in head
    assert f"AI agent       {NUMBER}" in head
    assert [" ".join(line.split()) for line in spoken.splitlines()] == [
        "0:00.0 customer Are you open?",
        f"0:07.0 AI agent {REPLY}",
        "0:14.0 customer Thank you!",
    ]


def test_show_as_json_has_the_utterances_with_their_fragments(
    run: Run, account: SandboxAccount, called: Callable[..., str]
) -> None:
    conversation_id = called("Are you open?", REPLY)
    shown = json.loads(run("show", conversation_id, "--json").stdout)
    assert shown["conversation"]["id"] == conversation_id
    assert [item["text"] for item in shown["utterances"]] == ["Are you open?", REPLY]
    assert [len(item["communications"]) for item in shown["utterances"]] == [1, 3]
    assert [item["speaker"]["type"] for item in shown["utterances"]] == ["CUSTOMER", "AI_AGENT"]


def test_a_silent_conversation_can_be_shown(run: Run, called: Callable[..., str]) -> None:
    assert "Nothing was said." in run("show", called()).stdout


@pytest.mark.parametrize("words", [["list"], ["show"], ["show", "--json"], ["export"]])
def test_nothing_that_anybody_says_steers_the_terminal(
    run: Run, account: SandboxAccount, called: Callable[..., str], words: list[str]
) -> None:
    nasty = "\x1b[2J\x07\x9b\u202e[bold]not bold[/bold][/nonsense]"
    conversation_id = called(nasty)
    account.conversations[conversation_id].resource["name"] = nasty
    for person in account.conversations[conversation_id].participants.values():
        person |= {"name": nasty, "type": nasty}
        person["addresses"][0]["address"] = nasty
    result = run(*words[:1], *([conversation_id] if words != ["list"] else []), *words[1:])
    assert result.exit_code == 0, result.exception
    assert not set("\x1b\x07\x9b\u202e") & set(result.output)
    assert "[bold]not bold[/bold]" in result.output


def test_an_unknown_conversation_and_a_wrong_id_are_told(run: Run) -> None:
    missing = run("show", new_id("conv_conversation_"))
    assert (missing.exit_code, "does not exist" in missing.stderr) == (2, True)
    assert run("show", new_id("conv_configuration_")).exit_code == 2


# Closing


def test_one_is_closed_after_the_question(
    run: Run, account: SandboxAccount, called: Callable[..., str]
) -> None:
    conversation_id = called("Hello?")
    assert "Nothing was done" in run("close", conversation_id, input="n\n").stdout
    assert statuses(account) == ["ACTIVE"]
    result = run("close", conversation_id, input="y\n")
    assert result.exit_code == 0, result.output
    assert "Close 1 ACTIVE?" in result.stdout
    assert "Closed 1." in result.stdout
    assert statuses(account) == ["CLOSED"]
    assert "is closed already" in run("close", conversation_id, "--yes").stdout


def test_those_that_keep_an_older_configuration_are_counted_and_closed(
    run: Run, account: SandboxAccount, called: Callable[..., str], configuration: str, clock: Clock
) -> None:
    for _ in range(3):
        called("Hello?")
    set_status(account, next(iter(account.conversations.values())), "INACTIVE")
    changed(account, configuration, clock)
    called("Hello?")
    words = ["close", "--config", "voice", "--older-than-version", "2"]
    asked = run(*words, input="n\n").stdout
    assert f"3 of 4 open conversations of {configuration} keep a version older than 2." in asked
    assert "Close 2 ACTIVE and 1 INACTIVE?" in asked
    assert "CLOSED" not in statuses(account)
    closed = json.loads(run(*words, "--yes", "--json").stdout)
    assert len(closed["closed"]) == 3
    assert statuses(account) == ["CLOSED", "CLOSED", "CLOSED", "ACTIVE"]


def test_without_a_version_it_is_the_current_one(
    run: Run, account: SandboxAccount, called: Callable[..., str], configuration: str, clock: Clock
) -> None:
    called("Hello?")
    changed(account, configuration, clock)
    called("Hello?")
    assert run("close", "--config", configuration, "--yes").exit_code == 0
    assert statuses(account) == ["CLOSED", "ACTIVE"]


def test_only_those_of_a_status_are_closed(
    run: Run, account: SandboxAccount, called: Callable[..., str], configuration: str, clock: Clock
) -> None:
    quiet = called("Hello?")
    called("Hello?")
    set_status(account, account.conversations[quiet], "INACTIVE")
    changed(account, configuration, clock)
    assert run("close", "--config", configuration, "--status", "inactive", "--yes").exit_code == 0
    assert statuses(account) == ["CLOSED", "ACTIVE"]


def test_what_cannot_be_told_is_left_alone(
    run: Run, account: SandboxAccount, called: Callable[..., str], configuration: str, clock: Clock
) -> None:
    called("Hello?")
    for _ in range(3):
        changed(account, configuration, clock)
    words = ["close", "--config", configuration, "--older-than-version"]
    result = run(*words, "3", "--yes")
    assert "Of 1 it cannot be told" in result.stdout
    assert statuses(account) == ["ACTIVE"]
    snapshot: dict[str, Any] = next(iter(account.conversations.values())).resource["configuration"]
    snapshot["version"] = 2
    assert "1 of 1 open" in run(*words, "3", "--yes").stdout
    assert statuses(account) == ["CLOSED"]


def test_a_version_that_does_not_exist_yet_is_refused(run: Run, configuration: str) -> None:
    result = run("close", "--config", configuration, "--older-than-version", "2")
    assert result.exit_code == 2
    assert "is at version 1: there is no version 2 yet" in result.stderr


def test_a_dry_run_closes_nothing(run: Run, account: SandboxAccount, called: Callable[..., str]) -> None:
    result = run("close", called("Hello?"), "--dry-run", "--json")
    assert result.exit_code == 0
    assert [len(json.loads(result.stdout)[name]) for name in ("chosen", "closed")] == [1, 0]
    assert statuses(account) == ["ACTIVE"]


def test_one_that_cannot_be_closed_stops_no_other(
    run: Run, account: SandboxAccount, called: Callable[..., str]
) -> None:
    stuck, fine = called("Hello?"), called("Hello?")
    account.faults.add(Fault(f"*/{stuck}", method="PATCH", status=400))
    result = run("close", stuck, fine, "--yes")
    assert result.exit_code == 1
    assert "Closed 1." in result.stdout
    assert f"{stuck} was not closed" in result.stderr
    assert statuses(account) == ["ACTIVE", "CLOSED"]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--config", new_id("conv_configuration_"), new_id("conv_conversation_")],
        [new_id("conv_conversation_"), "--older-than-version", "2"],
        ["--config", new_id("conv_configuration_"), "--status", "CLOSED"],
    ],
)
def test_a_close_that_cannot_be_meant_is_a_usage_error(run: Run, words: list[str]) -> None:
    assert run("close", *words, "--yes").exit_code == 2


# Exporting


def test_export_has_everything(run: Run, account: SandboxAccount, called: Callable[..., str]) -> None:
    conversation_id = called("Are you open?", REPLY)
    set_status(account, account.conversations[conversation_id], "CLOSED")
    exported = json.loads(run("export", conversation_id).stdout)
    conversation = account.conversations[conversation_id]
    assert exported["conversation"]["id"] == conversation_id
    assert exported["participants"] == list(conversation.participants.values())
    assert exported["communications"] == list(conversation.communications.values())
    assert exported["operatorResults"] == list(account.results.values())
    assert exported["operatorResults"]


def test_export_writes_a_vcon_file(run: Run, account: SandboxAccount, called: Callable[..., str]) -> None:
    conversation_id = called("Are you open?", REPLY, caller=CALLER)
    set_status(account, account.conversations[conversation_id], "CLOSED")
    result = run("export", conversation_id, "--format", "vcon", "-o", "call.vcon")
    assert (result.exit_code, result.stdout) == (0, "")
    assert Path("call.vcon").stat().st_mode & 0o777 == 0o600
    document = json.loads(Path("call.vcon").read_text())
    assert UUID(document["uuid"]).version == 8
    assert [party["tel"] for party in document["parties"]] == [f"tel:{CALLER}", f"tel:{NUMBER}"]
    assert [item["body"] for item in document["dialog"]] == ["Are you open?", REPLY]
    assert [item["type"] for item in document["analysis"]] == ["summary"]


def test_an_account_without_intelligence_exports_without_analysis(
    run: Run, account: SandboxAccount, called: Callable[..., str]
) -> None:
    account.faults.add(Fault("*/OperatorResults*", status=404))
    result = run("export", called("Hello?"))
    assert result.exit_code == 0
    assert json.loads(result.stdout)["operatorResults"] == []
    assert "Without the results of operators" in result.stderr


def test_a_file_that_cannot_be_written_is_told(run: Run, called: Callable[..., str]) -> None:
    result = run("export", called("Hello?"), "-o", "no/such/folder.json")
    assert result.exit_code == 2
    assert "cannot be written" in " ".join(result.stderr.replace("│", " ").split())


async def test_a_call_in_the_sandbox_is_read_afterwards(tmp_path: Path) -> None:
    async with serving(tmp_path) as base_url:
        await voice_app(
            tmp_path, "call", "--url", f"{base_url}/voice", "--say", "When are you open?", "--pace", "300"
        )
        listed = await voice_app(tmp_path, "conversations", "list", "--url", base_url, "--json")
        (conversation,) = json.loads(listed.out)["conversations"]
        shown = await voice_app(tmp_path, "conversations", "show", conversation["id"], "--url", base_url)
    assert shown.code == 0, shown.err
    assert "When are you open?" in shown.out
    assert "from nine in the morning to six in the evening, Monday to Friday, and from ten" in shown.out


@pytest.mark.parametrize("command", ["list", "show", "close", "export"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = CliRunner().invoke(app, ["conversations", command, "--help"])
    assert result.exit_code == 0
    assert f"voice-app conversations {command}" in result.output
