"""``voice-app docs``: the pages of the manual, which are in the package."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated

import typer

from voice_app.cli.output import meant


def docs(
    page: Annotated[
        str | None, typer.Argument(metavar="[PAGE]", help="A page of the list, e.g. settings.")
    ] = None,
) -> None:
    """Read the manual: a list of its pages, or one of them. Markdown in a pipe, laid out in a terminal.

    Example: voice-app docs architecture
    """
    pages = {
        item.name.removesuffix(".md"): item
        for item in files("voice_app.docs").iterdir()
        if item.name.endswith(".md")
    }
    if page is None:
        _list(pages)
        return
    found = pages.get(page.removesuffix(".md"))
    if found is None:
        near = meant(page, pages) or f"there are {', '.join(sorted(pages))}."
        raise typer.BadParameter(f"There is no page {page!r}: {near}")
    _show(found.read_text("utf-8"))


def _list(pages: Mapping[str, Traversable]) -> None:
    width = max(map(len, pages))
    for name, item in sorted(pages.items()):
        title = item.read_text("utf-8").partition("\n")[0].removeprefix("# ")
        typer.echo(f"{name:<{width}}  {title}")
    typer.echo("\nRead one with `voice-app docs PAGE`.")


def _show(text: str) -> None:
    from voice_app.cli.output import console

    screen = console()
    if not screen.is_terminal:
        typer.echo(text.rstrip())
        return
    from rich.markdown import Markdown

    screen.print(Markdown(text))
