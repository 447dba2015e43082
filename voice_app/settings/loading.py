"""Reads the settings, and finds names in the environment that were most likely meant to be settings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, Final

from pydantic import ValidationError

from voice_app.settings.environment import PREFIX, variables
from voice_app.settings.model import ModelSettings
from voice_app.settings.problems import SettingsError, nearest, sentences
from voice_app.settings.server import Settings, environment_name

ALIKE: Final = 0.87
"""From this similarity on, a name that does not begin with ``VOICE_APP_`` was meant to be a setting."""
MEANT: Final[Mapping[str, str]] = {
    "OPENAI_API_BASE": "OPENAI_BASE_URL",
    "OPENAI_KEY": "OPENAI_API_KEY",
    "TWILIO_CONFIGURATION_ID": "TWILIO_CONVERSATION_CONFIGURATION_ID",
    "TWILIO_PUBLIC_DOMAIN": "TWILIO_VOICE_PUBLIC_DOMAIN",
}
"""Settings under names that other programs have for them, and that are spelt too differently to be found."""
OTHERS: Final = frozenset({"OPENAI_ADMIN_KEY", "TWILIO_PHONE_NUMBER_SID", "TWILIO_FROM_PHONE_NUMBER"})
"""Names that look like ours and mean something else."""


def load(**overrides: Any) -> Settings:
    """Read the settings. Raises `SettingsError` with a line for every one that cannot be used."""
    problems = _misspelt(variables())
    try:
        settings = Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        raise SettingsError(problems + _told(error)) from None
    if problems:
        raise SettingsError(problems)
    return settings


def load_model_settings() -> ModelSettings:
    """Read the settings of the agent `chat` alone. Raises `SettingsError`."""
    try:
        return ModelSettings()
    except ValidationError as error:
        raise SettingsError(_told(error)) from None


def _told(error: ValidationError) -> list[str]:
    fields = Settings.model_fields
    names = {environment_name(field): field for field in fields}

    def name_of(place: str) -> str:
        return environment_name(place) if place in fields else place

    def secret(place: str) -> bool:
        field = fields.get(names.get(place, place))
        return field is None or "SecretStr" in str(field.annotation)

    return sentences(error, known=names, name_of=name_of, secret=secret)


def _misspelt(given: Mapping[str, str]) -> list[str]:
    """The names that nothing reads and that look like settings; one that is set as well was not meant."""
    problems = []
    for name in sorted(given.keys() - _known() - OTHERS):
        meant = _meant(name)
        if meant and meant not in given:
            problems.append(f"{name} is not a setting: did you mean {meant}?")
        elif name.startswith(PREFIX):
            problems.append(f"{name} is not a setting: remove it, or see `voice-app docs settings`")
    return problems


@cache
def _known() -> frozenset[str]:
    return frozenset(map(environment_name, Settings.model_fields))


@lru_cache(maxsize=1024)
def _meant(name: str) -> str:
    if not name.startswith(PREFIX):
        plain = name.replace("-", "_").replace(".", "_")
        return MEANT.get(plain) or nearest(plain, _known(), ALIKE)
    rest = name.removeprefix(PREFIX)
    names = {environment_name(field).removeprefix(PREFIX): field for field in Settings.model_fields}
    field = rest.lower() if rest.lower() in Settings.model_fields else names.get(nearest(rest, names))
    return environment_name(field) if field else ""
