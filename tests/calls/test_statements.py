"""Disclosures on a whole call: said first, heard to their end, and in the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.sandbox import database, sandbox
from voice_app.followups.report import report_of
from voice_app.journal import Journal
from voice_app.sandbox.phone import Person

DISCLOSURE = "This call is recorded. You can object at any time."
GREETING = "Good morning! How can I help?"
SLOW = 40.0
"""Words per second: slow enough to speak while something is said."""


async def statements(folder: Path, call_sid: str) -> list[tuple[str, bool]]:
    async with Journal(database(folder)) as journal:
        report = await report_of(journal, call_sid)
    assert report is not None
    return [(said.text, said.heard_whole) for said in report.statements]


def disclosing(folder: Path, **changes: Any) -> Any:
    return sandbox(folder, agent="support.agents:echo", disclosure=DISCLOSURE, greeting=GREETING, **changes)


async def test_a_disclosure_comes_before_the_greeting_and_is_reported(tmp_path: Path) -> None:
    async with disclosing(tmp_path) as server, server.call() as call:
        assert (await call.reply()).text == DISCLOSURE
        assert (await call.reply()).text == GREETING
        assert "welcomeGreeting" not in call.documents[0]
        assert (await call.ask("Hello?")).text.startswith("You said: Hello?")
    assert call.problems == []
    assert await statements(tmp_path, call.sid) == [(DISCLOSURE, True)]


async def test_who_speaks_during_a_disclosure_hears_it_out_and_is_then_answered(tmp_path: Path) -> None:
    async with disclosing(tmp_path, pace=SLOW) as server, server.call() as call:
        await call.say("I want to order.")
        assert [(await call.reply()).text for _ in range(2)] == [DISCLOSURE, GREETING]
        assert (await call.reply()).text.startswith("You said: I want to order.")
    assert call.problems == []
    assert await statements(tmp_path, call.sid) == [(DISCLOSURE, True)]


async def test_a_disclosure_is_said_again_after_a_break_only_if_it_was_not_heard(tmp_path: Path) -> None:
    async with disclosing(tmp_path, pace=SLOW) as server, server.call() as call:
        await call.drop()
        assert (await call.reply()).text in (server.settings.resume_greeting, GREETING)
        assert (await call.reply()).text == DISCLOSURE
        await call.ask("Hello?")
        await call.drop()
        assert (await call.reply()).text == server.settings.resume_greeting
        assert (await call.ask("Are you there?")).text.startswith("You said: Are you there?")
    assert call.problems == []
    assert await statements(tmp_path, call.sid) == [(DISCLOSURE, False), (DISCLOSURE, True)]


async def test_an_agent_is_interrupted_and_its_statement_is_heard_all_the_same(tmp_path: Path) -> None:
    async with sandbox(tmp_path, agent="support.agents:consenting") as server, server.call() as call:
        await call.reply()
        await call.say("When are you open?")
        assert "One thing before that.".startswith((await call.interrupt("Hello?", after_words=2)).text)
        assert (await call.reply()).text == "This call is recorded for training."
        assert (await call.reply()).text == "One thing before that."
    assert (await statements(tmp_path, call.sid))[1] == ("This call is recorded for training.", True)


PEOPLE: dict[str, Any] = {"handoff_to": ("+15550100010",), "answer": "people", "language": "de-DE"}
SAID = f'<Say language="de-DE">{DISCLOSURE}</Say>'


async def test_where_people_answer_first_a_disclosure_is_said_before_they_are_rung(tmp_path: Path) -> None:
    async with (
        disclosing(tmp_path, **PEOPLE) as server,
        server.call(Person("answers", says=["Good morning."])) as call,
    ):
        assert (await call.reply()).text == DISCLOSURE
        await call.hang_up()
    document = call.documents[0]
    assert document.index(SAID) < document.index("<Dial")
    assert "answerOnBridge" not in document
    assert call.problems == []


async def test_a_disclosure_is_said_once_however_many_people_are_rung(tmp_path: Path) -> None:
    people = {**PEOPLE, "handoff_to": ("+15550100010", "+15550100011")}
    async with (
        disclosing(tmp_path, **people) as server,
        server.call(Person("busy"), Person("busy")) as call,
    ):
        await call.over.wait()
    assert sum(DISCLOSURE in document for document in call.documents) == 1
    assert call.problems == []


async def test_a_number_without_a_disclosure_lets_people_be_rung_at_once(tmp_path: Path) -> None:
    async with sandbox(tmp_path, **PEOPLE) as server, server.call(Person("busy")) as call:
        await call.over.wait()
    assert "<Say" not in call.documents[0]
    assert "answerOnBridge" in call.documents[0]


async def test_an_agent_that_gets_the_caller_back_from_people_knows_what_they_have_heard(
    tmp_path: Path,
) -> None:
    people = {**PEOPLE, "handoff_then": "agent", "handoff_return_line": "Nobody is free."}
    async with disclosing(tmp_path, **people) as server, server.call(Person("busy")) as call:
        said = [(await call.reply()).text for _ in range(2)]
        assert (await call.ask("Hello?")).text.startswith("You said: Hello?")
    assert said == [DISCLOSURE, "Nobody is free."]
    assert call.problems == []
    assert await statements(tmp_path, call.sid) == [(DISCLOSURE, True)]


async def test_a_caller_who_hangs_up_on_a_disclosure_has_not_heard_it(tmp_path: Path) -> None:
    async with disclosing(tmp_path, pace=SLOW, **PEOPLE) as server, server.call(Person("answers")) as call:
        await call.hang_up()
    assert await statements(tmp_path, call.sid) == [(DISCLOSURE, False)]
