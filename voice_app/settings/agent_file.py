"""Reads the file of ``VOICE_APP_AGENTS``: one table for each agent that another one can become."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voice_app.settings.environment import PREFIX
from voice_app.settings.problems import SettingsError, sentences
from voice_app.settings.server import Settings
from voice_app.settings.toml_file import TomlError, read_toml

_OF_THE_AGENT: Final = ("agent", "receptionist", "prompt")


class AgentSettings(BaseModel):
    """One agent: who it is, what it knows, and how it speaks and listens. What is left out is as set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    agent: str | None = None
    """A built-in agent, or ``module:name``."""
    receptionist: Path | None = None
    prompt: Path | None = None
    tools: tuple[str, ...] = ()
    """Tools of the agent `chat` beside those that it always has, each as ``module:name``."""
    language: str | None = Field(None, pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")
    tts_provider: Literal["Google", "Amazon", "ElevenLabs"] | None = None
    voice: str | None = None
    transcription_provider: Literal["Google", "Deepgram"] | None = None
    speech_model: str | None = None
    hints: str | None = None

    @property
    def own(self) -> dict[str, Any]:
        """The settings that say who the agent is, as far as they are given."""
        return self.model_dump(include=set(_OF_THE_AGENT), exclude_none=True)

    @property
    def of_the_line(self) -> dict[str, Any]:
        """The settings of a number that the agent changes: how it speaks and listens."""
        return self.model_dump(exclude={*_OF_THE_AGENT, "tools"}, exclude_none=True)


def agent_settings(settings: Settings) -> dict[str, AgentSettings]:
    """The agents by name. Raises `SettingsError` for a bad file."""
    if settings.agents is None:
        return {}
    name = f"{PREFIX}AGENTS"
    try:
        tables = read_toml(settings.agents)
    except TomlError as error:
        raise SettingsError([f"{name}: {error}"]) from None
    found: dict[str, AgentSettings] = {}
    problems: list[str] = []
    for key, table in tables.items():
        place = f"{name}: {settings.agents}, [{key}]"
        if re.fullmatch(r"[A-Za-z][\w-]{0,63}", key) is None:
            problems.append(f"{place}: a name has letters, digits, _ and - only, and begins with a letter")
            continue
        try:
            found[key] = AgentSettings.model_validate(table)
        except ValidationError as error:
            problems += [f"{place}: {text}" for text in sentences(error, known=AgentSettings.model_fields)]
    if problems:
        raise SettingsError(problems)
    return found
