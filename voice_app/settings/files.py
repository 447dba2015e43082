"""The TOML files that settings name: how one is read, and what the agent's and the numbers' have in them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voice_app.settings.environment import PREFIX
from voice_app.settings.number import NUMBER_KEYS, NumberSettings
from voice_app.settings.problems import SettingsError, not_utf8, sentences, unknown_key
from voice_app.settings.server import Settings, environment_name
from voice_app.settings.values import E164, plain_address

_OF_THE_AGENT: Final = ("agent", "receptionist", "prompt")
_KEY_OF_FIELD: Final = {field: key for key, field in NUMBER_KEYS.items()}
_TABLE_KEYS: Final = (*(NumberSettings.model_fields.keys() - NUMBER_KEYS.values()), *NUMBER_KEYS)


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


def number_settings(settings: Settings) -> dict[str, NumberSettings]:
    """The numbers that are answered in a way of their own. Raises `SettingsError` for a bad file."""
    if settings.numbers is None:
        return {}
    name = f"{PREFIX}NUMBERS"
    try:
        tables = read_toml(settings.numbers)
    except TomlError as error:
        raise SettingsError([f"{name}: {error}"]) from None
    defaults = settings.model_dump(include=set(NumberSettings.model_fields))
    found: dict[str, NumberSettings] = {}
    problems: list[str] = []
    for key, table in tables.items():
        place = f"{name}: {settings.numbers}, [{key}]"
        number = plain_address(key)
        if not isinstance(table, dict):
            problems.append(f'{name}: {settings.numbers}: {key} is no table; write ["+15550100001"]')
        elif number in found:
            problems.append(f"{place}: there is a table for {number} already")
        elif re.fullmatch(E164, number) is None and ":" not in number:
            problems.append(f"{place}: a number should look like +15550100001 (E.164)")
        elif unknown := list(_unknown(table)):
            problems += [f"{place}: {problem}" for problem in unknown]
        else:
            try:
                given = {NUMBER_KEYS.get(item, item): table[item] for item in table}
                found[number] = NumberSettings(**{**defaults, **given})
            except ValidationError as error:
                wrong = sentences(
                    error, known=_TABLE_KEYS, name_of=lambda field: _KEY_OF_FIELD.get(field, field)
                )
                problems += [f"{place}: {problem}" for problem in wrong]
    if problems:
        raise SettingsError(problems)
    return found


def _unknown(table: Mapping[str, Any]) -> Iterator[str]:
    for key in table:
        field = NUMBER_KEYS.get(key, key).lower().removeprefix(PREFIX.lower())
        if field == NUMBER_KEYS.get(key, key) and field in NumberSettings.model_fields:
            continue
        if field in Settings.model_fields.keys() - NumberSettings.model_fields.keys():
            yield f"{key} is set for all numbers at once, with {environment_name(field)}"
        else:
            yield unknown_key(field, _TABLE_KEYS).replace(field, key, 1)
