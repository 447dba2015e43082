"""Reads the file of ``VOICE_APP_NUMBERS``: one table for each number that is answered in its own way."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError

from voice_app.settings.environment import PREFIX
from voice_app.settings.files import TomlError, read_toml
from voice_app.settings.number import NUMBER_KEYS, NumberSettings
from voice_app.settings.problems import SettingsError, sentences, unknown_key
from voice_app.settings.server import Settings, environment_name
from voice_app.settings.values import E164, plain_address

_KEYS: Final = (*(NumberSettings.model_fields.keys() - NUMBER_KEYS.values()), *NUMBER_KEYS)


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
                problems += [f"{place}: {problem}" for problem in sentences(error, known=_KEYS)]
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
            yield unknown_key(field, _KEYS).replace(field, key, 1)
