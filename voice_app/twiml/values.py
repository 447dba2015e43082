"""Sorts of values that attributes take, and what is wrong with one that does not fit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Literal
from urllib.parse import urlsplit

import msgspec

Form = Literal[
    "text", "integer", "number", "url", "absolute-url", "websocket-url", "language", "id", "voice", "json"
]
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_NUMBER = re.compile(r"-?[0-9]{0,18}(\.[0-9]{1,18})?(?<=[0-9])")
_ID_REST = re.compile(r"[0-9A-Za-z_-]+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class Kind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sort of value; the fields are explained at the top of ``vocabulary.toml``."""

    form: Form = "text"
    values: tuple[str, ...] = ()
    fold: bool = False
    min: float | None = None
    max: float | None = None
    unit: str = ""
    separator: str = ""
    entries: int | None = None
    length: int | None = None
    pattern: str = ""
    meaning: str = ""
    prefix: str = ""
    refused: tuple[str, ...] = ()
    query: bool = True

    def problem(self, value: str) -> str | None:
        """What is wrong with a value, as the end of a sentence about it; None if nothing is."""
        if not self.separator:
            return self._entry(value)
        entries = [entry.strip() for entry in value.split(self.separator) if entry.strip()]
        if self.entries is not None and len(entries) > self.entries:
            return f"has {len(entries)} entries, more than {self.entries}"
        for entry in entries:
            if found := self._entry(entry):
                return f"has the entry {quoted(entry)}, which {found}"
        return None

    def _entry(self, value: str) -> str | None:
        if self._listed(value):
            return None
        if self.values and self.form == "text":
            return f"is not {self.described}"
        if self.length is not None and len(value) > self.length:
            return f"is longer than {self.length} characters"
        if self.pattern and not re.fullmatch(self.pattern, value):
            return f"is not {self.described}"
        for prefix in self.refused:
            if value.lower().startswith(prefix.lower()):
                return f"starts with {prefix!r}"
        return self._misformed(value)

    def _listed(self, value: str) -> bool:
        if self.fold:
            return value.lower() in (known.lower() for known in self.values)
        return value in self.values

    def _misformed(self, value: str) -> str | None:
        match self.form:
            case "integer" | "number":
                good = self._in_range(value)
            case "language":
                good = _LANGUAGE.fullmatch(value) is not None
            case "id":
                good = value.startswith(self.prefix) and bool(_ID_REST.fullmatch(value[len(self.prefix) :]))
            case "url":
                return _url_problem(value, ("http", "https"), relative=True)
            case "absolute-url":
                return _url_problem(value, ("http", "https"))
            case "websocket-url":
                return self._websocket_problem(value)
            case "json":
                good = _is_json_object(value)
            case _:
                return None
        return None if good else f"is not {self.described}"

    def _in_range(self, value: str) -> bool:
        shape = _INTEGER if self.form == "integer" else _NUMBER
        if not shape.fullmatch(value):
            return False
        number = float(value)
        return (self.min is None or number >= self.min) and (self.max is None or number <= self.max)

    def _websocket_problem(self, value: str) -> str | None:
        problem = _url_problem(value, ("wss",))
        if problem is None and not self.query and urlsplit(value).query:
            return "has a query string, which Twilio drops here"
        return problem

    @property
    def described(self) -> str:
        """The good values in words, to stand after "is not"."""
        words = [] if self.form == "text" else [_FORMS[self.form].format(prefix=self.prefix)]
        if words and (limits := self._limits()):
            words[0] = f"{words[0]} {limits}"
        if self.meaning:
            words.append(self.meaning)
        if self.entries is not None and self.length is not None:
            words.append(f"at most {self.entries} entries of {self.length} characters each")
        return either([*words, *self.values] or ["text"])

    def _limits(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        match self.min, self.max:
            case None, None:
                return f"of{unit}" if unit else ""
            case low, None:
                return f"of at least {low:g}{unit}"
            case None, high:
                return f"of at most {high:g}{unit}"
            case low, high:
                return f"from {low:g} to {high:g}{unit}"


_FORMS: dict[Form, str] = {
    "text": "text",
    "integer": "a whole number",
    "number": "a number",
    "url": "a URL",
    "absolute-url": "an absolute URL",
    "websocket-url": "a wss:// URL",
    "language": "a language tag such as en-US",
    "id": "an id that starts with {prefix}",
    "voice": "a voice",
    "json": "a JSON object",
}


def either(words: Iterable[str]) -> str:
    """Words as ``a, b or c``; nothing for none."""
    *most, last = [*words] or [""]
    return f"{', '.join(most)} or {last}" if most else last


def quoted(value: str) -> str:
    """A value in double quotes for a message, cut to 60 characters."""
    return json.dumps(value if len(value) <= 60 else f"{value[:57]}...", ensure_ascii=False)


def _url_problem(value: str, schemes: tuple[str, ...], *, relative: bool = False) -> str | None:
    if any(character.isspace() for character in value):
        return "has white space in it"
    wanted = either(f"{scheme}://" for scheme in schemes)
    if relative and not _SCHEME.match(value):
        return None
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 - raises for a bad port
    except ValueError as error:
        return f"is not a URL ({error})"
    if parts.scheme.lower() not in schemes:
        return f"does not start with {wanted}"
    return None if parts.hostname else "has no host"


def _is_json_object(value: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(value), dict)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
