"""Everything that the server measures is measured on calls, and has a bound on its series."""

from __future__ import annotations

import errno
import gc
import os
import re
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import SecretStr

from support.model import Answer, ScriptedModel, event
from support.receiver import SECRET, receiving
from support.sandbox import sandbox
from support.waiting import until
from voice_app.journal import Journal
from voice_app.runtime import Admission, CallRegistry, CollectorPauses, Peers, ProcessGauges
from voice_app.runtime.gauges import FEW_DESCRIPTORS, Descriptors
from voice_app.sandbox.phone import Person
from voice_app.telemetry import metrics
from voice_app.telemetry.families import MAX_SERIES, OTHER, MetricSet
from voice_app.telemetry.metrics import METRICS, STAGES

TESTS: Final = Path(__file__).parents[1]
SHOWN_ELSEWHERE: Final = {
    "voice_app_loop_lag_seconds": "runtime/test_capacity.py",
    "voice_app_loop_lag_longest_seconds": "runtime/test_capacity.py",
    "voice_app_calls_purged_total": "journal/test_upkeep.py",
    "voice_app_call_alarms_total": "calls/test_double_billing.py",
    "voice_app_cost_today": "runtime/test_budget.py",
    "voice_app_budget_exceeded": "runtime/test_budget.py",
    "voice_app_twilio_alerts_total": "webhooks/test_debugger.py",
    "voice_app_guard_refusals": "guard/test_watch.py",
    "voice_app_findings": "guard/test_watch.py",
    "voice_app_guard_checks_total": "guard/test_watch.py",
    "voice_app_peers": "telemetry/test_metrics.py",
    "voice_app_journal_lost_total": "journal/test_writer.py",
    "voice_app_journal_waiting": "journal/test_writer.py",
    "voice_app_journal_spooled": "journal/test_writer.py",
    "voice_app_loop_blocks_total": "runtime/test_watchdog.py",
    "voice_app_loop_blocked_seconds_total": "runtime/test_watchdog.py",
    "voice_app_speculations_total": "webhooks/test_webhooks.py",
    "voice_app_speculation_saved_seconds_total": "webhooks/test_webhooks.py",
    "voice_app_requests_refused_total": "webhooks/test_webhooks.py",
}
"""Where a test shows what does not happen on the calls of this module, by metric."""
REFUSED: Final = Answer([b"{}"], 401)


@pytest.fixture(autouse=True)
def nothing_counted() -> Iterator[None]:
    METRICS.reset()
    yield
    METRICS.reset()


def counted() -> set[str]:
    """The names of the metrics of which a series is not 0."""
    found = set()
    for family in METRICS.families:
        kept = family.samples()
        for collected in METRICS.registry.collect():
            for sample in collected.samples:
                if sample.name in kept and sample.value:
                    found.add(family.name)
    return found


def answer_with_usage(text: str) -> Answer:
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "prompt_tokens_details": {"cached_tokens": 400},
    }
    chunks = [
        {"choices": [{"delta": {"content": text}}]},
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": usage},
    ]
    return Answer([*(event(chunk) for chunk in chunks), b"data: [DONE]\n\n"])


async def talk(folder: Path, model: ScriptedModel) -> None:
    """A call with a model: it answers, is cut in on, calls a tool, fails, and hands the caller over."""
    transfer = '{"reason":"billing","summary":"Wants a refund."}'
    settings: dict[str, Any] = {"agent": "chat", "model": "test", "openai_base_url": model.base_url}
    async with (
        receiving() as receiver,
        sandbox(
            folder,
            **settings,
            model_price=(2.0, 10.0, 1.0),
            handoff_to=("+15550100010",),
            report_url=receiver.url,
            report_secret=SecretStr(SECRET),
            followup_seconds=0.0,
        ) as server,
        server.call(Person("answers", says=["Anna here."])) as call,
    ):
        receiver.answers, receiver.headers = [503], {"Retry-After": "0"}  # a follow-up is tried again
        await call.reply()
        model.answers.append(answer_with_usage("One two three four five six seven eight."))
        await call.say("Tell me.")
        model.call(("call_1", "no_such_tool", "{}"))
        model.say("There is no such thing.")
        heard = await call.interrupt("Look it up.", after_words=2)
        assert heard.text == "One two"
        assert (await call.reply()).text == "There is no such thing."
        model.answers += [REFUSED]
        assert (await call.ask("And now?")).text == server.settings.failure_line
        assert call.session is not None
        await call.session.send_raw("{")
        model.call(("call_2", "transfer_to_person", transfer))
        await call.say("A person, please.")
        assert (await call.reply()).text == "Anna here."
        gc.collect()
        await call.person_hangs_up()
        await call.over.wait()
        await until(lambda: METRICS.sample("voice_app_calls_ended_total", status="completed"), "the end")
        await receiver.get(2)
        await until(
            lambda: METRICS.sample("voice_app_follow_up_retries_total", step="report"),
            "the retry of a report",
        )


async def be_silent_and_be_turned_away(folder: Path) -> set[str]:
    """Returns what is counted while the call goes on."""
    async with (
        sandbox(folder, silence_seconds=0.3, silence_times=10, max_calls=1) as server,
        server.call() as call,
    ):
        await call.reply()
        async with server.call() as turned_away:
            await turned_away.over.wait()
        assert (await call.reply()).text == server.settings.silence_line
        assert (await call.reply()).text == server.settings.silence_line
        await until(lambda: METRICS.sample("voice_app_calls_open", where="agent"), "the gauge")
        async with server.http.get(f"{server.base_url}/metrics") as response:
            assert response.status == 200
        return counted()


