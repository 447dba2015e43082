"""Finds the agent that the settings name: a built-in by its bare name, any other as ``module:name``."""

from __future__ import annotations

import difflib
import importlib
import inspect
import sys
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Sequence,
)
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias, cast, get_origin, get_type_hints

from voice_app.agents.prompt import PromptError
from voice_app.agents.protocol import Agent, Call
from voice_app.agents.receptionist import FaqError, Receptionist
from voice_app.agents.runner import in_thread
from voice_app.agents.text import fingerprint
from voice_app.settings import AgentSettings, Settings

BUILT_IN: Final = ("receptionist", "chat")
MAX_VERSION: Final = 64
"""Characters that are kept of an agent's own ``version``."""
_WANTED: Final = "write it as `async def agent(call, turn): yield ...`"

AnswerFunction: TypeAlias = Callable[[Call], Awaitable[object]]


class AgentError(Exception):
    """The agent cannot be used. The text names the setting, what is wrong and what to do."""


def load_named(settings: Settings, named: AgentSettings) -> Agent:
    """One of the agents of ``VOICE_APP_AGENTS``. Raises `AgentError`."""
    return load(settings.model_copy(update=named.own), named.tools)


def load(settings: Settings, tools: Sequence[str] = ()) -> Agent:
    """The agent of ``VOICE_APP_AGENT``. ``tools`` are further ones, as ``module:name``.

    Raises:
        AgentError: it cannot be used, or one of the tools.
    """
    name = settings.agent
    if name == "chat":
        return _chat(settings, tools)
    if tools:
        raise AgentError(f"VOICE_APP_AGENTS: the agent {name} takes no tools; only chat does")
    if name == "receptionist":
        try:
            return Receptionist.from_file(settings.receptionist)
        except FaqError as error:
            raise AgentError(f"VOICE_APP_RECEPTIONIST: {error}") from None
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise AgentError(
            f"VOICE_APP_AGENT={name} is no built-in agent ({', '.join(BUILT_IN)}); "
            f"{_near(name, BUILT_IN)}name your own as module:name, e.g. my_agent:agent"
        )
    return _checked(settings, _within(settings, imported(name, module_name, attribute)))


def _within(settings: Settings, agent: object) -> object:
    """A `Chat` of somebody's own module asks where these settings say, also if it was made without them."""
    chat = sys.modules.get("voice_app.agents.chat")
    if chat is None or not isinstance(agent, chat.Chat):
        return agent
    try:
        return agent.within(settings)
    except PromptError as error:
        raise AgentError(f"VOICE_APP_PROMPT: {error}") from None


def load_answer(settings: Settings, agent: Agent) -> AnswerFunction | None:
    """The function that decides how calls are answered: that of the setting, else the agent's, else none.

    Raises `AgentError`.
    """
    name = settings.answer_hook or ""
    if name and "://" not in name:
        module_name, _, attribute = name.partition(":")
        found = imported(name, module_name, attribute, "VOICE_APP_ANSWER_HOOK")
        if not _answers(found):
            raise AgentError(f"VOICE_APP_ANSWER_HOOK={name}: write it as `async def answer(call): ...`")
        return cast(AnswerFunction, found)
    module = sys.modules.get(settings.agent.partition(":")[0])
    for found in (getattr(agent, "answer", None), getattr(module, "answer", None)):
        if _answers(found):
            return cast(AnswerFunction, found)
    return None


def version_of(agent: Agent, name: str) -> str:
    """What tells an agent from what it was before it was changed; empty if nothing does.

    Its own ``version``, which the built-in ones have: a hash of prompt, model and tools. Of somebody's own
    agent without one, a hash of the module's file. ``name`` is what the settings call it.
    """
    own = getattr(agent, "version", None)
    if isinstance(own, str):
        return own[:MAX_VERSION]
    path = getattr(sys.modules.get(name.partition(":")[0]), "__file__", None)
    try:
        return fingerprint(Path(path).read_bytes()) if path is not None else ""
    except OSError:
        return ""


