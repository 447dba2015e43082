"""What came of a call: asked from a model, and kept only where somebody said what proves it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from support.commands import voice_app
from support.followups import CALL, CALLER, OURS, Office
from support.model import Answer, ScriptedModel
from support.sandbox import database, happened, recorded, sandbox
from voice_app.agents.loader import AgentError
from voice_app.calls import CallState, SpokenLine
from voice_app.followups import report_of
from voice_app.followups.outcome import DefaultOutcome, OutcomeTask, outcome_schema, proven, read_object
from voice_app.journal import Journal, Selection
from voice_app.journal.events import (
    Closed,
    Concluded,
    Connected,
    Costed,
    FollowedUp,
    Heard,
    ModelUsed,
    Opened,
    OutcomeField,
    Prompted,
    Replied,
)
from voice_app.settings import Settings, SettingsError, load


class Booking(BaseModel):
    """A form of somebody's own."""

    guests: int = Field(ge=1, le=20)
    kind: Literal["table", "room"]


def said(*texts: str) -> list[SpokenLine]:
    return [
        SpokenLine(str(n), float(n), "user" if n % 2 else "assistant", text) for n, text in enumerate(texts)
    ]


HEARD = said(
    "Hello! How can I help?", "I need a table for four.", "It is booked. Anything else?", "No, great!"
)


def form(**fields: tuple[Any, Any]) -> dict[str, Any]:
    return {name: {"value": value, "line": line} for name, (value, line) in fields.items()}


def test_a_field_is_kept_with_the_words_that_prove_it() -> None:
    found = proven(
        DefaultOutcome, form(resolved=(True, "agent: it is BOOKED"), mood=("pleased", "No, great!")), HEARD
    )
    assert found == Concluded(
        "DefaultOutcome",
        (
            OutcomeField("resolved", "true", "agent: it is BOOKED"),
            OutcomeField("mood", '"pleased"', "No, great!"),
        ),
    )


@pytest.mark.parametrize(
    "item",
    [
        {"value": True, "line": "I want a refund."},
        {"value": True, "line": "book"},  # no word of it
        {"value": True, "line": "How can I help? I need a table"},  # two lines in one
        {"value": True, "line": ""},
        {"value": True, "line": "?!"},
        {"value": True, "line": ["It is booked."]},
        {"value": True},
        {"value": "perhaps", "line": "It is booked."},
        True,
    ],
)
def test_what_nobody_said_or_does_not_fit_is_dropped(item: Any) -> None:
    assert proven(DefaultOutcome, {"resolved": item, "other": 1}, HEARD) == Concluded(
        "DefaultOutcome", (), ("resolved",)
    )


def test_what_the_model_leaves_out_is_not_known() -> None:
    told = {"resolved": None, "summary": {"value": None, "line": ""}}
    assert proven(DefaultOutcome, told, HEARD) == Concluded("DefaultOutcome")


def test_the_bounds_of_ones_own_form_hold() -> None:
    four = form(guests=(4, "a table for four"), kind=("table", "I need a table for four."))
    assert [item.value for item in proven(Booking, four, HEARD).fields] == ["4", '"table"']
    wrong = form(guests=(400, "a table for four"), kind=("tent", "I need a table"))
    assert proven(Booking, wrong, HEARD).dropped == ("guests", "kind")


@given(
    st.dictionaries(
        st.sampled_from([*DefaultOutcome.model_fields, "x"]),
        st.recursive(
            st.none() | st.booleans() | st.text() | st.integers(),
            lambda inner: st.dictionaries(st.sampled_from(["value", "line", "x"]), inner) | st.lists(inner),
        ),
    )
)
def test_whatever_a_model_answers_nothing_is_kept_that_was_not_said(told: dict[str, Any]) -> None:
    words = " ".join(line.text.casefold() for line in HEARD)
    for item in proven(DefaultOutcome, told, HEARD).fields:
        assert any(word in words for word in item.line.casefold().split())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}', {"a": 1}),
        ('Here it is:\n```json\n{"a": 1}\n```', {"a": 1}),
        ("", None),
        ("no", None),
        ("}{", None),
        ("[1]", None),
        ("{" * 10_000 + "}" * 10_000, None),
        ('{"a":' * 100_000 + "}", None),
    ],
)
def test_the_object_is_found_in_what_stands_around_it(text: str, found: Any) -> None:
    assert read_object(text) == found


def task(office: Office, model: ScriptedModel, schema: type[BaseModel] = DefaultOutcome) -> OutcomeTask:
    async def account(call_sid: str) -> None:
        accounted.append(call_sid)

    accounted.clear()
    settings = Settings.model_validate({"model": "m", "openai_base_url": model.base_url})
    return OutcomeTask(settings, schema, office.journal, account)


accounted: list[str] = []


def a_call(office: Office) -> None:
    """The caller cut into the second sentence of the agent."""
    office.write(
        Opened(CALLER, OURS, "inbound"),
        Connected("VX1"),
        Prompted("Do you open on Sunday?"),
        Replied(1, "VX1", "We open at nine. Parking is free.", done=True),
        Heard(1, "VX1", "We open at nine."),
        Closed("completed"),
    )


def answered(model: ScriptedModel, **fields: tuple[Any, Any]) -> None:
    model.say(json.dumps(form(**fields)))


