"""Reads the file of ``VOICE_APP_NUMBERS``: one table for each number that is answered in its own way."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from pydantic import ValidationError

from voice_app.settings.model import PREFIX
from voice_app.settings.number import NUMBER_KEYS, NumberSettings
from voice_app.settings.problems import SettingsError
from voice_app.settings.server import Settings
from voice_app.settings.values import E164, plain_address


def number_settings(settings: Settings) -> dict[str, NumberSettings]:
    """The numbers that are answered in a way of their own. Raises `SettingsError` for a bad file."""
    if settings.numbers is None:
        return {}
    name = f"{PREFIX}NUMBERS"
    try:
        tables = tomllib.loads(settings.numbers.read_text("utf-8"))
    except OSError as error:
        raise SettingsError([f"{name}: {settings.numbers} cannot be read: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{name}: {settings.numbers} is not TOML: {error}"]) from None
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
        else:
            try:
                given = {NUMBER_KEYS.get(item, item): table[item] for item in table}
                found[number] = NumberSettings(**{**defaults, **given})
            except ValidationError as error:
                problems += [f"{place}: {_number_problem(item)}" for item in error.errors()]
    if problems:
        raise SettingsError(problems)
    return found


def _number_problem(error: Any) -> str:
    """What is wrong with one key of a number's table, or with two of them together."""
    message = error["msg"].removeprefix("Value error, ")
    return f"{error['loc'][-1]}: {message}" if error["loc"] else message
