"""Disclosures on a whole call: said first, heard to their end, and in the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.sandbox import database, sandbox
from voice_app.followups.report import report_of
from voice_app.journal import Journal
from voice_app.sandbox.phone import Person
from voice_app.testing.caller import Caller
from voice_app.testing.line import PhoneLine

DISCLOSURE = "This call is recorded. You can object at any time."
GREETING = "Good morning! How can I help?"
DISCLOSED = f"{DISCLOSURE} {GREETING}"
PEOPLE: dict[str, Any] = {"handoff_to": ("+15550100010",), "language": "de-DE"}
SAID = f'<Say language="de-DE">{DISCLOSURE}</Say>'

pytestmark = pytest.mark.voice_app(agent="support.agents:echo", disclosure=DISCLOSURE, greeting=GREETING)


async def statements(caller: Caller) -> list[tuple[str, bool]]:
    """What the report has of them once the call is over."""
    await caller.hangs_up()
    await caller.state()
    report = await caller.line.loop.perform(report_of(caller.line.services.journal, caller.call.sid))
    assert report is not None
    return [(said.text, said.heard_whole) for said in report.statements]


async def test_a_disclosure_comes_before_the_greeting_and_is_reported(caller: Caller) -> None:
    assert await caller.hears(GREETING) == DISCLOSED
    assert "welcomeGreeting" not in caller.call.documents[0]
    assert (await caller.asks("Hello?")).startswith("You said: Hello?")
    assert await statements(caller) == [(DISCLOSURE, True)]


async def test_who_speaks_during_a_disclosure_hears_it_out_and_is_then_answered(caller: Caller) -> None:
    await caller.says("I want to order.", at_once=True)
    assert (await caller.hears("You said")).startswith(f"{DISCLOSED} You said: I want to order.")
    assert await statements(caller) == [(DISCLOSURE, True)]


async def test_a_disclosure_is_said_again_after_a_break_only_if_it_was_not_heard(caller: Caller) -> None:
    await caller.calls()
    await caller.drops(at_once=True)
    assert await caller.hears(DISCLOSURE) in (
        f"{caller.line.settings.resume_greeting} {DISCLOSURE}",
        f"{GREETING} {DISCLOSURE}",
    )
    await caller.asks("Hello?")
    await caller.drops()
    assert await caller.hears("line broke") == caller.line.settings.resume_greeting
    assert (await caller.asks("Are you there?")).startswith("You said: Are you there?")
    assert await statements(caller) == [(DISCLOSURE, False), (DISCLOSURE, True)]


async def test_an_agent_is_interrupted_and_its_statement_is_heard_all_the_same(tmp_path: Path) -> None:
    async with sandbox(tmp_path, agent="support.agents:consenting") as server, server.call() as call:
        await call.reply()
        await call.say("When are you open?")
        assert "One thing before that.".startswith((await call.interrupt("Hello?", after_words=2)).text)
        assert (await call.reply()).text == "This call is recorded for training."
        assert (await call.reply()).text == "One thing before that."
    async with Journal(database(tmp_path)) as journal:
        report = await report_of(journal, call.sid)
    assert report is not None
    assert [(said.text, said.heard_whole) for said in report.statements][1] == (
        "This call is recorded for training.",
        True,
    )


@pytest.mark.voice_app(answer="people", **PEOPLE)
async def test_where_people_answer_first_a_disclosure_is_said_before_they_are_rung(
    line: PhoneLine,
) -> None:
    line.people.append(Person("answers", says=["Good morning."]))
    caller = line.caller()
    await caller.hears(DISCLOSURE)
    await caller.hangs_up()
    document = caller.call.documents[0]
    assert document.index(SAID) < document.index("<Dial")
    assert "answerOnBridge" not in document


@pytest.mark.voice_app(answer="people", language="de-DE", handoff_to=("+15550100010", "+15550100011"))
async def test_a_disclosure_is_said_once_however_many_people_are_rung(line: PhoneLine) -> None:
    line.people += [Person("busy"), Person("busy")]
    caller = line.caller()
    await caller.is_hung_up_on()
    assert sum(DISCLOSURE in document for document in caller.call.documents) == 1


@pytest.mark.voice_app(answer="people", **PEOPLE, disclosure="")
async def test_a_number_without_a_disclosure_lets_people_be_rung_at_once(line: PhoneLine) -> None:
    line.people.append(Person("busy"))
    caller = line.caller()
    await caller.is_hung_up_on()
    assert "<Say" not in caller.call.documents[0]
    assert "answerOnBridge" in caller.call.documents[0]


@pytest.mark.voice_app(answer="people", **PEOPLE, handoff_then="agent", handoff_return_line="Nobody is free.")
async def test_an_agent_that_gets_the_caller_back_from_people_knows_what_they_have_heard(
    line: PhoneLine,
) -> None:
    line.people.append(Person("busy"))
    caller = line.caller()
    assert await caller.hears("Nobody") == f"{DISCLOSURE} Nobody is free."
    assert (await caller.asks("Hello?")).startswith("You said: Hello?")
    assert await statements(caller) == [(DISCLOSURE, True)]


@pytest.mark.voice_app(answer="people", **PEOPLE)
async def test_a_caller_who_hangs_up_on_a_disclosure_has_not_heard_it(line: PhoneLine) -> None:
    line.people.append(Person("answers"))
    caller = line.caller()
    await caller.calls()
    assert await statements(caller) == [(DISCLOSURE, False)]
