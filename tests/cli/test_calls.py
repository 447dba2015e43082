from __future__ import annotations

import asyncio
import json
from itertools import count
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from voice_app.cli.main import app
from voice_app.journal import Journal
from voice_app.journal.events import (
    Analysed,
    Closed,
    Connected,
    Event,
    FollowedUp,
    Heard,
    Notified,
    Opened,
    Played,
    Pressed,
    Prompted,
    Replied,
    ToolCalled,
    ToolReturned,
    Typing,
)

CALL: list[Event] = [
    Opened("+15550100001", "+15550100002", "inbound"),
    Connected("VX1", "en-US"),
    Replied(0, "VX1", "Welcome to the shop.", True),
    Prompted("Are you open?"),
    Replied(1, "VX1", "We are", first_token_ms=12.4),
    Replied(1, "VX1", "We are open from nine to five.", True, 12.4, 90.0),
    Heard(1, "VX1", "We are open", 700.0),
    Pressed("1#"),
    Closed("completed", 9.0),
]


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    url = "sqlite:///calls.db"
    monkeypatch.setenv("VOICE_APP_DATABASE_URL", url)
    return url


def journaled(url: str, calls: dict[str, list[Event]]) -> None:
    async def write() -> None:
        ticks = count(1_700_000_000)
        async with Journal(url, clock=lambda: float(next(ticks))) as journal:
            for call_sid, events in calls.items():
                for event in events:
                    journal.write(call_sid, event)

    asyncio.run(write())


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["calls", *arguments])


def test_list_shows_the_newest_call_first(url: str) -> None:
    journaled(url, {"CA1": CALL, "CA2": [Opened("client:ann", "+15550100002", "inbound")]})
    result = run("list")
    assert result.exit_code == 0
    _, newest, oldest = result.output.splitlines()
    assert newest.split()[0] == "CA2"
    assert "client:ann" in newest
    assert "in-progress" in newest
    assert oldest.split()[0] == "CA1"
    assert oldest.split()[-5:] == ["+15550100001", "+15550100002", "inbound", "completed", "0:08.0"]


def test_list_shows_no_more_than_asked_for(url: str) -> None:
    journaled(url, {f"CA{number}": [Opened()] for number in range(5)})
    calls = json.loads(run("list", "--json", "--limit", "2").output)["calls"]
    assert [call["call_sid"] for call in calls] == ["CA4", "CA3"]


def test_list_as_json_has_every_field(url: str) -> None:
    journaled(url, {"CA1": CALL})
    assert json.loads(run("list", "--json").output) == {
        "calls": [
            {
                "call_sid": "CA1",
                "from": "+15550100001",
                "to": "+15550100002",
                "direction": "inbound",
                "status": "completed",
                "opened_at": 1_700_000_000.0,
                "closed_at": 1_700_000_008.0,
                "last_at": 1_700_000_008.0,
            }
        ]
    }


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--number", "+1 555 010 0001"], ["CA1"]),
        (["--number", "555 010 0001", "--region", "US"], ["CA1"]),
        (["--number", "client:ann"], ["CA2"]),
        (["--number", "+15550100002"], ["CA2", "CA1"]),
        (["--since", "2023-11-14", "--until", "2023-11-15"], ["CA2", "CA1"]),
        (["--since", "2023-11-16"], []),
        (["--until", "2023-11-13T12:00"], []),
    ],
)
def test_list_shows_only_what_is_asked_for(url: str, arguments: list[str], expected: list[str]) -> None:
    journaled(url, {"CA1": CALL, "CA2": [Opened("client:ann", "+15550100002", "inbound")]})
    calls = json.loads(run("list", "--json", *arguments).output)["calls"]
    assert [call["call_sid"] for call in calls] == expected


def test_list_says_that_there_are_no_such_calls(url: str) -> None:
    journaled(url, {"CA1": CALL})
    assert run("list", "--number", "client:nobody").output == "There are no such calls.\n"


def test_an_empty_journal_has_no_calls(url: str) -> None:
    journaled(url, {})
    assert run("list").output == "No calls yet.\n"


def test_show_prints_the_dialogue_with_what_was_heard_and_how_quick_it_was(url: str) -> None:
    journaled(url, {"CA1": CALL})
    result = run("show", "CA1")
    assert result.exit_code == 0
    dialogue = result.output.split("\n\n")[1].splitlines()
    assert [" ".join(line.split()) for line in dialogue] == [
        "0:00.0 · opened: from +15550100001, to +15550100002, direction inbound",
        "0:01.0 · connected: session_id VX1, language en-US",
        "0:02.0 agent Welcome to the shop.",
        "0:03.0 caller Are you open?",
        "0:04.0 agent We are open [not heard: from nine to five.] 12 ms",
        "0:07.0 caller (pressed 1#)",
        "0:08.0 · closed: status completed, duration_s 9.0",
    ]


def test_show_tells_a_reply_that_nobody_heard(url: str) -> None:
    journaled(url, {"CA1": [Replied(1, "VX1", "Hello", True), Heard(1, "VX1", "")]})
    assert "[not heard: Hello]" in run("show", "CA1").output


def test_show_tells_what_twilio_told_but_not_that_somebody_spoke(url: str) -> None:
    told = [Notified(name) for name in ("PARTICIPANT_ADDED", "COMMUNICATION_CREATED", "SOMETHING_NEW")]
    journaled(url, {"CA1": [*told, Analysed("intelligence_operator_1", "Wants a refund.")]})
    output = run("show", "CA1").output
    assert all(word in output for word in ("PARTICIPANT_ADDED", "SOMETHING_NEW", "Wants a refund."))
    assert "COMMUNICATION_CREATED" not in output
    assert "COMMUNICATION_CREATED" in run("show", "CA1", "--json").output