async def lose_the_line(folder: Path, *, reconnect: bool) -> None:
    async with sandbox(folder, agent="support.agents:echo", reconnect=reconnect) as server:
        async with server.call() as call:
            await call.reply()
            await call.ask("Hello?")
            await call.drop()
            await call.ask("Are you still there?")
        assert call.problems == []


async def test_calls_move_every_metric(tmp_path: Path, model: ScriptedModel) -> None:
    folders = [tmp_path / name for name in ("talk", "silence", "reconnect", "resume", "report")]
    for folder in folders:
        folder.mkdir()
    await talk(folders[0], model)
    during = await be_silent_and_be_turned_away(folders[1])
    await lose_the_line(folders[2], reconnect=True)
    await lose_the_line(folders[3], reconnect=False)
    assert {family.name for family in METRICS.families} - counted() - during <= SHOWN_ELSEWHERE.keys()
    stages = {stage for stage in STAGES if METRICS.sample("voice_app_stage_seconds_count", stage=stage)}
    assert stages == set(STAGES)
    for direction, tokens in (("input", 1000), ("output", 200), ("cached", 400)):
        assert METRICS.sample("voice_app_model_tokens_total", model="test", direction=direction) == tokens
    assert METRICS.sample("voice_app_model_cost_total", model="test") == pytest.approx(0.0036)
    assert METRICS.sample("voice_app_model_errors_total", model="test", kind="unauthorized") == 1
    assert METRICS.sample("voice_app_tool_seconds_count", tool="(none)", outcome="error") == 1
    assert METRICS.sample("voice_app_interruptions_total") >= 1
    assert METRICS.sample("voice_app_handoff_steps_total", step="accepted") == 1
    assert METRICS.sample("voice_app_twilio_request_seconds_count", product="conversations", outcome="ok") > 0


def test_what_is_shown_elsewhere_is_shown_there() -> None:
    names = {
        family.name: constant
        for constant, family in vars(metrics).items()
        if constant.isupper() and hasattr(family, "label_names")
    }
    for name, path in SHOWN_ELSEWHERE.items():
        text = (TESTS / path).read_text("utf-8")
        told = (name, name.removeprefix("voice_app_journal_"), f"metrics.{names[name]}")
        assert any(form in text for form in told), name


async def test_the_other_servers_are_told_by_their_state(postgres_url: str) -> None:
    registry = CallRegistry()
    admission = Admission(registry)
    async with Journal(postgres_url) as ours, Journal(postgres_url) as others:
        await others.beat("draining")
        peers = Peers(ours, admission)
        await peers.update()
        ProcessGauges(registry, peers, 7).tell()
    assert METRICS.sample("voice_app_peers", state="draining") == 1
    assert METRICS.sample("voice_app_peers", state="ready") == 0
    assert METRICS.sample("voice_app_calls_max") == 7


def test_a_pause_of_the_collector_is_noted_where_it_happens_and_told_later() -> None:
    pauses = CollectorPauses()
    pauses.start()
    gc.collect()
    name = "voice_app_collector_pause_seconds_count"
    assert METRICS.sample(name, generation="2") == 0
    pauses.stop()
    assert METRICS.sample(name, generation="2") == 1
    gc.collect()
    pauses.tell()
    assert METRICS.sample(name, generation="2") == 1


# --- families -------------------------------------------------------------------------------------


def test_a_family_has_a_bound_on_its_series() -> None:
    made = MetricSet()
    family = made.counter("things_total", "Things", ["name"])
    for number in range(MAX_SERIES + 50):
        family.labels(f"name {number}").inc()
    assert made.sample("things_total", name="name 0") == 1
    assert made.sample("things_total", name=OTHER) == 50
    assert made.exposition().count(b"\nthings_total{") == MAX_SERIES + 1


def test_what_was_not_counted_yet_is_told_as_0() -> None:
    made = MetricSet()
    made.counter("things_total", "Things")
    assert b"\nthings_total 0.0\n" in made.exposition()


def test_counting_begins_again_after_a_reset() -> None:
    made = MetricSet()
    things = made.counter("things_total", "Things", ["name"])
    things.labels("one").inc()
    made.reset()
    assert made.sample("things_total", name="one") == 0
    things.labels("one").inc()
    assert made.sample("things_total", name="one") == 1


def test_metrics_are_named_as_prometheus_wants_them() -> None:
    for family in METRICS.families:
        assert re.fullmatch(r"voice_app(_[a-z]+)+", family.name)
        assert family.name.endswith("_total") == (family.kind == "counter"), family.name
        assert family.kind != "histogram" or family.name.endswith("_seconds"), family.name
        assert not family.text.endswith("."), family.name


def test_the_end_of_descriptors_is_told_once_and_when_it_is_over(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    descriptors = Descriptors()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    for left in (FEW_DESCRIPTORS - 1, 3, 0, FEW_DESCRIPTORS):
        monkeypatch.setattr(resource, "getrlimit", lambda _, left=left: (free + left, limit[1]))
        descriptors.tell()
        assert METRICS.sample("voice_app_descriptors_left") == left
    few, again = caplog.messages
    assert few.startswith(f"{FEW_DESCRIPTORS - 1} of {free + FEW_DESCRIPTORS - 1} file descriptors are left")
    assert again == "there are file descriptors again"


def test_no_descriptor_is_left_where_none_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "open", full)
    Descriptors().tell()
    assert METRICS.sample("voice_app_descriptors_left") == 0
