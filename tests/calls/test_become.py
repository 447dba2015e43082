"""`Become`: the call goes from one agent to another, in its session or in the next one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from voice_app.agents.chat import Chat
from voice_app.agents.loader import AgentError, load_named
from voice_app.agents.tools import tool
from voice_app.journal.events import Acted, Failed
from voice_app.settings import AgentSettings, Settings, SettingsError, agent_settings
from voice_app.testing.caller import Caller

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


@pytest.fixture
def voice_app_settings(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "agents.toml"
    path.write_text(AGENTS, "utf-8")
    return {"agent": "support.agents:front_desk", "agents": path}


async def test_an_agent_with_the_same_voice_goes_on_in_the_same_session(caller: Caller) -> None:
    assert await caller.asks("to billing") == "I will put you through. Billing, resumed , after 3 messages."
    assert await caller.asks("refund") == "Billing, speech refund, after 4 messages."
    assert len(caller.call.documents) == 1
    await caller.asks("back")
    assert await caller.asks("Hello?") == "Front desk, speech."
    acted = [event.detail for event in caller.events if isinstance(event, Acted)]
    assert acted == ["billing", "front"]


async def test_an_agent_with_another_voice_gets_a_session_with_that_voice(caller: Caller) -> None:
    await caller.says("to berlin")
    said = await caller.hears("Billing")
    assert said == "I will put you through. Billing, resumed , after 3 messages."
    assert 'voice="Vicki-Neural"' in caller.call.documents[1]
    assert 'language="de-DE"' in caller.call.documents[1]
    assert "welcomeGreeting" not in caller.call.documents[1]


@pytest.mark.parametrize("name", ["billing", "berlin"])
async def test_the_agent_keeps_the_call_after_a_break(caller: Caller, name: str) -> None:
    await caller.says(f"to {name}")
    await caller.hears("Billing")
    await caller.drops()
    await caller.hears(caller.line.settings.resume_greeting)
    assert (await caller.asks("Hello?")).startswith("Billing, speech Hello?")
    served = ["Vicki-Neural" in document for document in caller.call.documents]
    assert sum(served) == (2 if name == "berlin" else 0)


async def test_an_agent_that_there_is_not_is_the_failure_of_the_one_that_names_it(caller: Caller) -> None:
    assert (await caller.asks("to sales")).endswith(caller.line.settings.failure_line)
    assert await caller.asks("Hello?") == "Front desk, speech."
    assert Failed("agent", "ValueError") in caller.events


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