def test_show_tells_what_tools_did_and_what_was_done_after_the_call(url: str) -> None:
    journaled(
        url,
        {
            "CA1": [
                Opened(),
                Connected("VX1", "en-US", {"caller": "+15550100001"}),
                Typing("1"),
                ToolCalled(1, "call_1", "order_status", '{"number": 81}'),
                ToolReturned(1, "call_1", "order_status", "It leaves today.", 120.4),
                Replied(1, "VX1", "It leaves today.", True),
                Played(1, "VX1", 16),
                FollowedUp("report", "delivered"),
            ]
        },
    )
    lines = run("show", "CA1").output.split("\n\n")[1].splitlines()
    assert [" ".join(line.split()[1:]) for line in lines] == [
        "· opened",
        "· connected: session_id VX1, language en-US",
        '· tool: order_status {"number": 81}',
        "· tool: order_status returned after 120 ms: It leaves today.",
        "agent It leaves today.",
        "· follow-up: report delivered",
    ]


def test_show_as_json_has_the_call_the_history_and_the_events(url: str) -> None:
    journaled(url, {"CA1": CALL})
    shown = json.loads(run("show", "CA1", "--json").output)
    assert shown["call"]["status"] == "completed"
    assert shown["history"] == [
        {"role": "assistant", "content": "Welcome to the shop."},
        {"role": "user", "content": "Are you open?"},
        {"role": "assistant", "content": "We are open"},
        {"role": "user", "content": "(pressed 1#)"},
    ]
    assert [entry["event"]["kind"] for entry in shown["events"]] == [
        *("opened", "connected", "reply", "prompt", "reply", "reply", "heard", "keys", "closed")
    ]


@pytest.mark.parametrize(
    "arguments", [["show", "CA1"], ["show", "CA1", "--json"], ["list"], ["list", "--json"]]
)
def test_nothing_a_caller_says_steers_the_terminal(url: str, arguments: list[str]) -> None:
    nasty = "\x1b[2J\x1b]0;owned\x07\x9b1m\u202e[bold]not bold[/bold][/nonsense]\r"
    journaled(
        url,
        {
            "CA1": [
                Opened(nasty, nasty, nasty),
                Prompted(nasty),
                Pressed(nasty),
                Replied(1, "VX1", nasty),
                Closed(nasty),
            ]
        },
    )
    result = run(*arguments)
    assert result.exit_code == 0, result.exception
    assert not {"\x1b", "\x07", "\x9b", "\u202e", "\r"} & set(result.output)
    assert "[bold]" in result.output


def test_emoji_and_joined_letters_stay_whole(url: str) -> None:
    journaled(url, {"CA1": [Prompted("👩\u200d🚒 می\u200cخواهم")]})
    assert "👩\u200d🚒 می\u200cخواهم" in run("show", "CA1").output


def test_the_beginning_of_an_id_is_enough_where_it_is_one_calls(url: str) -> None:
    journaled(url, {"CA1a": CALL, "CA1b": CALL[:1], "CA1": CALL[:1]})
    assert "We are open" in run("show", "CA1a").output
    assert json.loads(run("show", "CA1", "--json").output)["call"]["call_sid"] == "CA1"
    several = run("show", "CA")
    assert several.exit_code == 2
    assert several.output.startswith("Error: CA is the beginning of several ids:\n  CA1")
    assert run("export", "CA1b").output.count("CA1b") >= 1
    assert run("show", "CA_").exit_code == 2, "an underscore is no wildcard"


def test_an_unknown_call_is_a_clear_error(url: str) -> None:
    journaled(url, {"CA1": CALL})
    result = run("show", "CA2")
    assert result.exit_code == 2
    assert result.output == "Error: There is no call CA2 in this journal: see `voice-app calls list`.\n"


@pytest.mark.parametrize("arguments", [["list"], ["show", "CA1"]])
def test_a_missing_journal_is_a_clear_error_and_is_not_made(
    url: str, arguments: list[str], tmp_path: Path
) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "There is no journal at sqlite:///calls.db" in result.output
    assert list(tmp_path.iterdir()) == []


def test_the_option_beats_the_environment(url: str) -> None:
    journaled("sqlite:///other.db", {"CA7": CALL})
    result = run("list", "--database-url", "sqlite:///other.db")
    assert result.exit_code == 0
    assert "CA7" in result.output


def test_without_either_it_is_the_server_s_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VOICE_APP_DATABASE_URL", raising=False)
    journaled("sqlite:///voice-app.db", {"CA8": CALL})
    assert "CA8" in run("list").output


@pytest.mark.parametrize("command", ["list", "show", "export", "forget", "purge"])
def test_help_has_an_example(command: str) -> None:
    assert f"voice-app calls {command}" in run(command, "--help").output


def test_nothing_wraps_in_a_pipe(url: str) -> None:
    said = "word " * 100
    journaled(url, {"CA" + "1" * 32: [*CALL[:2], Prompted(said), Closed("completed", 9.0)]})
    lines = run("show", "CA1").output.splitlines()
    assert any(line.endswith(said.strip()) for line in lines)
    assert not any(line.endswith(" ") for line in lines)
