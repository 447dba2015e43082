"""How commands speak to people and to programs, and ask before they change something."""

from __future__ import annotations

import asyncio
import difflib
import gc
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, TextIO, TypeVar, cast

import msgspec
import typer

from voice_app.findings import printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

    from voice_app.findings import Finding
    from voice_app.twilio.models import Operation


T = TypeVar("T")

WIDE: Final = 120
"""Columns of a terminal for what is folded badly."""
MAX_COLUMNS: Final = 4_000
"""Columns of a file or a pipe, where nothing is folded: an id or a sentence is in one line."""


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
        from voice_app.guard.rendering import report  # with it comes a good part of the house

        found = report(findings)
        if (sys.stderr if error else sys.stdout).isatty():
            from rich.console import Console

            Console(stderr=error, highlight=False, soft_wrap=True).print(found)
        else:
            typer.echo(found.plain, err=error)


def print_json(value: Any) -> None:
    """One JSON document. It is ASCII: what callers said may hold characters that steer a terminal."""
    typer.echo(json.dumps(msgspec.to_builtins(value)))


def complain(text: str) -> None:
    """What is wrong, where, and what to do about it, on standard error: ``Error: …``, as Typer has it."""
    note(f"Error: {text}")


def note(text: str) -> None:
    """What a person should know and no program reads, on standard error, line by line."""
    for line in text.split("\n"):
        typer.echo(printable(line), err=True)


def fail(text: str, code: int) -> typer.Exit:
    """Says why a command cannot go on, as Typer says what is wrong with an option; gives what leaves it."""
    complain(text)
    return typer.Exit(code)


def meant(given: str, known: Iterable[str]) -> str:
    """``did you mean lint?``: the name that is most like what was given; empty if none is."""
    near = difflib.get_close_matches(given, list(known), 1)
    return f"did you mean {near[0]}?" if near else ""


def plain(text: str, style: str = "") -> Text:
    """Untrusted text that Rich prints as it is: no markup in it, nothing that steers a terminal."""
    from rich.text import Text

    return Text(printable(text), style)


class _WithoutPadding:
    """A stream that takes the spaces away with which Rich fills the last column of a table."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(re.sub(" +(?=\n)", "", text))

    def flush(self) -> None:
        self._stream.flush()


def console(least_width: int = WIDE, *, stderr: bool = False) -> Console:
    """Where to print. A file or a pipe is as wide as a line is, and a terminal at least ``least_width``."""
    from rich.console import Console

    found = Console(highlight=False, stderr=stderr)
    if found.is_terminal:
        found.width = max(found.width, least_width)
        return found
    stream = cast("IO[str]", _WithoutPadding(sys.stderr if stderr else sys.stdout))
    return Console(highlight=False, file=stream, width=MAX_COLUMNS)


@contextmanager
def written(output: str | None, force: bool) -> Iterator[Callable[[str], object]]:
    """Where to write: a file that only its owner can read, or standard output.

    A file is written under another name, and gets its own when the block is over.

    Args:
        force: follow a link out of the file's folder.

    Raises:
        typer.BadParameter: it cannot be written there.
        typer.Exit: 3, the disk did not take it.
    """
    if output is None:
        yield sys.stdout.write
        return
    named = Path(output).absolute()
    path = named.resolve()
    if path.parent != named.parent.resolve() and not force:
        raise typer.BadParameter(
            f"--output: {output} is a link to {path}, in another folder. --force writes there all the same."
        )
    if path.exists() and not path.is_file():
        raise typer.BadParameter(f"--output: {output} is no file. Name one, or - for standard output.")
    try:
        descriptor, name = tempfile.mkstemp(".part", f".{path.name}.", path.parent)
    except OSError as error:
        raise typer.BadParameter(f"--output: {output} cannot be written: {error.strerror}.") from None
    part = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file.write
            file.flush()
            os.fsync(descriptor)
        part.replace(path)
    except OSError as error:
        raise fail(f"{output} was not written: {error.strerror}.", 3) from None
    finally:
        part.unlink(missing_ok=True)


# --- before something is changed ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Confirmation:
    """How much may be done without asking. With JSON on standard output, people read standard error."""

    yes: bool = False
    dry_run: bool = False
    as_json: bool = False

    def say(self, text: str) -> None:
        """Print a line; what Twilio says in it cannot steer the terminal."""
        typer.echo(printable(text), err=self.as_json)

    def show(self, content: RenderableType) -> None:
        console(stderr=self.as_json).print(content, soft_wrap=True)

    def given(self, question: str) -> bool:
        """Whether to go on. Says so if not."""
        if self.dry_run:
            self.say("Nothing was done (--dry-run).")
            return False
        if self.yes:
            return True
        try:
            agreed = typer.confirm(printable(question), err=self.as_json)
        except typer.Abort:
            typer.echo(err=True)  # the question has no end of line
            complain("Nothing was done, as nobody was there to answer. Add --yes to do it.")
            raise typer.Exit(2) from None
        if not agreed:
            self.say("Nothing was done.")
        return agreed


@contextmanager
def watching(what: str) -> Iterator[Callable[[Operation], None]]:
    """Show on standard error how an operation goes: a spinner in a terminal, else a line per status."""
    from rich.console import Console

    screen = Console(stderr=True, highlight=False)
    seen: list[str] = []

    with screen.status(plain(f"{what} …")) as status:

        def look(operation: Operation) -> None:
            if operation.status in seen[-1:]:
                return
            seen.append(operation.status)
            told = plain(f"{what}: {operation.operation_id or 'the operation'} is {operation.status}")
            status.update(told)
            if not screen.is_terminal:
                screen.print(told, soft_wrap=True)

        yield look
