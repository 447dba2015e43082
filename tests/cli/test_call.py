"""``voice-app call``, ``voice-app demo`` and ``voice-app lint``, from outside."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from support.commands import serving, voice_app
from voice_app.cli.call_transcript import TranscriptPrinter
from voice_app.sandbox.phone import HeardReply, PhoneEvent
from voice_app.settings.server import SANDBOX_NUMBER

PACE = ("--pace", "300")


async def test_a_scripted_call_talks_and_cuts_in(tmp_path: Path) -> None:
    async with serving(tmp_path) as base_url:
        result = await voice_app(
            tmp_path, "call", "--url", f"{base_url}/voice", "--say", "When are you open?",
            "--say", "Where are you?", "--interrupt-after", "4", "--keys", "3", *PACE
        )  # fmt: skip
        journal = await voice_app(tmp_path, "calls", "list", "--json")
    assert result.code == 0, result.err
    assert "We are open from — (cut off after 4 words" in " ".join(result.out.split())
    assert "Mill Lane" in result.out
    assert "eighty dollars" in result.out
    assert len(json.loads(journal.out)["calls"]) == 1


async def test_a_typed_call_ends_with_the_input(tmp_path: Path) -> None:
    async with serving(tmp_path) as base_url:
        result = await voice_app(
            tmp_path, "call", "--url", f"{base_url}/voice", *PACE, stdin="/keys 2\n/hang-up\n"
        )
    assert result.code == 0, result.err
    assert "presses 2" in result.out
    assert "hangs up" in result.out


async def test_a_dropped_call_is_taken_up_again(tmp_path: Path) -> None:
    async with serving(tmp_path) as base_url:
        result = await voice_app(
            tmp_path, "call", "--url", f"{base_url}/voice", "--drop", "--say", "Where are you?", *PACE
        )
    assert result.code == 0, result.err
    assert "the line broke for a moment" in result.out
    assert "Mill Lane" in result.out


async def test_a_call_to_nobody_says_what_to_start(tmp_path: Path) -> None:
    result = await voice_app(tmp_path, "call", "--url", "http://127.0.0.1:9/voice", "--say", "Hello?")
    assert result.code == 3
    assert "Start `voice-app serve`" in result.err


async def test_a_server_that_refuses_the_signature_is_reported(tmp_path: Path) -> None:
    async with serving(tmp_path) as base_url:
        result = await voice_app(
            tmp_path, "call", "--url", f"{base_url}/voice", "--say", "Hello?",
            TWILIO_ACCOUNT_SID="AC" + "1" * 32, TWILIO_AUTH_TOKEN="wrong",
            TWILIO_VOICE_PUBLIC_DOMAIN="sandbox.localhost",
        )  # fmt: skip
    assert result.code == 1
    assert "answered 403" in result.out


@asynccontextmanager
async def own_agent(folder: Path, **environment: str) -> AsyncIterator[str]:
    """A server with an agent that has a slow tool, and one that fails; the URL to phone."""
    async with serving(folder, VOICE_APP_AGENT="support.agents:clerk", **environment) as base_url:
        yield f"{base_url}/voice"


def happened(out: str) -> list[str]:
    """Who did what, without the times."""
    return [line[8:].strip().split("  (")[0] for line in out.splitlines()]


async def test_the_next_line_waits_for_the_answer_behind_a_filler_and_a_slow_tool(tmp_path: Path) -> None:
    async with own_agent(tmp_path, VOICE_APP_FILLER_SECONDS="0.2") as url:
        result = await voice_app(
            tmp_path, "call", "--url", url, *PACE, "--say", "Where is my order?", "--say", "Thank you.",
            "--expect", "it  leaves TODAY", "--expect", "You said: Thank you.",
        )  # fmt: skip
    assert result.code == 0, result.out + result.err
    told = happened(result.out)
    lines = [line for line in told if line.startswith(("agent", "caller"))]
    assert lines[1:3] == ["caller  Where is my order?", "agent   Let me look that up."]
    assert lines[-4:-1] == ["agent   It leaves today.", "caller  Thank you.", "agent   You said: Thank you."]
    assert len(lines) == 8, "the filler is heard, too"


async def test_what_was_expected_and_not_heard_fails(tmp_path: Path) -> None:
    async with serving(tmp_path) as base_url:
        result = await voice_app(
            tmp_path, "call", "--url", f"{base_url}/voice", *PACE, "--say", "Where are you?",
            "--expect", "Mill Lane", "--expect", "the moon",
        )  # fmt: skip
    assert result.code == 1
    assert result.err == "Error: Expected, but not heard: the moon\n"


async def test_an_agent_that_failed_fails_the_call(tmp_path: Path) -> None:
    async with own_agent(tmp_path) as url:
        result = await voice_app(tmp_path, "call", "--url", url, *PACE, "--say", "Please break.")
    assert result.code == 1
    assert result.err == "Error: The agent failed: RuntimeError. The server's log tells where.\n"


async def test_a_call_is_told_as_json(tmp_path: Path) -> None:
    async with own_agent(tmp_path) as url:
        result = await voice_app(
            tmp_path, "call", "--url", url, *PACE, "--json", "--say", "Hello?", "--say", "break",
            "--expect", "You said: Hello?", "--expect", "the moon",
        )  # fmt: skip
    told = json.loads(result.out)
    assert (result.code, told["ok"]) == (1, False)
    assert told["call_sid"].startswith("CA")
    assert {"kind": "caller", "text": "Hello?"}.items() <= told["events"][2].items()
    assert told["events"][3]["text"] == "You said: Hello?"
    assert told["events"][3]["first_token_ms"] > 0
    assert told["expected"] == [
        {"text": "You said: Hello?", "heard": True},
        {"text": "the moon", "heard": False},
    ]
    assert told["failures"] == ["RuntimeError"]
    assert told["problems"] == []


async def test_a_script_waits_until_the_agent_has_ended_the_call(tmp_path: Path) -> None:
    async with own_agent(tmp_path) as url:
        result = await voice_app(tmp_path, "call", "--url", url, *PACE, "--say", "Good bye!")
    assert result.code == 0, result.out + result.err
    assert happened(result.out)[-2:] == [
        "agent   Goodbye, and thank you for calling!",
        "line    the call is over",
    ]


async def test_a_script_that_the_call_does_not_wait_for_fails(tmp_path: Path) -> None:
    async with own_agent(tmp_path) as url:
        result = await voice_app(
            tmp_path, "call", "--url", url, *PACE, "--say", "Good bye!", "--say", "Wait!"
        )
    assert result.code == 1
    assert result.err == "Error: The script was not played to its end: the call is over.\n"


async def test_somebody_takes_over_in_the_sandbox_whom_nobody_has_named(tmp_path: Path) -> None:
    async with own_agent(tmp_path) as url:
        result = await voice_app(
            tmp_path,
            "call",
            "--url",
            url,
            *PACE,
            "--say",
            "A person, please.",
            "--say",
            "It is about a refund.",
        )
    assert result.code == 0, result.out + result.err
    told = happened(result.out)
    assert told.index("person  Hello, this is Robin. How can I help?") < told.index(
        "caller  It is about a refund."
    )
    assert "person  I see. I will take care of it." in told


async def test_lines_of_a_pipe_wait_for_their_answers(tmp_path: Path) -> None:
    async with own_agent(tmp_path) as url:
        result = await voice_app(
            tmp_path, "call", "--url", url, *PACE, stdin="/help\nWhere is my order?\n\nThank you.\n"
        )
    assert result.code == 0, result.out + result.err
    told = happened(result.out)
    assert told.index("agent   It leaves today.") < told.index("caller  Thank you.")
    assert "agent   You said: Thank you." in told
    assert "/hang-up" in result.err


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("/hangup", "There is no /hangup: /help tells what there is."),
        ("/keys", "/keys needs some of 0-9, * and #, e.g. /keys 12#"),
        ("/keys 1a", "/keys needs some of 0-9, * and #, e.g. /keys 12#"),
    ],
)
async def test_a_line_that_means_nothing_ends_a_piped_call(tmp_path: Path, line: str, complaint: str) -> None:
    async with serving(tmp_path) as base_url:
        result = await voice_app(
            tmp_path, "call", "--url", f"{base_url}/voice", *PACE, stdin=f"{line}\nWhere are you?\n"
        )
    assert (result.code, result.err) == (2, f"Error: {complaint}\n")
    assert "Where are you?" not in result.out


async def test_the_phone_calls_the_port_of_the_settings(tmp_path: Path) -> None:
    async with serving(tmp_path) as base_url:
        result = await voice_app(
            tmp_path, "call", *PACE, "--say", "Where are you?", VOICE_APP_PORT=base_url.rpartition(":")[2]
        )
    assert result.code == 0, result.err
    assert "Mill Lane" in result.out


def test_words_appear_on_a_terminal_as_they_are_spoken() -> None:
    screen = StringIO()
    printer = TranscriptPrinter(Console(file=screen, force_terminal=True, color_system=None, soft_wrap=True))
    printer(PhoneEvent("word", "We"))
    assert screen.getvalue().endswith("agent   We")
    printer(PhoneEvent("word", " are"))
    assert screen.getvalue().endswith("agent   We are")
    printer(PhoneEvent("interrupt", "We are", HeardReply("We are", 4.0, interrupted=True)))
    printer(PhoneEvent("caller", "Stop."))
    assert [line[8:] for line in screen.getvalue().splitlines()] == [
        "agent   We are —  (cut off after 2 words, first token after 4.0 ms)",
        "caller  Stop.",
    ]


async def test_the_demo_shows_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voice_app.cli.demo.PACE", 300.0)
    result = await voice_app(tmp_path, "demo")
    assert result.code == 0, result.err
    for step in ("cut off after 8 words", "presses 2", "Goodbye!", "STT101", "Every step happened"):
        assert step in result.out
    assert list(tmp_path.iterdir()) == []


async def test_lint_finds_nothing_in_the_templates_that_ship(tmp_path: Path) -> None:
    result = await voice_app(tmp_path, "lint")
    assert (result.code, result.out) == (0, "Clean.\n")


async def test_lint_reads_standard_input_and_reports_as_json(tmp_path: Path) -> None:
    document = '<Response><Connect action="/x"><ConversationRelay url="ws://x/y"/></Connect></Response>'
    result = await voice_app(tmp_path, "lint", "-", "--json", stdin=document)
    assert result.code == 1
    findings = {found["rule"]: found for found in json.loads(result.out)["findings"]}
    assert {rule: found["severity"] for rule, found in findings.items() if found["severity"] != "note"} == {
        "TWI110": "error"
    }
    assert {found["line"] for found in findings.values()} == {1}


async def test_lint_of_a_path_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    result = await voice_app(tmp_path, "lint", "nowhere.xml")
    assert result.code == 2
    assert "there is no such file" in result.err


async def test_the_words_of_a_filler_are_not_counted_by_who_cuts_in(tmp_path: Path) -> None:
    async with serving(
        tmp_path, VOICE_APP_AGENT="support.agents:slow_reader", VOICE_APP_FILLER_SECONDS="0.2"
    ) as base_url:
        result = await voice_app(
            tmp_path, "call", "--url", f"{base_url}/voice", *PACE, "--say", "Read to me.",
            "--say", "Stop, please.", "--interrupt-after", "4",
        )  # fmt: skip
    assert result.code == 0, result.out + result.err
    assert "agent   One moment, please.  (" in result.out
    assert "agent   It was a dark —  (cut off after 4 words" in result.out


async def test_a_script_speaks_first_where_nobody_greets(tmp_path: Path) -> None:
    (tmp_path / "numbers.toml").write_text(f'["{SANDBOX_NUMBER}"]\ngreeting = ""\n')
    async with serving(tmp_path, VOICE_APP_NUMBERS=f"{tmp_path}/numbers.toml") as base_url:
        result = await voice_app(
            tmp_path, "call", "--url", f"{base_url}/voice", *PACE, "--say", "Where are you?",
            "--expect", "Mill Lane", "--json",
        )  # fmt: skip
    assert result.code == 0, result.out + result.err
    events = json.loads(result.out)["events"]
    assert [event["kind"] for event in events][:2] == ["session", "caller"]
    assert events[1]["at"] < 20
