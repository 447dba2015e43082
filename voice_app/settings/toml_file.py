"""Reads the TOML files that settings name."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from voice_app.settings.problems import not_utf8


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
