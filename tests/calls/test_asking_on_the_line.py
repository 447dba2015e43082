"""`ask` on a whole call: the phone, the server, the journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.sandbox import recorded, remembered
from voice_app.testing.caller import Caller

pytestmark = pytest.mark.voice_app(agent="support.agents:form")


async def test_a_caller_spells_an_address_and_the_agent_goes_on(caller: Caller) -> None:
    assert await caller.asks("email") == "Gladly. What is your e-mail address?"
    assert (await caller.asks("Oh, I see.")).endswith("letter by letter.")
    answer = await caller.asks("j o h n at example dot com")
    assert answer == "I have j, o, h, n, at example dot com. Is that right?"
    assert await caller.asks("Yes.") == "Thank you, john@example.com."
    assert await caller.asks("Bye") == "You said Bye. Before that there were 9 messages."


async def test_a_pin_that_is_typed_or_said_is_in_no_record(caller: Caller, tmp_path: Path) -> None:
    await caller.asks("pin")
    await caller.presses("47114711")
    await caller.hears("Thank you.")
    await caller.asks("pin")
    assert await caller.asks("four seven one one four seven one one") == "Thank you."
    await caller.hangs_up()
    await caller.state()
    written = repr(await recorded(tmp_path, caller.call.sid))
    assert "47114711" not in written
    assert "four seven" not in written
    history = [line.content for line in await remembered(tmp_path, caller.call.sid)]
    assert [line for line in history if "hidden" in line] == [
        "(pressed keys, hidden)",
        "(said something, hidden)",
    ]


async def test_after_a_break_the_question_is_asked_again_and_its_answer_counts(caller: Caller) -> None:
    question = await caller.asks("size")
    await caller.drops()
    assert await caller.hears(question) == f"{caller.line.settings.resume_greeting} {question}"
    assert await caller.asks("medium") == "Thank you, medium."


async def test_what_was_answered_before_the_break_is_not_asked_again(caller: Caller) -> None:
    await caller.asks("order")
    assert "e-mail" in await caller.asks("large")
    await caller.drops()
    assert (await caller.hears("e-mail")).startswith(f"{caller.line.settings.resume_greeting} ")
    await caller.asks("j o h n at example dot com")
    assert await caller.asks("Yes.") == "Size large for john@example.com."
    assert (await caller.asks("Bye")).startswith("You said Bye.")


async def test_a_secret_stays_one_after_a_break(caller: Caller, tmp_path: Path) -> None:
    question = await caller.asks("pin")
    await caller.drops()
    await caller.hears(question)
    await caller.presses("47114711")
    await caller.hears("Thank you.")
    await caller.hangs_up()
    await caller.state()
    assert "47114711" not in repr(await recorded(tmp_path, caller.call.sid))


@pytest.mark.voice_app(ask_tunes_listening=True)
async def test_the_recognition_is_told_what_a_question_expects(caller: Caller) -> None:
    await caller.asks("size")
    assert await caller.asks("medium") == "Thank you, medium."


@pytest.mark.voice_app(agent="support.agents:plain_form", agent_thread=True)
async def test_a_plain_generator_asks_from_its_thread(caller: Caller) -> None:
    question = await caller.asks("size")
    assert await caller.asks("medium") == "Thank you, medium."
    await caller.asks("size")
    await caller.drops()
    await caller.hears(question)
    assert await caller.asks("small") == "Thank you, small."


@pytest.mark.voice_app(agent="support.agents:plain_form", agent_thread=True)
async def test_a_plain_generator_that_cannot_await_is_told_what_to_write(
    caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    assert await caller.asks("wrong") == caller.line.settings.failure_line
    assert "write ask_in_thread(call, …) instead of ask(call, …)" in caplog.text
