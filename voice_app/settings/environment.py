"""The environment, and ``.env`` in the working directory, in one."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource

from voice_app.settings.problems import SettingsError, not_utf8
from voice_app.settings.values import MAY_BE_EMPTY

PREFIX: Final = "VOICE_APP_"
ENV_FILE: Final = Path(".env")


class EnvironmentSource(EnvSettingsSource):
    """Where settings come from. What is malformed is left to the validation, which knows better words."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        given = variables()
        names = {name: environment_name(name, field) for name, field in settings_cls.model_fields.items()}
        self._given = {
            name: field
            for name, field in settings_cls.model_fields.items()
            if given.get(names[name]) or (names[name] in given and MAY_BE_EMPTY in field.metadata)
        }
        self.env_vars = {names[name].lower(): given[names[name]] for name in self._given}

    def __call__(self) -> dict[str, Any]:
        """The values that are given. The class above asks itself how to read every setting there is."""
        values: dict[str, Any] = {}
        for name, field in self._given.items():
            value, key, is_complex = self.get_field_value(field, name)
            values[key] = self.prepare_field_value(name, field, value, is_complex)
        return values

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value


def environment_name(name: str, field: FieldInfo) -> str:
    """The name of a setting in the environment."""
    alias = field.validation_alias
    return alias if isinstance(alias, str) else PREFIX + name.upper()


def variables() -> Mapping[str, str]:
    """Every variable by its name in capitals: the environment's, then those of ``.env``.

    One that is set in the environment hides that of the file, also if it is empty.

    Raises:
        SettingsError: the file cannot be read.
    """
    given = {name.upper(): value for name, value in _env_file().items()}
    return given | {name.upper(): value for name, value in os.environ.items()}


def _env_file() -> dict[str, str]:
    """The variables of ``.env``; none without such a file. Raises `SettingsError`, with every bad line."""
    try:
        content = ENV_FILE.read_bytes()
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError([f"{ENV_FILE} cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        raise SettingsError([f"{ENV_FILE} {not_utf8(content, error)}"]) from None
    problems = [
        f"{ENV_FILE}, line {line.original.line}: it is not NAME=value, or a quotation mark is not closed"
        for line in parse_stream(io.StringIO(text))
        if line.error or (line.key is not None and line.value is None)
    ]
    if problems:
        raise SettingsError(problems)
    return {name: value or "" for name, value in dotenv_values(stream=io.StringIO(text)).items()}
