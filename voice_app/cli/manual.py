"""``voice-app docs`` and ``voice-app explain``: the pages of the manual, and the rules one by one."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Annotated

import typer

from voice_app.cli.options import AsJson
from voice_app.cli.output import meant, print_json

if TYPE_CHECKING:
    from voice_app.findings import Rule


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


# --- rules ----------------------------------------------------------------------------------------


def explain(
    rule_id: Annotated[str, typer.Argument(metavar="RULE", help="Its id, as a finding has it: STT101.")],
    as_json: AsJson = False,
) -> None:
    """Tell what a rule finds, why that matters, and what to do about it.

    Example: voice-app explain STT101
    """
    from voice_app import guard, twiml

    rules = {**twiml.RULES, **guard.RULES}
    rule = rules.get(rule_id.upper())
    if rule is None:
        near = meant(rule_id.upper(), rules) or "`voice-app docs rules` lists them."
        raise typer.BadParameter(f"There is no rule {rule_id}: {near}")
    if as_json:
        names = ("id", "severity", "title", "why", "fix", "overridable")
        print_json({name: getattr(rule, name) for name in names})
    else:
        typer.echo(_text(rule))


def _text(rule: Rule) -> str:
    """The rule for people; the lines are folded by the terminal."""
    parts = [f"{rule.id} ({rule.severity}): {rule.title}", f"Why: {rule.why}", f"Fix: {rule.fix}"]
    if not rule.id.startswith("TWI"):  # the guard's
        parts.append(
            f"To allow it for one thing: VOICE_APP_GUARD_ALLOW={rule.id}:ID, with the id in the finding."
            if rule.overridable
            else f"It cannot be allowed: {rule.binding}."
        )
    return "\n\n".join(parts)
