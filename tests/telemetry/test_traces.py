"""Spans of calls, as a collector gets them: one trace a call on all servers, and nothing that was said."""

from __future__ import annotations

import json
import pkgutil
import sys
import timeit
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import opentelemetry.semconv._incubating.attributes as incubating
import opentelemetry.semconv.attributes as stable
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import SecretStr

from support.model import Answer, ScriptedModel
from support.otlp import Collector, collecting
from support.receiver import SECRET, receiving
from support.sandbox import sandbox
from voice_app.sandbox.phone import Person
from voice_app.settings import SettingsError
from voice_app.telemetry import attributes, trace_export, traces
from voice_app.telemetry.otel import OpenTelemetry, call_span_id, trace_id
from voice_app.telemetry.scope import about

WORDS: Final = ("Wolpertinger", "Xylophone", "+15550199822")
NAMES: Final = {value for name, value in vars(attributes).items() if name.isupper()}


async def talk(folder: Path, model: ScriptedModel, collector: Collector, **changes: Any) -> str:
    """A call with everything that makes a span. Returns its CallSid."""
    arguments = json.dumps({"reason": "billing", "summary": f"Wants a {WORDS[1]}."})
    chat: dict[str, Any] = {"agent": "chat", "model": "test", "openai_base_url": model.base_url}
    async with receiving() as receiver:
        report = {"report_url": receiver.url, "report_secret": SecretStr(SECRET), "followup_seconds": 0.0}
        settings = {**chat, **report, "handoff_to": ("+15550100010",), "trace_url": collector.url, **changes}
        async with (
            sandbox(folder, **settings) as server,
            server.call(Person("answers", says=["Anna here."]), caller=WORDS[2]) as call,
        ):
            await call.reply()
            model.say(f"A {WORDS[0]}?")
            await call.ask(f"I want a {WORDS[1]}.")
            model.answers.append(Answer([b"{}"], 401))
            await call.ask("And now?")
            model.call(("call_1", "transfer_to_person", arguments))
            await call.say("A person, please.")
            assert (await call.reply()).text == "Anna here."
            await call.person_hangs_up()
            await call.over.wait()
            await receiver.get(1)
    return call.sid


async def test_the_spans_of_a_call_are_one_trace(tmp_path: Path, model: ScriptedModel) -> None:
    async with collecting() as collector:
        call_sid = await talk(tmp_path, model, collector)
    (call,) = collector.named("call")
    assert call.trace_id == f"{trace_id(call_sid):032x}"
    assert call.span_id == f"{call_span_id(call_sid):016x}"
    assert call.parent_id == ""
    assert call.attributes["voice_app.call.status"] == "completed"
    assert call.resource["service.name"] == "voice-app"
    of_the_call = [span for span in collector.spans if span.trace_id == call.trace_id]
    assert {span.attributes["gen_ai.conversation.id"] for span in of_the_call} == {call_sid}

    (session,) = collector.named("session")
    assert session.parent_id == call.span_id
    assert session.seconds <= call.seconds
    turns = collector.named("invoke_agent")
    assert [turn.parent_id for turn in turns] == [session.span_id] * 3
    assert [turn.failed for turn in turns] == [False, True, False]
    assert turns[1].attributes["error.type"] == "unauthorized"
    assert session.attributes["voice_app.session.turns"] == 3
    requests = collector.named("chat test")
    assert [request.parent_id for request in requests] == [turn.span_id for turn in turns]
    assert requests[0].kind == 3  # a client's
    assert requests[0].attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert requests[0].attributes["gen_ai.response.time_to_first_chunk"] > 0
    (tool,) = collector.named("execute_tool transfer_to_person")
    assert tool.parent_id == turns[2].span_id
    (leg,) = collector.named("handoff leg")
    assert leg.parent_id == call.span_id
    assert leg.attributes["voice_app.outcome"] == "finished"
    (report,) = collector.named("follow-up report")
    assert report.parent_id == call.span_id
    assert report.attributes["voice_app.outcome"] == "delivered"
    asked = [span for span in of_the_call if span.name.endswith(" conversations")]
    assert asked
    assert all(span.attributes["server.address"] == "127.0.0.1" for span in asked)
    assert {name for span in collector.spans for name in span.attributes} <= NAMES