def _answers(function: object) -> bool:
    """Whether this is an async function of a call."""
    if not inspect.iscoroutinefunction(function):
        return False
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    return True


def _chat(settings: Settings, tools: Sequence[str]) -> Agent:
    # The schemas of its tools take a while to be made, and no other agent needs them.
    from voice_app.agents.actions import ACTIONS, remember
    from voice_app.agents.chat import Chat, ChatSettings

    if not settings.model:
        raise AgentError("VOICE_APP_MODEL is missing: the agent chat needs a model, e.g. gpt-4o-mini")

    chat = ChatSettings(environment=settings)
    try:
        always = (*ACTIONS, remember) if settings.has_memory else ACTIONS
        return Chat(chat, tools=[*always, *map(_tool, tools)])
    except PromptError as error:
        raise AgentError(f"VOICE_APP_PROMPT: {error}") from None


def _tool(name: str) -> Any:
    """A tool that a table names. Raises `AgentError`."""
    from voice_app.agents.tools import Tool

    module_name, _, attribute = name.partition(":")
    found = imported(name, module_name, attribute, "VOICE_APP_AGENTS, tool ") if attribute else None
    if not isinstance(found, Tool):
        raise AgentError(f"VOICE_APP_AGENTS: {name} is no tool; name one as module:name, made with @tool")
    return found


def imported(name: str, module_name: str, attribute: str, setting: str = "VOICE_APP_AGENT") -> object:
    """What a setting names; the working directory is on the path. Raises `AgentError`."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: object = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        where = f"in {here} or in the environment"
        near = _near(missing, [path.stem for path in Path.cwd().glob("*.py")])
        raise AgentError(
            f"{setting}={name}: there is no module {missing} {where}; {near}".rstrip("; ")
        ) from None
    except Exception as error:
        raise AgentError(
            f"{setting}={name}: importing {module_name} failed with {type(error).__name__}: {error}"
        ) from error
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            near = _near(part, [known for known in dir(found) if not known.startswith("_")])
            told = f"{setting}={name}: {module_name} has no {attribute}; {near}"
            raise AgentError(told.rstrip("; ")) from None
    return found


def _near(given: str, known: Iterable[str]) -> str:
    """``did you mean chat? ``; empty if nothing is like what was given."""
    found = difflib.get_close_matches(given, list(known), 1)
    return f"did you mean {found[0]}? " if found else ""


def _checked(settings: Settings, agent: object) -> Agent:
    """What was found, if it is an agent. Raises `AgentError`."""
    name = settings.agent
    if not callable(agent):
        raise AgentError(f"VOICE_APP_AGENT={name} cannot be called; {_WANTED}")
    try:
        inspect.signature(agent).bind(None, None)
    except (TypeError, ValueError):
        raise AgentError(f"VOICE_APP_AGENT={name} does not take a call and a turn; {_WANTED}") from None
    function: Any = agent
    if not inspect.isroutine(function) and not isinstance(function, partial):
        function = function.__call__
    function = inspect.unwrap(function)
    if inspect.iscoroutinefunction(function):
        raise AgentError(f"VOICE_APP_AGENT={name} returns its answer instead of yielding it; {_WANTED}")
    if inspect.isgeneratorfunction(function):
        if settings.agent_thread:
            return in_thread(cast(Any, agent))
        raise AgentError(
            f"VOICE_APP_AGENT={name} is a plain generator, and holds up every other call while it works; "
            f"{_WANTED}, or set VOICE_APP_AGENT_THREAD=true to run it in a thread"
        )
    if not inspect.isasyncgenfunction(function) and not _returns_pieces(function):
        raise AgentError(f"VOICE_APP_AGENT={name} is a plain function that yields nothing; {_WANTED}")
    return cast(Agent, agent)


def _returns_pieces(function: Callable[..., Any]) -> bool:
    """Whether a function says of itself that it returns an async iterator, as one that hands on may do."""
    try:
        returned = get_type_hints(function).get("return")
    except (NameError, AttributeError, TypeError):
        return False
    return get_origin(returned) in (AsyncIterator, AsyncGenerator, AsyncIterable)
