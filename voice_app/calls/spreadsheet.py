"""Rows of tables for spreadsheets, in which nothing is a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from typing import Final

from voice_app.findings import printable

MAX_CELL: Final = 32_767
"""Characters of a cell. Spreadsheets take no more."""
_FORMULA: Final = re.compile("[=+@＝＋－＠-]")
_NUMBER: Final = re.compile(r"\+\d{1,15}")


def line(cells: Iterable[str | float | None]) -> str:
    """One row of a CSV file (RFC 4180) in which nothing is a formula."""
    text = io.StringIO(newline="")
    csv.writer(text).writerow([cell(value) if isinstance(value, str) else value for value in cells])
    return text.getvalue()


def cell(text: str) -> str:
    """The text as a spreadsheet may have it: what would be a formula gets an apostrophe in front.

    A phone number begins with a plus too, and stays as it is: it can do nothing, and whoever reads the file
    with a program wants it unchanged.
    """
    safe = "\n".join(printable(part) for part in text.split("\n"))
    if _FORMULA.match(safe) and not _NUMBER.fullmatch(safe):
        safe = "'" + safe
    return safe[:MAX_CELL]
