"""The TOML files that settings name: how one is read, and what is in that of the agent."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voice_app.settings.environment import PREFIX
from voice_app.settings.problems import SettingsError, not_utf8, sentences
from voice_app.settings.server import Settings

_OF_THE_AGENT: Final = ("agent", "receptionist", "prompt")


class TomlError(Exception):
    """A file cannot be used. The text names it, and says what is wrong and where."""


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a file. Raises `TomlError`."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TomlError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:  # a NUL in the name
        raise TomlError(f"{str(path)!r} cannot be the name of a file") from None
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise TomlError(f"{path} {not_utf8(content, error)}") from None
    except ValueError as error:  # TOMLDecodeError, and a number with thousands of digits
        raise TomlError(f"{path} is not TOML: {error}") from None
    except RecursionError:
        raise TomlError(f"{path} is nested too deep to be read") from None


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
