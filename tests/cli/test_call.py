"""``voice-app call``, ``voice-app demo`` and ``voice-app lint``, from outside."""

from __future__ import annotations

import json
from pathlib import Path

from support.commands import serving, voice_app

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


async def test_the_demo_shows_every_step(tmp_path: Path) -> None:
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
    (finding,) = json.loads(result.out)["findings"]
    assert finding["severity"] == "error"
    assert finding["line"] == 1


async def test_lint_of_a_path_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    result = await voice_app(tmp_path, "lint", "nowhere.xml")
    assert result.code == 2
    assert "there is no such file" in result.err