async def concluded(office: Office) -> Sequence[Concluded]:
    return CallState.of(await office.journal.events(CALL)).events(Concluded)


async def test_the_model_reads_what_was_heard_and_nothing_else(office: Office, model: ScriptedModel) -> None:
    a_call(office)
    answered(model, resolved=(True, "We open at nine."), reason=("parking", "Parking is free."))
    assert await office.attempt(task(office, model)) is None
    (told,) = await concluded(office)
    assert [item.name for item in told.fields] == ["resolved"]
    assert told.dropped == ("reason",)
    assert await office.outcome("outcome") == ("known", "1 of 5 fields")
    (request,) = model.requests
    assert "Parking" not in str(request)
    assert request["messages"][1]["content"] == "caller: Do you open on Sunday?\nagent: We open at nine."
    assert '"unanswered_question"' in request["messages"][0]["content"]
    assert CallState.of(await office.journal.events(CALL)).tokens["m"].sent > 100
    assert accounted == [CALL]


async def test_a_model_that_is_down_is_asked_again_and_one_that_refuses_is_not(
    office: Office, model: ScriptedModel
) -> None:
    a_call(office)
    model.answers.append(Answer([b"{}"], status=503))
    assert await office.attempt(task(office, model)) is not None
    model.answers.append(Answer([b"{}"], status=401))
    assert await office.attempt(task(office, model), number=1) is None
    assert await office.outcome("outcome") == ("refused", "unauthorized")
    assert await concluded(office) == []


async def test_an_answer_that_is_no_json_is_tried_again_and_then_given_up(
    office: Office, model: ScriptedModel
) -> None:
    a_call(office)
    for number in range(3):
        model.say("I am sorry, I cannot do that.")
        again = await office.attempt(task(office, model), number=number)
        assert (again is None) == (number == 2)
    assert (await office.outcome("outcome"))[0] == "unreadable"


async def test_where_the_caller_said_nothing_there_is_nothing_to_ask(
    office: Office, model: ScriptedModel
) -> None:
    office.write(Opened(CALLER, OURS, "inbound"), Replied(0, "VX1", "Hello!", done=True), Closed("completed"))
    assert await office.attempt(task(office, model)) is None
    assert model.requests == []


class TestOnTheLine:
    async def test_a_call_has_its_outcome_in_report_list_and_terminal(
        self, tmp_path: Path, model: ScriptedModel
    ) -> None:
        model.say("We open at nine.")
        answered(model, resolved=(True, "We open at nine."), mood=("neutral", "When do you open?"))
        settings: dict[str, Any] = {"agent": "chat", "model": "m", "openai_base_url": model.base_url}
        async with sandbox(tmp_path, outcome="default", followup_seconds=0, **settings) as server:
            async with server.call() as call:
                await call.reply()
                await call.ask("When do you open?")
                await call.hang_up()
            await happened(tmp_path, call.sid, FollowedUp, times=2)
        state = CallState.of(await recorded(tmp_path, call.sid))
        assert len(state.events(Concluded)) == 1
        assert state.events(Costed)
        assert sum(isinstance(entry.event, ModelUsed) for entry in await recorded(tmp_path, call.sid)) == 2
        async with Journal(database(tmp_path)) as journal:
            document = await report_of(journal, call.sid)
            wanted = Selection(labels=frozenset({"outcome:resolved=true", "outcome:mood=neutral"}))
            assert [record.call_sid async for record in journal.select(wanted)] == [call.sid]
        assert document is not None
        assert document.outcome is not None
        assert document.outcome.values == {"resolved": True, "mood": "neutral"}
        assert document.outcome.lines["mood"] == "When do you open?"
        shown = await voice_app(
            tmp_path, "calls", "show", call.sid, VOICE_APP_DATABASE_URL=database(tmp_path)
        )
        assert "outcome: resolved true (“We open at nine.”)" in " ".join(shown.out.split())

    async def test_without_a_model_there_is_none_and_the_rest_works(self, tmp_path: Path) -> None:
        async with sandbox(tmp_path, outcome="default", followup_seconds=0) as server, server.call() as call:
            await call.reply()
            await call.ask("When do you open?")
            await call.hang_up()
            await happened(tmp_path, call.sid, Costed)
        assert CallState.of(await recorded(tmp_path, call.sid)).last(Concluded) is None


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("no_such_module:Outcome", "there is no module no_such_module"),
        ("support.model:Nothing", "support.model has no Nothing"),
        ("support.model:ScriptedModel", "is no pydantic model"),
        ("support.model:event", "is no pydantic model"),
    ],
)
def test_a_form_that_cannot_be_used_stops_the_start(name: str, wrong: str) -> None:
    with pytest.raises(AgentError, match=f"VOICE_APP_OUTCOME={name}.*{wrong}"):
        outcome_schema(Settings(model="m", outcome=name))


def test_a_form_of_ones_own_is_found_and_a_malformed_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        outcome_schema(Settings(model="m", outcome="voice_app.followups.outcome:DefaultOutcome"))
        is DefaultOutcome
    )
    monkeypatch.setenv("VOICE_APP_OUTCOME", "what came of it")
    with pytest.raises(SettingsError, match="VOICE_APP_OUTCOME: it should be default, or look like"):
        load()
