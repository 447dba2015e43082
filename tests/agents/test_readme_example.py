"""The example with a tool in the page about agents runs as it is printed."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from support.model import ScriptedModel
from voice_app import Break, Call, Turn
from voice_app.agents.loader import load
from voice_app.settings import Settings

PAGE = resources.files("voice_app.docs").joinpath("agents.md").read_text("utf-8")


async def test_the_example_runs_with_the_settings_of_the_environment(
    model: ScriptedModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (example,) = (
        code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "ChatSettings(" in code
    )
    (tmp_path / "printed_agent.py").write_text(example)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_BASE_URL", model.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setenv("VOICE_APP_MAX_TOKENS", "90")
    agent = load(Settings.model_construct(agent="printed_agent:agent"))
    model.call(("call_1", "order_status", '{"number": 81}'))
    model.say("It leaves today.")
    pieces = [piece async for piece in agent(Call("CA1"), Turn("Where is order 81?"))]
    await agent.close()  # type: ignore[attr-defined]
    assert pieces == [Break(), "It leaves today."]
    assert model.requests[1]["messages"][-1]["content"] == "Order 81 leaves today."
    assert (model.requests[0]["model"], model.requests[0]["max_tokens"]) == ("gpt-4o-mini", 90)
    assert model.headers[0]["Authorization"] == "Bearer key"
