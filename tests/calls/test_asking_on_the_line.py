"""`ask` on a whole call: the phone, the server, the journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.sandbox import recorded, remembered, sandbox


async def test_a_caller_spells_an_address_and_the_agent_goes_on(tmp_path: Path) -> None:
    async with sandbox(tmp_path, agent="support.agents:form") as server, server.call() as call:
        await call.reply()
        assert (await call.ask("email")).text == "Gladly. What is your e-mail address?"
        assert (await call.ask("Oh, I see.")).text.endswith("letter by letter.")
        answer = await call.ask("j o h n at example dot com")
        assert answer.text == "I have j, o, h, n, at example dot com. Is that right?"
        assert (await call.ask("Yes.")).text == "Thank you, john@example.com."
        assert (await call.ask("Bye")).text == "You said Bye. Before that there were 9 messages."
    assert call.problems == []


async def test_a_pin_that_is_typed_or_said_is_in_no_record(tmp_path: Path) -> None:
    async with sandbox(tmp_path, agent="support.agents:form") as server, server.call() as call:
        await call.reply()
        await call.ask("pin")
        await call.press("47114711")
        assert (await call.reply()).text == "Thank you."
        await call.ask("pin")
        assert (await call.ask("four seven one one four seven one one")).text == "Thank you."
    assert call.problems == []
    written = repr(await recorded(tmp_path, call.sid))
    assert "47114711" not in written
    assert "four seven" not in written
    assert [line.content for line in await remembered(tmp_path, call.sid) if "hidden" in line.content] == [
        "(pressed keys, hidden)",
        "(said something, hidden)",
    ]


async def test_after_a_break_the_question_is_asked_again_and_its_answer_counts(tmp_path: Path) -> None:
    async with sandbox(tmp_path, agent="support.agents:form") as server, server.call() as call:
        await call.reply()
        question = (await call.ask("size")).text
        await call.drop()
        assert (await call.reply()).text == server.settings.resume_greeting
        assert (await call.reply()).text == question
        assert (await call.ask("medium")).text == "Thank you, medium."
    assert call.problems == []


async def test_what_was_answered_before_the_break_is_not_asked_again(tmp_path: Path) -> None:
    async with sandbox(tmp_path, agent="support.agents:form") as server, server.call() as call:
        await call.reply()
        await call.ask("order")
        assert "e-mail" in (await call.ask("large")).text
        await call.drop()
        assert (await call.reply()).text == server.settings.resume_greeting
        assert "e-mail" in (await call.reply()).text
        await call.ask("j o h n at example dot com")
        assert (await call.ask("Yes.")).text == "Size large for john@example.com."
        assert (await call.ask("Bye")).text.startswith("You said Bye.")
    assert call.problems == []


async def test_a_secret_stays_one_after_a_break(tmp_path: Path) -> None:
    async with sandbox(tmp_path, agent="support.agents:form") as server, server.call() as call:
        await call.reply()
        question = (await call.ask("pin")).text
        await call.drop()
        await call.reply()
        assert (await call.reply()).text == question
        await call.press("47114711")
        assert (await call.reply()).text == "Thank you."
    assert call.problems == []
    assert "47114711" not in repr(await recorded(tmp_path, call.sid))


async def test_the_recognition_is_told_what_a_question_expects(tmp_path: Path) -> None:
    tuned = sandbox(tmp_path, agent="support.agents:form", ask_tunes_listening=True)
    async with tuned as server, server.call() as call:
        await call.reply()
        await call.ask("size")
        assert (await call.ask("medium")).text == "Thank you, medium."
    assert call.problems == []


async def test_a_plain_generator_asks_from_its_thread(tmp_path: Path) -> None:
    thread = sandbox(tmp_path, agent="support.agents:plain_form", agent_thread=True)
    async with thread as server, server.call() as call:
        await call.reply()
        await call.ask("size")
        assert (await call.ask("medium")).text == "Thank you, medium."
        await call.ask("size")
        await call.drop()
        await call.reply()
        await call.reply()
        assert (await call.ask("small")).text == "Thank you, small."
    assert call.problems == []


async def test_a_plain_generator_that_cannot_await_is_told_what_to_write(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    thread = sandbox(tmp_path, agent="support.agents:plain_form", agent_thread=True)
    async with thread as server, server.call() as call:
        await call.reply()
        assert (await call.ask("wrong")).text == server.settings.failure_line
    assert "write ask_in_thread(call, …) instead of ask(call, …)" in caplog.text
