"""``voice-app call --person``: the other side of a handoff, from outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.commands import serving, voice_app

PEOPLE = {"VOICE_APP_HANDOFF_TO": "+15550100010,+15550100011"}
SCRIPT = ("--pace", "200", "--say", "I want to speak to a person.", "--say", "It is about order 81.")


async def test_a_script_goes_on_with_the_person_who_takes_the_call(tmp_path: Path) -> None:
    async with serving(tmp_path, **PEOPLE) as base_url:
        result = await voice_app(
            tmp_path, "call", "--url", f"{base_url}/voice", *SCRIPT, "--person", "busy", "--person", "answers"
        )
    assert result.code == 0, result.out + result.err
    happened = [line[8:].strip() for line in result.out.splitlines()]
    for wanted in (
        "line    a transcription begins: handoff",
        "line    rings +15550100010",
        "line    nobody reached: busy",
        "line    rings +15550100011",
        "person  presses 1",
        "line    the caller and the person hear each other",
        "person  Hello, this is Robin. How can I help?",
        "caller  It is about order 81.",
        "person  I see. I will take care of it.",
    ):
        assert wanted in happened
        happened = happened[happened.index(wanted) :]


@pytest.mark.parametrize("kind", ["no-answer", "declines", "voicemail"])
async def test_a_script_leaves_a_message_where_nobody_takes_the_call(tmp_path: Path, kind: str) -> None:
    async with serving(tmp_path, **PEOPLE) as base_url:
        result = await voice_app(tmp_path, "call", "--url", f"{base_url}/voice", *SCRIPT, "--person", kind)
    assert result.code == 0, result.out + result.err
    assert "recorded: It is about order 81." in result.out
    assert "Thank you for your message" in result.out


async def test_a_kind_of_person_that_there_is_not_is_named(tmp_path: Path) -> None:
    result = await voice_app(tmp_path, "call", "--person", "nobody")
    assert result.code == 2
    assert "'nobody' is none of answers, busy, no-answer, declines, voicemail" in result.err
