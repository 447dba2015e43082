"""Reads the settings: from the environment, then from ``.env`` in the working directory."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from typing import Any

from dotenv import dotenv_values
from pydantic import ValidationError

from voice_app.settings.model import PREFIX, ModelSettings
from voice_app.settings.problems import SettingsError
from voice_app.settings.server import Settings, environment_name


def load(**overrides: Any) -> Settings:
    """Read the settings. Raises `SettingsError` with a line for every one that cannot be used."""
    problems = _unknown_names({**dotenv_values(".env"), **os.environ})
    try:
        settings = Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        raise SettingsError(problems + [_problem(item) for item in error.errors()]) from None
    except ValueError as error:  # pydantic-settings: a value that should have been JSON
        raise SettingsError([*problems, f"{error}: write it as JSON"]) from None
    if problems:
        raise SettingsError(problems)
    return settings


def load_model_settings() -> ModelSettings:
    """Read the settings of the agent `chat` alone. Raises `SettingsError`."""
    try:
        return ModelSettings()
    except ValidationError as error:
        raise SettingsError([_problem(item) for item in error.errors()]) from None
    except ValueError as error:  # pydantic-settings: a value that should have been JSON
        raise SettingsError([f"{error}: write it as JSON"]) from None


def _unknown_names(environment: Mapping[str, Any]) -> list[str]:
    known = {environment_name(field) for field in Settings.model_fields}
    problems = []
    for name in sorted(environment):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known, 1, 0.6)
            hint = f"did you mean {near[0]}?" if near else "remove it, or see `voice-app docs settings`"
            problems.append(f"{name} is not a setting: {hint}")
    return problems


def _problem(error: Any) -> str:
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return str(message)
    place = str(error["loc"][0])
    name = environment_name(place) if place in Settings.model_fields else place
    secret = any(word in name for word in ("TOKEN", "SECRET", "KEY")) or re.search(
        r"://[^/]*@", str(error["input"])
    )
    given = "" if secret else f" (given: {error['input']!r})"
    return f"{name}: {message}{given}"
