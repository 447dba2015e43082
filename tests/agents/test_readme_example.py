"""The example with a tool in the page about agents runs as it is printed."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from support.model import ScriptedModel
from voice_app import Break, Call, Turn, settings
from voice_app.agents.loader import load
from voice_app.settings import Settings

EXAMPLES = 7
PAGE = resources.files("voice_app.docs").joinpath("agents.md").read_text("utf-8")


def printed() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_there_are_examples_of_everything() -> None:
    assert len(printed()) == EXAMPLES


@pytest.mark.parametrize("number", range(EXAMPLES))
def test_every_example_is_an_agent_that_can_be_loaded(
    number: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = f"printed_example_{number}"
    (tmp_path / f"{name}.py").write_text(printed()[number], "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    assert callable(load(Settings.model_construct(agent=f"{name}:agent")))


async def test_the_example_runs_with_the_settings_of_the_environment(
    model: ScriptedModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (example,) = (code for code in printed() if "order_status" in code)
    (tmp_path / "printed_agent.py").write_text(example)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_BASE_URL", model.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setenv("VOICE_APP_MAX_TOKENS", "90")
    agent = load(settings.load(agent="printed_agent:agent"))
    model.call(("call_1", "order_status", '{"number": 81}'))
    model.say("It leaves today.")
    pieces = [piece async for piece in agent(Call("CA1"), Turn("Where is order 81?"))]
    await agent.close()  # type: ignore[attr-defined]
    assert pieces == [Break(), "It leaves today."]
    assert model.requests[1]["messages"][-1]["content"] == "Order 81 leaves today."
    assert (model.requests[0]["model"], model.requests[0]["max_tokens"]) == ("gpt-4o-mini", 90)
    assert model.headers[0]["Authorization"] == "Bearer key"
