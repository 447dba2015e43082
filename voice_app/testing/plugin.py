"""The fixtures for pytest: `line`, `caller`, `person`, `twilio` and `model`. Installed by an entry point.

    @pytest.mark.voice_app(agent="my_agent:agent")
    async def test_an_order_is_looked_up(caller):
        await caller.says("Where is order 81?")
        await caller.hears("leaves today")

Settings are those of the fixture `voice_app_settings`, which a project overrides, and of the mark. What is
imported before a test asks for a line is pytest alone.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from voice_app.testing.caller import Caller, RungPerson
    from voice_app.testing.line import PhoneLine
    from voice_app.testing.line_thread import LineThread
    from voice_app.testing.model import ScriptedModel
    from voice_app.testing.twilio_double import TwilioDouble

FIXTURES: Final = frozenset({"line", "caller", "person", "twilio", "model"})


def pytest_configure(config: pytest.Config) -> None:
    """The mark with a test's settings."""
    config.addinivalue_line(
        "markers", "voice_app(**settings): settings of the line that the test phones, e.g. agent='mine:agent'"
    )


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine that uses our fixtures, where no other plugin does."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj) or FIXTURES.isdisjoint(pyfuncitem.fixturenames):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failing test shows its calls."""
    report = yield
    used = getattr(item, "funcargs", {})
    line = used.get("line")
    if report.failed and line is not None and call.when == "call":
        for number, caller in enumerate(line.callers, 1):
            which = "the call" if len(line.callers) == 1 else f"call {number}"
            title = f"{which} to {line.settings.agent}"
            report.sections.append((title, str(caller.dialogue) or "nobody has phoned"))
        for asked in getattr(used.get("model"), "unanswered", []):
            report.sections.append(("the model", f"it was asked, and the test has no answer to: {asked}"))
    return report


@pytest.fixture
def voice_app_settings() -> dict[str, Any]:
    """The settings of every line: override it, e.g. with ``{"agent": "my_agent:agent"}``."""
    return {}


@pytest.fixture
def _stage() -> Iterator[LineThread]:
    from voice_app.testing.line_thread import LineThread

    with LineThread() as stage:
        yield stage


@pytest.fixture
def model(_stage: LineThread) -> Iterator[ScriptedModel]:
    """The model of the agent: it says what the test tells it to."""
    from voice_app.testing.model import ScriptedModel, serve_model

    scripted = ScriptedModel()
    with _stage.entered(serve_model(scripted)):
        yield scripted


@pytest.fixture
def line(
    request: pytest.FixtureRequest, _stage: LineThread, tmp_path: Path, voice_app_settings: dict[str, Any]
) -> Iterator[PhoneLine]:
    """Our server with the agent, in the sandbox; `line.caller(number)` is one more caller."""
    from voice_app.agents.loader import AgentError
    from voice_app.settings import SettingsError
    from voice_app.testing.line import line_settings, open_line

    given = dict(voice_app_settings)
    for mark in reversed(list(request.node.iter_markers("voice_app"))):
        given |= mark.kwargs
    model_url = request.getfixturevalue("model").base_url if "model" in request.fixturenames else ""
    with ExitStack() as stack:
        wrong = ""
        try:
            settings = line_settings(tmp_path, given, model_url)
            opened = stack.enter_context(_stage.entered(open_line(settings)))
        except (SettingsError, AgentError) as error:
            wrong = str(error)
        if wrong:
            pytest.fail(f"the line cannot be opened: {wrong}", pytrace=False)
        yield opened
    problems = [problem for caller in opened.callers for problem in caller.problems]
    if problems:
        pytest.fail("\n".join(["the server misbehaved, as Twilio sees it:", *problems]), pytrace=False)


@pytest.fixture
def caller(line: PhoneLine) -> Caller:
    """Somebody who phones the line."""
    return line.caller()


@pytest.fixture
def person(line: PhoneLine) -> RungPerson:
    """Somebody who answers when the line rings for a person. Without it, nobody does."""
    from voice_app.testing.caller import RungPerson

    return RungPerson(line)


@pytest.fixture
def twilio(line: PhoneLine) -> TwilioDouble:
    """Twilio's APIs: what they remember, what was written, and what fails."""
    return line.twilio
