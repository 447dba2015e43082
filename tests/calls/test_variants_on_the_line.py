"""Which agent has a call, and in which version: split between variants, written down, and told."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import agents
from support.commands import voice_app
from support.sandbox import database, recorded, sandbox
from voice_app.agents.chat import Chat, ChatSettings
from voice_app.agents.loader import version_of
from voice_app.agents.tools import tool
from voice_app.calls import CallState, Parties
from voice_app.followups import report_of
from voice_app.journal import Journal, events
from voice_app.runtime import variant_for
from voice_app.settings import Settings, SettingsError, load

AGENTS = '[polite]\nagent = "support.agents:billing"\n\n[short]\nagent = "support.agents:front_desk"\n'
FIELDS = {"CallerName": "Ann Example", "StirVerstat": "TN-Validation-Passed-A", "SipHeader_x-team": "red"}


def comparing(folder: Path, variants: dict[str, int], **changes: Any) -> Any:
    path = folder / "agents.toml"
    path.write_text(AGENTS, "utf-8")
    return sandbox(folder, agents=path, variants=variants, **changes)


async def state_of(folder: Path, call_sid: str) -> CallState:
    return CallState.of(await recorded(folder, call_sid))


async def test_a_call_goes_to_its_variant_and_says_so_with_the_version(tmp_path: Path) -> None:
    async with comparing(tmp_path, {"polite": 1}) as server, server.call() as call:
        await call.reply()
        assert (await call.ask("Hello?")).text.startswith("Billing, speech Hello?")
    assert call.problems == []
    state = await state_of(tmp_path, call.sid)
    assigned = state.last(events.AgentAssigned)
    assert state.variant == "polite"
    assert assigned is not None
    assert assigned.agent == "polite"
    assert len(assigned.version) == 12
    async with Journal(database(tmp_path)) as journal:
        document = await report_of(journal, call.sid)
    assert document is not None
    assert (document.variant, document.agent, document.agent_version) == (
        "polite",
        "polite",
        assigned.version,
    )


async def test_the_default_variant_is_the_agent_of_the_number(tmp_path: Path) -> None:
    async with comparing(tmp_path, {"default": 5, "polite": 0}) as server, server.call() as call:
        await call.reply()
    state = await state_of(tmp_path, call.sid)
    assert (state.variant, state.agent) == ("default", "")
    assigned = state.last(events.AgentAssigned)
    assert assigned is not None
    assert assigned.agent == "receptionist"


async def test_another_agent_that_gets_the_call_is_written_down_too_and_no_break_repeats_it(
    tmp_path: Path,
) -> None:
    async with comparing(tmp_path, {"short": 1}) as server:
        (tmp_path / "agents.toml").write_text(AGENTS, "utf-8")
        async with server.call() as call:
            await call.reply()
            await call.drop()
            await call.reply()
    state = await state_of(tmp_path, call.sid)
    assert [event.agent for event in state.events(events.AgentAssigned)] == ["short"]


async def test_what_twilio_told_of_the_caller_is_shown_and_reported(tmp_path: Path) -> None:
    sid = "CA" + "7" * 32
    async with sandbox(tmp_path) as server:
        await server.post(
            "/voice",
            CallSid=sid,
            From="+15550100002",
            To="+15550100001",
            ForwardedFrom="+15550100003",
            **FIELDS,
        )
    async with Journal(database(tmp_path)) as journal:
        document = await report_of(journal, sid)
    assert document is not None
    assert document.webhook == {**FIELDS, "ForwardedFrom": "+15550100003"}
    shown = await voice_app(tmp_path, "calls", "show", sid, VOICE_APP_DATABASE_URL=database(tmp_path))
    lines = [" ".join(line.split()) for line in shown.out.splitlines()]
    assert {
        "caller's name Ann Example",
        "caller verified TN-Validation-Passed-A",
        "SipHeader_x-team red",
        "forwarded from +15550100003",
    } <= set(lines)


async def test_a_session_that_was_reconfigured_is_written_down(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server, server.call() as call:
        await call.reply()
        assert "config-updated" in call.documents[0]
        assert call.session is not None
        for value in ('"ttsProvider=Google"', '{"sttProvider":"Google"}'):
            await call.session.send_raw(f'{{"type":"info","name":"configUpdated","value":{value}}}')
        await call.ask("What are your opening hours?")
    found = (await state_of(tmp_path, call.sid)).events(events.Reconfigured)
    assert [event.detail for event in found] == ["ttsProvider=Google", '{"sttProvider":"Google"}']


CALLERS = st.integers(10**9, 10**10 - 1).map(lambda number: f"+49{number}")


@given(CALLERS, st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 100), min_size=1))
def test_a_caller_always_gets_the_same_variant_whoever_calls(caller: str, weights: dict[str, int]) -> None:
    incoming, outgoing = Parties(caller, "+15550100001", "inbound"), Parties("+1555", caller, "outbound-api")
    assert variant_for(weights, incoming, "CA1") == variant_for(weights, outgoing, "CA2")


def test_the_weights_are_shares_of_the_callers() -> None:
    weights = {"default": 80, "polite": 20, "never": 0}
    parties = [Parties(f"+1555{number:07}", "+15550100001") for number in range(4000)]
    found = Counter(variant_for(weights, item, "CA1") for item in parties)
    assert found["never"] == 0
    assert 700 < found["polite"] < 900


def test_who_withholds_the_number_gets_a_variant_for_each_call() -> None:
    weights, hidden = {"a": 1, "b": 1}, Parties("anonymous", "+15550100001")
    assert {variant_for(weights, hidden, f"CA{number}") for number in range(50)} == {"a", "b"}


@pytest.mark.parametrize(
    ("text", "variants"),
    [("default=80, polite=20", {"default": 80, "polite": 20}), ('{"a": 1}', {"a": 1}), ("", {})],
)
def test_variants_are_written_with_commas_or_as_a_table(
    monkeypatch: pytest.MonkeyPatch, text: str, variants: dict[str, int]
) -> None:
    monkeypatch.setenv("VOICE_APP_VARIANTS", text)
    assert load().variants == variants


@pytest.mark.parametrize("text", ["polite", "a=b", "a=0, b=0", "a=-1", '{"a": "x"}'])
def test_variants_that_mean_nothing_are_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("VOICE_APP_VARIANTS", text)
    with pytest.raises(SettingsError, match="VOICE_APP_VARIANTS"):
        load()


async def test_a_variant_that_is_no_agent_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no agent rude in VOICE_APP_AGENTS"):
        async with comparing(tmp_path, {"rude": 1}):
            pass


class TestVersions:
    def chat(self, folder: Path, prompt: str, *tools: Any, **changes: Any) -> Chat:
        path = folder / "prompt.md"
        path.write_text(prompt, "utf-8")
        return Chat(ChatSettings(environment=Settings(prompt=path, model="m", **changes)), tools=tools)

    def test_prompt_model_and_tools_make_the_version_of_a_chat(self, tmp_path: Path) -> None:
        @tool
        async def refund(order: int) -> str:
            """Pay an order back."""
            return str(order)

        made = [
            self.chat(tmp_path, "Be nice."),
            self.chat(tmp_path, "Be brief."),
            self.chat(tmp_path, "Be nice.", refund),
            self.chat(tmp_path, "Be nice.", temperature=0.5),
        ]
        assert len({version_of(agent, "chat") for agent in made}) == len(made)
        assert version_of(self.chat(tmp_path, "Be nice."), "chat") == version_of(made[0], "chat")

    def test_an_agent_may_say_its_own_version_and_else_its_module_tells(self) -> None:
        async def agent(call: Any, turn: Any) -> Any:
            yield ""

        assert len(version_of(agents.echo, "support.agents:echo")) == 12
        assert version_of(agent, "no.such.module:agent") == ""
        agent.version = "2026-11 b"  # type: ignore[attr-defined]
        assert version_of(agent, "support.agents:echo") == "2026-11 b"
