"""How commands speak to people and to programs."""

from __future__ import annotations

import asyncio
import gc
import json
import unicodedata
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
import typer

if TYPE_CHECKING:  # Rich and uvloop are imported by what uses them: many a command prints plain lines
    from rich.console import Console
    from rich.text import Text

    from voice_app.findings import Finding

T = TypeVar("T")

WIDE: Final = 120
"""Columns of a file or a pipe."""

_JOINERS: Final = "\u200c\u200d"
"""Invisible, but part of how some scripts and emoji are written."""


def run(main: Coroutine[None, None, T]) -> T:
    """Run a command's coroutine on uvloop."""
    import uvloop

    gc.freeze()
    gc.enable()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def print_findings(findings: list[Finding], *, as_json: bool, error: bool = False) -> None:
    """Findings as a report, or as JSON: one object with the list in it."""
    if as_json:
        typer.echo(msgspec.json.encode({"findings": findings}).decode())
    elif findings:
        from rich.console import Console

        from voice_app.guard.rendering import report  # with it comes a good part of the house

        Console(stderr=error, highlight=False, soft_wrap=True).print(report(findings))


def print_json(value: Any) -> None:
    """One JSON document. It is ASCII: what callers said may hold characters that steer a terminal."""
    typer.echo(json.dumps(msgspec.to_builtins(value)))


def printable(text: str) -> str:
    """Untrusted text without what could steer a terminal; a tab or a new line becomes a space."""
    if text.isprintable():
        return text
    return "".join(
        " " if character in "\t\n" else character
        for character in text
        if character in "\t\n" or character in _JOINERS or not unicodedata.category(character).startswith("C")
    )


def complain(text: str) -> None:
    """What is wrong, on standard error, line by line."""
    for line in text.split("\n"):
        typer.echo(printable(line), err=True)


def plain(text: str, style: str = "") -> Text:
    """Untrusted text that Rich prints as it is: no markup in it, nothing that steers a terminal."""
    from rich.text import Text

    return Text(printable(text), style)


def console(least_width: int = WIDE, *, stderr: bool = False) -> Console:
    """Where to print. A file or a pipe is wide, and so is a terminal where folded columns would be worse."""
    from rich.console import Console

    found = Console(highlight=False, stderr=stderr)
    found.width = max(found.width, least_width if found.is_terminal else WIDE)
    return found
