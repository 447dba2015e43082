"""Talking with the person who is about to change something: what it is, whether to do it, how it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from voice_app.cli.output import complain, console, plain, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from voice_app.twilio.models import Operation


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
