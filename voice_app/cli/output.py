"""How commands speak to people and to programs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

import msgspec
import typer
import uvloop
from rich.console import Console

from voice_app.findings import Finding
from voice_app.guard.report import report

T = TypeVar("T")


def run(main: Coroutine[None, None, T]) -> T:
    """Run a command's coroutine on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def print_findings(findings: list[Finding], *, as_json: bool, error: bool = False) -> None:
    """Findings as a report, or as JSON: one object with the list in it."""
    if as_json:
        typer.echo(msgspec.json.encode({"findings": findings}).decode())
    elif findings:
        Console(stderr=error, highlight=False, soft_wrap=True).print(report(findings))