async def test_nothing_that_was_said_is_in_a_span(tmp_path: Path, model: ScriptedModel) -> None:
    async with collecting() as collector:
        await talk(tmp_path, model, collector)
    sent = b"".join(collector.bodies)
    assert sent
    for word in WORDS:
        assert word.encode() not in sent
        assert word.removeprefix("+").encode() not in sent


async def test_what_was_said_is_in_them_if_that_is_wanted(tmp_path: Path, model: ScriptedModel) -> None:
    async with collecting() as collector:
        await talk(tmp_path, model, collector, trace_content=True)
    first = collector.named("chat test")[0].attributes
    assert json.loads(first["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": f"A {WORDS[0]}?"}]}
    ]
    assert json.loads(first["gen_ai.input.messages"])[-1]["parts"][0]["content"] == f"I want a {WORDS[1]}."
    turn = collector.named("invoke_agent")[0].attributes
    assert WORDS[1] in turn["gen_ai.input.messages"]
    tool = collector.named("execute_tool transfer_to_person")[0].attributes
    assert WORDS[1] in tool["gen_ai.tool.call.arguments"]


def test_two_servers_record_one_trace() -> None:
    exporters = InMemorySpanExporter(), InMemorySpanExporter()
    for exporter in exporters:
        with traces.recorded_by(OpenTelemetry(SimpleSpanProcessor(exporter))), about("CA1"):
            with traces.span("session", {}, level="session"), traces.span("invoke_agent", {}, level="turn"):
                pass
            traces.past("handoff leg", "CA1", 1.0, 2.0, {})
    with traces.recorded_by(OpenTelemetry(SimpleSpanProcessor(exporters[1]))):
        traces.call_over("CA1", 1.0, 3.0, {})
    spans = [span for exporter in exporters for span in exporter.get_finished_spans()]
    assert len(spans) == 7
    assert {span.context.trace_id for span in spans if span.context} == {trace_id("CA1")}
    assert len({span.context.span_id for span in spans if span.context}) == 7


def test_a_span_that_fails_tells_no_text() -> None:
    exporter = InMemorySpanExporter()
    with (
        traces.recorded_by(OpenTelemetry(SimpleSpanProcessor(exporter))),
        pytest.raises(ValueError, match="secret"),
        traces.span("work", {}),
    ):
        raise ValueError("secret")
    (span,) = exporter.get_finished_spans()
    assert span.attributes == {"error.type": "ValueError"}
    assert span.status.description is None
    assert not span.events


def test_without_a_call_a_span_has_a_trace_of_its_own() -> None:
    exporter = InMemorySpanExporter()
    with (
        traces.recorded_by(OpenTelemetry(SimpleSpanProcessor(exporter))),
        traces.span("GET conversations", {}),
    ):
        pass
    (span,) = exporter.get_finished_spans()
    assert span.parent is None


def test_names_of_the_conventions_are_those_of_their_package() -> None:
    known = {
        value
        for package in (incubating, stable)
        for module in pkgutil.iter_modules(package.__path__)
        for value in vars(import_module(f"{package.__name__}.{module.name}")).values()
        if isinstance(value, str)
    }
    assert {name for name in NAMES if not name.startswith("voice_app.")} <= known


def test_the_extra_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "voice_app.telemetry.otel")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SettingsError) as error:
        trace_export.span_maker("http://127.0.0.1:4318/v1/traces", content=False)
    assert "pip install 'voice-app[otel]'" in error.value.problems[0]


def test_what_is_off_costs_next_to_nothing() -> None:
    def turn() -> None:
        with traces.span("invoke_agent", {}, level="turn"):
            pass

    def nothing() -> None:
        pass

    ours, floor = (min(timeit.repeat(run, number=10_000, repeat=5)) for run in (turn, nothing))
    assert (
        ours - floor
    ) / 10_000 < 20e-6  # seconds a turn: some tenths of a microsecond where nobody else runs
