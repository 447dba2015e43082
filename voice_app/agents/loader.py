"""Finds the agent that the settings name: a built-in by its bare name, any other as ``module:name``."""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path
from typing import cast

from pydantic import SecretStr

from voice_app.agents.prompt import PromptError
from voice_app.agents.protocol import Agent
from voice_app.agents.receptionist import FaqError, Receptionist
from voice_app.settings import Settings

BUILT_IN = ("receptionist", "chat")


class AgentError(Exception):
    """The agent cannot be used. The text names the setting, what is wrong and what to do."""


def load(settings: Settings) -> Agent:
    """The agent of ``VOICE_APP_AGENT``. Raises `AgentError`."""
    name = settings.agent
    if name == "chat":
        return _chat(settings)
    if name == "receptionist":
        try:
            return Receptionist.from_file(settings.receptionist)
        except FaqError as error:
            raise AgentError(f"VOICE_APP_RECEPTIONIST: {error}") from None
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise AgentError(
            f"VOICE_APP_AGENT={name} is no built-in agent ({', '.join(BUILT_IN)}); "
            "name your own as module:name, e.g. my_agent:agent"
        )
    return _imported(name, module_name, attribute)


def _chat(settings: Settings) -> Agent:
    # The schemas of its tools take a while to be made, and no other agent needs them.
    from voice_app.agents.actions import ACTIONS, remember
    from voice_app.agents.chat import Chat, ChatSettings

    if settings.model is None:
        raise AgentError("VOICE_APP_MODEL is missing: the agent chat needs a model, e.g. gpt-4o-mini")

    def text(secret: SecretStr | None) -> str:
        return secret.get_secret_value() if secret is not None else ""

    chat = ChatSettings(
        model=settings.model,
        base_url=settings.openai_base_url,
        api_key=text(settings.openai_api_key),
        fallback_model=settings.fallback_model or "",
        fallback_base_url=settings.fallback_base_url or "",
        fallback_api_key=text(settings.fallback_api_key),
        prompt=settings.prompt,
        temperature=settings.temperature,
        max_tokens=settings.max_tokens,
        first_token_deadline=settings.first_token_seconds,
        between_tokens_deadline=settings.between_tokens_seconds,
    )
    try:
        return Chat(chat, tools=(*ACTIONS, remember) if settings.has_memory else ACTIONS)
    except PromptError as error:
        raise AgentError(f"VOICE_APP_PROMPT: {error}") from None


def _imported(name: str, module_name: str, attribute: str) -> Agent:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: object = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        where = f"in {here} or in the environment"
        raise AgentError(f"VOICE_APP_AGENT={name}: there is no module {missing} {where}") from None
    except Exception as error:
        raise AgentError(
            f"VOICE_APP_AGENT={name}: importing {module_name} failed with {type(error).__name__}: {error}"
        ) from error
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise AgentError(f"VOICE_APP_AGENT={name}: {module_name} has no {attribute}") from None
    _check(name, found)
    return cast(Agent, found)


def _check(name: str, agent: object) -> None:
    wanted = "write it as `async def agent(call, turn): yield ...`"
    if not callable(agent):
        raise AgentError(f"VOICE_APP_AGENT={name} cannot be called; {wanted}")
    if inspect.iscoroutinefunction(agent):
        raise AgentError(f"VOICE_APP_AGENT={name} returns its answer instead of yielding it; {wanted}")
    try:
        inspect.signature(agent).bind(None, None)
    except (TypeError, ValueError):
        raise AgentError(f"VOICE_APP_AGENT={name} does not take a call and a turn; {wanted}") from None
