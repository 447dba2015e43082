"""What the calls of a day cost, and the alarm when it is too much."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path

import pytest

from support.model import ScriptedModel
from support.sandbox import Sandbox, database, happened, recorded, sandbox
from support.waiting import until
from voice_app.calls import CallState
from voice_app.journal import Journal
from voice_app.journal.events import Closed, Costed, FollowedUp, ModelUsed, Priced
from voice_app.runtime import DayBudget, costs_by_day
from voice_app.telemetry.metrics import METRICS

ONE, TWO = "CA" + "1" * 32, "CA" + "2" * 32


async def test_a_call_with_a_model_is_priced_at_its_end(tmp_path: Path, model: ScriptedModel) -> None:
    model.say("One two three.")
    async with (
        sandbox(
            tmp_path, agent="chat", model="m", model_price=(1.0, 2.0), openai_base_url=model.base_url
        ) as server,
        server.call() as call,
    ):
        await call.reply()
        await call.ask("Hello?")
        await call.hang_up()
        await happened(tmp_path, call.sid, Costed)
    state = CallState.of(await recorded(tmp_path, call.sid))
    cost = state.last(Costed)
    assert cost is not None
    assert cost.amount == pytest.approx(0.0785, abs=0.001)
    assert cost.second_engine == 0.027
    assert state.tokens["m"].estimated  # this server counts none
    assert model.requests[-1]["stream_options"] == {"include_usage": True}


async def test_twilio_s_price_is_fetched_where_somebody_cares(tmp_path: Path) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text("[minutes]\nrelay = 0\n", "utf-8")
    async with sandbox(tmp_path, prices=prices, followup_seconds=0) as server:
        await _charge(server, "-0.50000")
        async with server.call() as call:
            await call.reply()
            await call.hang_up()
            await happened(tmp_path, call.sid, Priced)
            await happened(tmp_path, call.sid, FollowedUp, times=2)
    state = CallState.of(await recorded(tmp_path, call.sid))
    assert state.last(Priced) == Priced(0.5, "USD")
    cost = state.last(Costed)
    assert cost is not None
    assert cost.amount == 0.5


async def _charge(server: Sandbox, price: str) -> None:
    url = f"{server.settings.twilio_base_url}/_sandbox/price"
    async with server.http.put(url, json={"price": price}) as answer:
        assert answer.status == 200


async def test_the_alarm_comes_once_and_is_over_the_next_day(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alarms: list[str] = []
    now = datetime.now().astimezone()
    clock = [now.timestamp()]
    async with Journal(database(tmp_path)) as journal:
        budget = DayBudget(journal, 1.0, "USD", alarms.append, clock=lambda: clock[0])
        journal.write(ONE, Costed(0.9, "USD"))
        journal.write(TWO, Costed(50.0, "EUR"))
        await budget.look()
        assert (budget.spent, alarms, METRICS.sample("voice_app_budget_exceeded")) == (0.9, [], 0)
        journal.write(ONE, Costed(0.8, "USD"))  # the last one counts
        journal.write(TWO, Costed(0.4, "USD"))
        with caplog.at_level(logging.ERROR):
            await budget.look()
            await budget.look()
        assert budget.spent == pytest.approx(1.2)
        assert METRICS.sample("voice_app_cost_today") == pytest.approx(1.2)
        assert METRICS.sample("voice_app_budget_exceeded") == 1
        told = "the calls of today have cost 1.20 USD, which is more than VOICE_APP_BUDGET_DAY=1"
        assert alarms == [told]
        assert [record.getMessage() for record in caplog.records] == [f"{told}; calls go on"]
        clock[0] += 24 * 3600
        await budget.look()
    assert alarms == [told, ""]
    assert METRICS.sample("voice_app_budget_exceeded") == 0


async def test_the_days_are_summed_up_with_what_a_second_engine_would_have_cost(tmp_path: Path) -> None:
    async with Journal(database(tmp_path)) as journal:
        first = journal.write(ONE, Costed(1.0, "USD", 0.25))
        journal.write(ONE, Costed(2.0, "USD", 0.5))
        journal.write(TWO, Costed(1.0, "USD", 0.25))
        journal.write(TWO, Closed("completed"))
        found = await costs_by_day(journal, first.at - 60, first.at + 60, "USD")
        nothing = await costs_by_day(journal, first.at + 60, first.at + 120, "USD")
    total = [(day.calls, day.amount, day.second_engine) for day in found.values()]
    assert [sum(column) for column in zip(*total, strict=True)] == [2, 3.0, 0.75]
    assert nothing == {}


async def test_a_spent_budget_is_told_where_the_guard_s_alarms_are(tmp_path: Path) -> None:
    async with sandbox(tmp_path, budget_day=0.01, prices=None) as server, server.call() as call:
        await call.reply()
        await call.hang_up()
        await happened(tmp_path, call.sid, Costed)
    async with sandbox(tmp_path, budget_day=0.01) as server:
        await until(lambda: METRICS.sample("voice_app_budget_exceeded"), "the alarm")
        answer = await server.http.get(f"{server.base_url}/readyz")
        assert answer.status == 200
        assert "have cost" in await answer.text()
        async with server.call() as call:  # calls go on
            assert (await call.reply()).text


async def test_tokens_that_the_endpoint_counts_are_written_down_for_each_answer(tmp_path: Path) -> None:
    async with Journal(database(tmp_path)) as journal:
        journal.write(ONE, ModelUsed("m", 10, 5, 2))
        journal.write(ONE, ModelUsed("m", 10, 5))
        state = CallState.of(await journal.events(ONE))
    used = state.tokens["m"]
    assert (used.sent, used.received, used.cached, used.estimated) == (20, 10, 2, False)
