"""What is wrong with settings and with the tables of our files, in sentences."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

MAX_SHOWN: Final = 80
"""Characters of a value that are repeated."""

_SENTENCES: Final[Mapping[str, str]] = {
    "missing": "it is missing",
    "value_error": "{error}",
    "literal_error": "it should be {expected}",
    "int_type": "it should be a whole number",
    "int_parsing": "it should be a whole number",
    "int_from_float": "it should be a whole number",
    "int_parsing_size": "it should be a smaller number",
    "float_type": "it should be a number",
    "float_parsing": "it should be a number",
    "finite_number": "it should be a number that is not infinite",
    "bool_type": "it should be true or false",
    "bool_parsing": "it should be true or false",
    "greater_than": "it should be more than {gt:g}",
    "greater_than_equal": "it should be {ge:g} or more",
    "less_than": "it should be less than {lt:g}",
    "less_than_equal": "it should be {le:g} or less",
    "string_type": "it should be text, in quotation marks",
    "string_too_short": "it should have {min_length} characters or more",
    "string_too_long": "it should have {max_length} characters or less",
    "string_pattern_mismatch": "it should look like {pattern}",
    "string_unicode": "it should be UTF-8",
    "path_type": "it should be the path of a file, in quotation marks",
    "model_type": "it should be a table",
    "model_attributes_type": "it should be a table",
    "dict_type": 'it should be a JSON object, e.g. {{"name": "value"}}',
    "list_type": 'it should be a list, e.g. ["one", "two"]',
    "tuple_type": 'it should be a list, e.g. ["one", "two"]',
    "set_type": 'it should be a list, e.g. ["one", "two"]',
    "frozen_set_type": 'it should be a list, e.g. ["one", "two"]',
    "too_short": "it should have {min_length} entries or more",
    "too_long": "it should have {max_length} entries or less",
}
"""A sentence for each type of error in pydantic that a field of ours can have."""


class SettingsError(Exception):
    """The settings cannot be used. ``problems`` has one line each: what is wrong and what to do."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def sentences(
    error: ValidationError,
    *,
    known: Collection[str],
    name_of: Callable[[str], str] = str,
    secret: Callable[[str], bool] = lambda field: False,
) -> list[str]:
    """What is wrong, a sentence for each problem.

    Args:
        error: of a model that has these fields.
        known: the keys that would be right.
        name_of: how people know a field.
        secret: whether the value of a field is not to be shown.
    """
    return [_sentence(item, known, name_of, secret) for item in error.errors()]


def _sentence(
    error: ErrorDetails,
    known: Collection[str],
    name_of: Callable[[str], str],
    secret: Callable[[str], bool],
) -> str:
    field, *within = (str(part) for part in error["loc"] or ("",))
    if error["type"] == "extra_forbidden":
        return unknown_key(field, known)
    kind = f"string_{error['type']}" if isinstance(error["input"], str) else error["type"]  # of a secret
    template = _SENTENCES.get(kind) or _SENTENCES.get(error["type"], "{msg}")
    told = template.format(**{"msg": error["msg"], **error.get("ctx", {})})
    if not field:
        return told
    entry = "".join(f" {part}:" for part in within if not part.isdecimal())
    given = "" if error["type"] == "missing" or secret(field) else _given(error["input"])
    return f"{name_of(field)}:{entry} {told}{given}"


def _given(value: Any) -> str:
    shown = repr(value)
    if re.search(r"://[^/]*@", shown):  # there is a password in it
        return ""
    return f" (given: {shown if len(shown) <= MAX_SHOWN else shown[:MAX_SHOWN] + '…'})"


def unknown_keys(table: Iterable[str], known: Collection[str]) -> list[str]:
    """A sentence for each key of a table that nothing reads."""
    return [unknown_key(key, known) for key in table if key not in known]


def unknown_key(key: str, known: Collection[str]) -> str:
    """A key that nothing reads, and which was meant."""
    near = nearest(key, known)
    return f"{key} is no key here: " + (f"did you mean {near}?" if near else f"it has {', '.join(known)}")


def nearest(name: str, known: Collection[str], cutoff: float = 0.6) -> str:
    """The known name that is most like this one, or that goes on where it ends; or nothing.

    ``cutoff`` is the least similarity, from 0 to 1.
    """
    begun = [item for item in known if len(name) > 2 and item.startswith(f"{name}_")]
    # Lengths alone rule most out, and difflib would first look at every letter of these.
    alike = [item for item in known if 2 * min(len(name), len(item)) >= cutoff * (len(name) + len(item))]
    return next(iter(difflib.get_close_matches(name, alike, 1, cutoff) or begun), "")


def not_utf8(content: bytes, error: UnicodeDecodeError) -> str:
    """Says so of a file, with the line."""
    line = content.count(b"\n", 0, error.start) + 1
    return f"is not UTF-8 (line {line}): save it as UTF-8"
