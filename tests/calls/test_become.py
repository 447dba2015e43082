"""`Become`: the call goes from one agent to another, in its session or in the next one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.sandbox import recorded, sandbox
from voice_app.agents.chat import Chat
from voice_app.agents.loader import AgentError, load_named
from voice_app.agents.tools import tool
from voice_app.journal.events import Acted, Failed
from voice_app.settings import AgentSettings, Settings, SettingsError, agent_settings

AGENTS = """
[front]
agent = "support.agents:front_desk"

[billing]
agent = "support.agents:billing"

[berlin]
agent = "support.agents:billing"
language = "de-DE"
tts_provider = "Amazon"
voice = "Vicki-Neural"
"""


@tool
async def refund(order: int) -> str:
    """Pay an order back.

    Args:
        order: Its number.
    """
    return f"Order {order} is paid back."


def switching(folder: Path) -> Any:
    path = folder / "agents.toml"
    path.write_text(AGENTS, "utf-8")
    return sandbox(folder, agent="support.agents:front_desk", agents=path)


async def test_an_agent_with_the_same_voice_goes_on_in_the_same_session(tmp_path: Path) -> None:
    async with switching(tmp_path) as server, server.call() as call:
        await call.reply()
        assert (await call.ask("to billing")).text == "I will put you through."
        assert (await call.reply()).text == "Billing, resumed , after 3 messages."
        assert (await call.ask("refund")).text == "Billing, speech refund, after 4 messages."
        assert len(call.documents) == 1
        await call.ask("back")
        assert (await call.ask("Hello?")).text == "Front desk, speech."
    assert call.problems == []
    acted = [e.event.detail for e in await recorded(tmp_path, call.sid) if isinstance(e.event, Acted)]
    assert acted == ["billing", "front"]


async def test_an_agent_with_another_voice_gets_a_session_with_that_voice(tmp_path: Path) -> None:
    async with switching(tmp_path) as server, server.call() as call:
        await call.reply()
        assert (await call.ask("to berlin")).text == "I will put you through."
        assert (await call.reply()).text == "Billing, resumed , after 3 messages."
        assert 'voice="Vicki-Neural"' in call.documents[1]
        assert 'language="de-DE"' in call.documents[1]
        assert "welcomeGreeting" not in call.documents[1]
    assert call.problems == []


@pytest.mark.parametrize("name", ["billing", "berlin"])
async def test_the_agent_keeps_the_call_after_a_break(tmp_path: Path, name: str) -> None:
    async with switching(tmp_path) as server, server.call() as call:
        await call.reply()
        await call.ask(f"to {name}")
        await call.reply()
        await call.drop()
        assert (await call.reply()).text == server.settings.resume_greeting
        assert (await call.ask("Hello?")).text.startswith("Billing, speech Hello?")
    assert call.problems == []
    served = ["Vicki-Neural" in document for document in call.documents]
    assert sum(served) == (2 if name == "berlin" else 0)


async def test_an_agent_that_there_is_not_is_the_failure_of_the_one_that_names_it(tmp_path: Path) -> None:
    async with switching(tmp_path) as server, server.call() as call:
        await call.reply()
        await call.ask("to sales")
        assert (await call.reply()).text == server.settings.failure_line
        assert (await call.ask("Hello?")).text == "Front desk, speech."
    assert Failed("agent", "ValueError") in [entry.event for entry in await recorded(tmp_path, call.sid)]


def settings_of(folder: Path, text: str) -> Settings:
    path = folder / "agents.toml"
    path.write_text(text, "utf-8")
    return Settings.model_construct(agents=path, model="gpt-4o-mini")


def test_an_agent_has_a_prompt_and_tools_of_its_own(tmp_path: Path) -> None:
    prompt = tmp_path / "billing.md"
    prompt.write_text("You are the billing department.", "utf-8")
    named = AgentSettings(agent="chat", prompt=prompt, tools=("calls.test_become:refund",))
    agent = load_named(Settings.model_construct(model="gpt-4o-mini"), named)
    assert isinstance(agent, Chat)
    assert "refund" in [item.name for item in agent._tools]


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ('agent = "chat"\nvioce = "Vicki"', "vioce"),
        ('language = "german, please"', "language"),
        ('tts_provider = "Deepgram"', "tts_provider"),
    ],
)
def test_a_table_that_cannot_be_used_is_named_with_its_place(
    tmp_path: Path, table: str, problem: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        agent_settings(settings_of(tmp_path, f"[billing]\n{table}\n"))
    assert "VOICE_APP_AGENTS" in str(caught.value)
    assert "[billing]" in str(caught.value)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("named", "problem"),
    [
        (AgentSettings(agent="chat", tools=("refund",)), "refund is no tool"),
        (AgentSettings(agent="chat", tools=("calls.test_become:AGENTS",)), "is no tool"),
        (AgentSettings(agent="receptionist", tools=("calls.test_become:refund",)), "only chat does"),
    ],
)
def test_tools_that_cannot_be_used_stop_the_start(named: AgentSettings, problem: str) -> None:
    with pytest.raises(AgentError, match=problem):
        load_named(Settings.model_construct(model="gpt-4o-mini"), named)
