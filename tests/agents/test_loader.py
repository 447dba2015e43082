from pathlib import Path
from typing import Any

import pytest

from support import agents
from voice_app import Call, Turn
from voice_app.agents.chat import Chat, ChatSettings
from voice_app.agents.loader import AgentError, load
from voice_app.agents.receptionist import Receptionist
from voice_app.settings import Settings


def named(name: str, **changes: Any) -> Settings:
    return Settings.model_construct(agent=name, **changes)


@pytest.mark.parametrize("name", ["hands_on", "wrapped", "bound", "an_object"])
def test_what_yields_in_a_roundabout_way_is_an_agent(name: str) -> None:
    assert load(named(f"support.agents:{name}")) is getattr(agents, name)


async def test_a_plain_generator_runs_in_a_thread_if_that_is_asked_for() -> None:
    agent = load(named("support.agents:a_plain_generator", agent_thread=True))
    assert [piece async for piece in agent(Call("CA1"), Turn("Hi"))] == ["Hi", " again"]


def test_the_receptionist_is_built_in() -> None:
    assert isinstance(load(named("receptionist")), Receptionist)


def test_any_other_agent_is_named_by_its_module() -> None:
    assert load(named("support.agents:echo")) is agents.echo


def test_a_chat_of_ones_own_asks_where_the_settings_say_but_for_what_it_was_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://made.example/v1")
    made = Chat(ChatSettings(model="mine", temperature=0))
    monkeypatch.setattr(agents, "a_chat", made, raising=False)
    loaded = load(named("support.agents:a_chat", openai_base_url="http://served.example/v1", model="theirs"))
    assert isinstance(loaded, Chat)
    (endpoint,) = loaded.settings.endpoints
    assert (endpoint.model, endpoint.base_url) == ("mine", "http://served.example/v1")
    assert loaded.settings.temperature == 0
    assert made.settings.base_url == "http://made.example/v1"


def test_a_prompt_that_is_not_there_is_told_of_a_chat_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "a_chat", Chat(ChatSettings(model="mine")), raising=False)
    with pytest.raises(AgentError, match=r"VOICE_APP_PROMPT: nowhere\.md"):
        load(named("support.agents:a_chat", prompt=Path("nowhere.md")))


def test_a_module_in_the_working_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_phone_agent.py").write_text("async def agent(call, turn):\n    yield 'Hi.'\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["/nowhere"])
    assert load(named("my_phone_agent:agent")).__module__ == "my_phone_agent"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("butler", "is no built-in agent"),
        ("receptionst", "did you mean receptionist?"),
        ("support.agents:clrk", "has no clrk; did you mean clerk?"),
        ("no_such_module:agent", "there is no module no_such_module"),
        ("support.agents:nobody", "has no nobody"),
        ("support.agents:not_a_generator", "does not take a call and a turn"),
        ("support.agents:a_coroutine", "returns its answer instead of yielding it"),
        ("support.agents:a_plain_generator", "VOICE_APP_AGENT_THREAD=true"),
        ("support.agents:a_plain_function", "a plain function that yields nothing"),
        ("support.agents:APlainCallable", "a plain function that yields nothing"),
        ("support.agents:__doc__", "cannot be called"),
        (":", "is no built-in agent"),
    ],
)
def test_a_bad_name_is_told_with_the_setting_and_the_way_out(name: str, told: str) -> None:
    with pytest.raises(AgentError, match=told) as error:
        load(named(name))
    assert f"VOICE_APP_AGENT={name}" in str(error.value)


def test_a_module_that_does_not_import_is_told_with_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_agent.py").write_text("import no_such_thing\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AgentError, match="no module no_such_thing"):
        load(named("broken_agent:agent"))


def test_a_bad_faq_is_told_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=r"VOICE_APP_RECEPTIONIST: .*cannot be read"):
        load(named("receptionist", receptionist=tmp_path / "nowhere.toml"))
